//! What happened to work, told by the program before and after a kill.

use berth_e2e::{Plan, Site};
use serde_json::Value;

use super::{DONE, call, fill, map, name};

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
