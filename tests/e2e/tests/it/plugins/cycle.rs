//! From a file to live traffic and back.

use berth_e2e::{Job, Plan, Site, code, last, within};
use serde_json::json;
use tonic::Code;

use super::{arg, component, plugin, refused, state, who};

#[tokio::test]
async fn a_version_is_loaded_observed_activated_and_taken_back() {
    let site = Site::started(Plan::default()).await;
    let file = component("fair-share");
    let client = site.client().await;

    let loaded = plugin(&site, &["load", arg(&file), "--name", "fair"]).await;
    assert_eq!((&loaded["unchanged"], &loaded["version"]["state"]), (&json!(false), &json!("LOADED")));
    assert_eq!(loaded["version"]["contract"], "1.0.0");
    let again = plugin(&site, &["load", arg(&file), "--name", "fair"]).await;
    assert_eq!(again["unchanged"], true);

    // Beside the active one, which knows no lanes.
    let observed = plugin(&site, &["observe", "fair"]).await;
    assert_eq!(observed["state"], "OBSERVED");
    let (_, first) = client.begin(&Job::new("observed")).await;
    let found = within("a difference", async {
        loop {
            let found = plugin(&site, &["diff", "fair"]).await;
            if found["different"].as_u64() > Some(0) {
                return found;
            }
        }
    })
    .await;
    let difference = &found["differences"][0];
    assert_eq!(difference["function"], "priority.place");
    assert_ne!(
        difference["active"]["answer"]["places"][0]["lane"],
        difference["candidate"]["answer"]["places"][0]["lane"]
    );
    assert_eq!(difference["question"]["jobs"][0]["instance"], "main", "as `plugin ask` takes it");
    assert_eq!(found["differing"][0], json!({ "function": "priority.place", "fields": "places.*.lane", "count": 1 }));
    assert_eq!(found["faults"], 0);
    let table = site.ask(&["plugin", "diff", "fair"]).await;
    assert!(table.stdout.contains("priority.place"), "{}", table.stdout);

    let set = plugin(&site, &["activate", "fair"]).await;
    assert_eq!((&set["number"], &set["active"]), (&json!(2), &json!(true)));
    let roles = json!({ "properties": ["containment"], "lane": ["fair"], "rank": ["fair"], "choose": ["fair"] });
    assert_eq!(set["chains"][0]["roles"], roles, "what its examples show, and no other column");
    assert_eq!(who(&site, "lane").await, ["fair"]);
    assert_eq!(state(&site, "reapi-priority").await, "BUNDLED", "nothing is left for it to answer");
    let last = plugin(&site, &["diff", "fair"]).await;
    assert_eq!((&last["ended"], &last["different"]), (&json!("it was activated"), &found["different"]));
    let (_, second) = client.begin(&Job::new("active")).await;
    let shown = plugin(&site, &["show", "fair"]).await;
    let functions = shown["functions"].as_array().expect("a list");
    let place = functions.iter().find(|function| function["function"] == "priority.place").expect("it was asked");
    assert!(place["calls"].as_u64() > Some(0) && place["p50_ns"].as_i64() > Some(0), "{place}");
    let lanes = site.ask(&["jobs", "list", "--json"]).await.json();
    let lane = |salt: usize| lanes["jobs"][salt]["lane"].as_str().expect("a lane").to_owned();
    assert!(lane(1).contains('/'), "TENANT/INVOCATION: {lanes}");

    site.kill().await;
    site.start().await;
    assert_eq!((state(&site, "fair").await.as_str(), who(&site, "choose").await), ("ACTIVE", vec!["fair".to_owned()]));
    let sets = plugin(&site, &["sets"]).await;
    assert_eq!(sets["sets"].as_array().map(Vec::len), Some(2));

    let set = plugin(&site, &["rollback"]).await;
    assert_eq!((&set["number"], who(&site, "rank").await), (&json!(1), vec!["reapi-priority".to_owned()]));
    site.kill().await;
    site.start().await;
    assert_eq!(who(&site, "rank").await, ["reapi-priority"]);
    assert_eq!(plugin(&site, &["unload", "fair"]).await, json!({ "unloaded": "fair" }));
    assert!(refused(&site, &["show", "fair"]).await.contains("no plugin \"fair\" is loaded"));
    assert!(refused(&site, &["rollback", "2"]).await.contains("fair that is quarantined or unloaded"));

    // Nothing was lost by all this: the streams were cut by the kills, the jobs are there.
    drop((first, second));
    let bot = site.bot("bot", 2).await;
    let bot = tokio::spawn(bot.serve(|_| {}));
    let client = site.client().await;
    for salt in ["observed", "active"] {
        assert_eq!(code(&client.run(&Job::new(salt)).await), Code::Ok);
    }
    bot.abort();
}

