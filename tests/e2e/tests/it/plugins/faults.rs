//! A plugin that fails gives way to the last good one, and stays away.

use berth_e2e::{Job, Plan, Site, code, within};
use serde_json::json;
use tonic::Code;

use super::{arg, component, plugin, refused, state, who};

#[tokio::test]
async fn a_plugin_that_fails_too_often_gives_way_and_stays_away() {
    let site = Site::started(Plan::default()).await;
    let settings = site.folder().join("faulty.toml");
    let text = "config = { fault = \"trap\", functions = [\"place\"] }\nlimits = { faults = 3 }\n\
                grants = [\"log\", \"config\", \"clock\", \"kv\", \"stats\", \"metrics\"]\n";
    std::fs::write(&settings, text).expect("the folder is ours");
    plugin(&site, &["load", arg(&component("faulty")), "--settings", arg(&settings)]).await;
    plugin(&site, &["activate", "faulty", "--as", "rank"]).await;
    assert_eq!(who(&site, "rank").await, ["faulty"]);

    // No client notices: the built-in rule answers until the last good set is back.
    let client = site.client().await;
    let mut streams = Vec::new();
    for number in 0..5 {
        streams.push(client.begin(&Job::new(format!("{number}"))).await.1);
    }
    within("the last good version is back", async { while who(&site, "rank").await != ["reapi-priority"] {} }).await;
    let shown = plugin(&site, &["show", "faulty"]).await;
    assert_eq!(shown["state"], "QUARANTINED");
    assert!(shown["quarantine_reason"].as_str().is_some_and(|why| why.starts_with("too many faults")), "{shown}");
    let functions = shown["functions"].as_array().expect("a list");
    let place = functions.iter().find(|function| function["function"] == "priority.place").expect("it was asked");
    assert!(place["faults"]["trap"].as_u64() >= Some(3), "{place}");
    let active = plugin(&site, &["sets"]).await["sets"][0].clone();
    assert!(active["why"].as_str().is_some_and(|why| why.contains("was quarantined")), "{active}");

    assert!(refused(&site, &["activate", "faulty"]).await.contains("quarantine faulty --digest"));
    site.kill().await;
    site.start().await;
    assert_eq!(state(&site, "faulty").await, "QUARANTINED");
    assert_eq!(who(&site, "rank").await, ["reapi-priority"]);
    plugin(&site, &["quarantine", "faulty", "--release"]).await;
    assert_eq!(state(&site, "faulty").await, "LOADED");
    drop(streams);
    let bot = tokio::spawn(site.bot("bot", 1).await.serve(|_| {}));
    let client = site.client().await;
    for number in 0..5 {
        assert_eq!(code(&client.run(&Job::new(format!("{number}"))).await), Code::Ok);
    }
    bot.abort();
}

#[tokio::test]
async fn an_operator_takes_a_version_out_of_service() {
    let site = Site::started(Plan::default()).await;
    plugin(&site, &["activate", "fair-share", "--as", "lane", "--as", "choose"]).await;
    let set = plugin(&site, &["quarantine", "fair-share", "--reason", "it is late"]).await;
    assert_eq!(set["chains"][0]["roles"], json!({ "properties": ["containment"], "rank": ["reapi-priority"] }));
    let shown = plugin(&site, &["show", "fair-share"]).await;
    assert_eq!((&shown["state"], &shown["quarantine_reason"]), (&json!("QUARANTINED"), &json!("it is late")));
    assert!(refused(&site, &["rollback", "2"]).await.contains("fair-share that is quarantined"));
}
