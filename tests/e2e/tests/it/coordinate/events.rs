//! What happened to work, told by the program before and after a kill.

use berth_e2e::{Plan, Site, within};
use serde_json::{Value, json};

use super::{DONE, call, fill, map, name};
use crate::plugins::plugin;

async fn events(site: &Site) -> Vec<Value> {
    let said = site.ask(&["work", "events", "--json"]).await.stdout;
    said.lines().map(|line| serde_json::from_str(line).expect("each line is an event")).collect()
}

fn shown(event: &Value) -> String {
    let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let keys: Vec<&str> = event["keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    format!("{} {} {} {} {}", event["sequence"], text("what"), text("name"), text("worker"), keys.join(","))
}

#[tokio::test]
async fn what_happened_is_told_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    fill(&at, "p", 1, 3);
    call(&at, "get_work", &[name("w"), map(|out| _ = out.str("max_jobs").unwrap().u8(2).unwrap())]);
    let finished = map(|out| _ = out.str("status").unwrap().u8(4).unwrap());
    assert_eq!(call(&at, "update_work_unit", &[name("p"), name("2"), finished]), DONE);
    let before = events(&site).await;
    let lines: Vec<String> = before.iter().map(shown).collect();
    assert_eq!(lines, ["1 spec-set p  ", "2 units-added p  1,2,3", "3 units-leased p w 1,2", "4 units-finished p w 2"]);
    site.kill().await;
    site.start().await;
    assert_eq!(events(&site).await, before);
    assert_eq!(call(&at, "del_work_spec", &[name("p")]), DONE);
    let after = events(&site).await;
    assert_eq!((shown(&after[4]), after.len()), ("5 spec-deleted p  ".to_owned(), 5));
    // Metrics and the list of jobs know nothing of it: it is of another partition.
    assert!(site.metrics().await.contains("berth_work_specs{namespace=\"main\"} 0"));
}

#[tokio::test]
async fn without_a_feed_nothing_is_told() {
    let site = Site::started(Plan { config: "[coordinate]\nfeed = false\n", ..Plan::default() }).await;
    fill(&site.coordinate(), "p", 1, 3);
    assert!(events(&site).await.is_empty());
}

#[tokio::test]
async fn a_policy_keeps_books_of_work_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    plugin(&site, &["load", "bundled:audit", "--grant", "kv"]).await;
    plugin(&site, &["activate", "audit"]).await;
    let booked = async |wanted: Value| {
        within("the books have it", async {
            loop {
                let kept = plugin(&site, &["kv", "audit", "--namespace", "main", "--prefix", "work/"]).await;
                let row = kept["rows"].as_array().and_then(|rows| rows.iter().find(|row| row["key"] == "work/p"));
                let row = row.and_then(|row| serde_json::from_str::<Value>(row["value"].as_str()?).ok());
                if row.as_ref() == Some(&wanted) {
                    break;
                }
            }
        })
        .await;
    };
    let finish = |unit: &str| {
        let finished = map(|out| _ = out.str("status").unwrap().u8(4).unwrap());
        assert_eq!(call(&at, "update_work_unit", &[name("p"), name(unit), finished]), DONE);
    };
    let row = |finished: u64| {
        json!({
            "added": 3, "leased": 2, "finished": finished, "failed": 0, "retried": 0, "released": 0, "expired": 0,
            "deleted": 0
        })
    };
    fill(&at, "p", 1, 3);
    call(&at, "get_work", &[name("w"), map(|out| _ = out.str("max_jobs").unwrap().u8(2).unwrap())]);
    finish("1");
    booked(row(1)).await;
    // Whether the policy was told of the last one before or after the kill: it is counted once.
    finish("2");
    site.kill().await;
    site.start().await;
    booked(row(2)).await;
    let unknown = site.ask(&["plugin", "kv", "audit", "--namespace", "nowhere"]).await;
    assert!(unknown.stderr.contains("no namespace of work \"nowhere\""), "{}", unknown.stderr);
}