#[tokio::test]
async fn a_policy_of_berth_is_configured_by_name_and_its_books_are_read() {
    let site = Site::started(Plan::default()).await;
    let settings = site.folder().join("audit.toml");
    std::fs::write(&settings, "config = { by-instance = true }\n").expect("the folder is ours");
    let loaded = plugin(&site, &["load", "bundled:audit", "--settings", arg(&settings)]).await;
    assert_eq!(loaded["version"]["config"], json!({ "by-instance": true }));
    assert!(loaded["version"]["digest"].as_str().expect("a digest").contains('+'), "{loaded}");
    plugin(&site, &["activate", "audit"]).await;
    assert_eq!(who(&site, "events").await, ["audit"]);

    let bot = tokio::spawn(site.bot("bot", 2).await.serve(|_| {}));
    let client = site.client().await;
    for number in 0..5 {
        client.run(&Job::new(format!("{number}"))).await;
    }
    let key = "instance/main/tenant/";
    let booked = async || {
        let rows = plugin(&site, &["kv", "audit", "--prefix", "instance/"]).await["rows"].clone();
        assert_eq!(rows[0]["key"], key, "{rows}");
        let row = rows[0]["value"].clone();
        if row.is_string() { serde_json::from_str(row.as_str().expect("a text")).expect("a row is JSON") } else { row }
    };
    within("five jobs are in the books", async {
        while plugin(&site, &["kv", "audit"]).await["rows"].as_array().is_none_or(Vec::is_empty)
            || booked().await["completed"] != 5
        {}
    })
    .await;
    // Another configuration of the same component, beside the active one, with books of its own.
    plugin(&site, &["load", "bundled:audit", "--grant", "kv"]).await;
    plugin(&site, &["observe", "audit"]).await;
    client.run(&Job::new("observed")).await;
    within("the observed version keeps books, too", async {
        while !plugin(&site, &["kv", "audit", "--observed", "--prefix", "tenant/"])
            .await
            .to_string()
            .contains("completed")
        {}
    })
    .await;
    within("the active one does", async { while booked().await["completed"] != 6 {} }).await;
    let own = plugin(&site, &["kv", "audit", "--prefix", "tenant/"]).await;
    assert_eq!(own["rows"], json!([]), "the active version keeps them by instance");
    plugin(&site, &["observe", "audit", "--stop"]).await;
    assert!(refused(&site, &["kv", "audit", "--observed"]).await.contains("no version of audit is observed"));
    let shown = plugin(&site, &["show", "audit"]).await;
    assert_eq!((&shown["state"], &shown["feed_problem"]), (&json!("ACTIVE"), &json!("")));
    assert!(shown["feed_cursor"].as_u64() > Some(0) && shown["kv_bytes"].as_u64() > Some(0), "{shown}");
    bot.abort();
}

#[tokio::test]
async fn what_is_observed_is_observed_after_a_restart() {
    let site = Site::started(Plan::default()).await;
    plugin(&site, &["observe", "fair-share"]).await;
    site.kill().await;
    site.start().await;
    assert_eq!(state(&site, "fair-share").await, "OBSERVED");
    let (_, stream) = site.client().await.begin(&Job::new("a")).await;
    within("a difference is found again", async {
        while plugin(&site, &["diff", "fair-share"]).await["different"].as_u64() == Some(0) {}
    })
    .await;
    drop(stream);
    plugin(&site, &["observe", "fair-share", "--stop"]).await;
    site.kill().await;
    site.start().await;
    assert_eq!(state(&site, "fair-share").await, "BUNDLED");
}

#[tokio::test]
async fn an_activation_may_be_for_some_instances() {
    let site = Site::started(Plan::default()).await;
    let set = plugin(&site, &["activate", "priority-age", "--as", "rank", "--instance", "nightly*"]).await;
    let chains = set["chains"].as_array().expect("a list");
    let nightly = chains.iter().find(|chain| chain["instances"] == "nightly*").expect("a chain of its own");
    assert_eq!(nightly["roles"], json!({ "properties": ["containment"], "rank": ["priority-age"] }));
    assert_eq!(who(&site, "rank").await, ["reapi-priority"]);
    let bot = tokio::spawn(site.bot("bot", 1).await.serve(|_| {}));
    let (_, stream) = site.client().await.begin(&Job::new("a")).await;
    assert_eq!(code(&last(stream).await), Code::Ok);
    bot.abort();
}

#[tokio::test]
async fn what_a_component_costs_is_measured_in_the_component() {
    let site = Site::started(Plan::default()).await;
    let measured = plugin(&site, &["bench", "bundled:reapi-priority", "--seconds", "1"]).await;
    let functions = measured["functions"].as_array().expect("a list");
    assert_eq!(functions.len(), 1, "the function of its examples: {measured}");
    let figure = |key: &str| functions[0][key].as_u64().expect("a number");
    assert!(figure("guest_calls") > 1 && figure("guest_p50_ns") > 0, "{measured}");
    assert!(figure("ns") > figure("guest_p50_ns") / 2, "the whole is more than its part: {measured}");
}
