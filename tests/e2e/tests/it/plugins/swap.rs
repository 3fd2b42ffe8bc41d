//! Policies change while jobs flow: no job is lost or stalled, or placed by a version that was not active at its time.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use berth_e2e::{Job, Plan, Site, code, last, say, within};
use berth_proto::admin::{
    ActivateRequest, LoadRequest, PluginSettings, RollbackRequest, load_request::Part, plugins_client::PluginsClient,
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, transport::Channel};

use super::{component, plugin};

/// `BERTH_SWAPS` and `BERTH_SWAP_JOBS` set others.
const SWAPS: usize = 100;
const JOBS: usize = 2_000;

/// Two versions of fair-share, which name their lanes in different ways: after the instance, and not.
const WORDS: [&str; 2] = ["instance", "nothing"];

async fn load(client: &mut PluginsClient<Channel>, settings: PluginSettings, component: Vec<u8>) -> String {
    let mut parts = vec![LoadRequest { part: Some(Part::Settings(settings)) }];
    if !component.is_empty() {
        parts.push(LoadRequest { part: Some(Part::Component(Bytes::from(component))) });
    }
    let loaded = client.load(futures::stream::iter(parts)).await.expect("it is loaded").into_inner();
    loaded.version.expect("a version").digest
}

async fn activate(client: &mut PluginsClient<Channel>, name: &str, digest: &str, roles: &[&str]) {
    let roles = roles.iter().map(|role| (*role).to_owned()).collect();
    let request = ActivateRequest { name: name.into(), digest: digest.into(), roles, ..ActivateRequest::default() };
    client.activate(request).await.expect("it is activated");
}

/// Loads the versions that take turns, and the witness that is told what each calls its lanes and hears the feed from here
/// on. The first version is active.
async fn set_up(client: &mut PluginsClient<Channel>) -> Vec<String> {
    let mut versions = Vec::new();
    for word in WORDS {
        let config_json = json!({ "without-tenant": word }).to_string();
        let (name, bundled) = ("fair-share".to_owned(), "fair-share".to_owned());
        let settings = PluginSettings { name, bundled, config_json, ..PluginSettings::default() };
        versions.push(load(client, settings, Vec::new()).await);
    }
    let lanes = json!({ "main/": versions[0], "": versions[1] });
    let config_json = json!({ "policy": "fair-share", "lanes": lanes }).to_string();
    let grants = ["config", "kv", "log"].map(str::to_owned).to_vec();
    let settings = PluginSettings { name: "witness".into(), config_json, grants, ..PluginSettings::default() };
    let witness = std::fs::read(component("witness")).expect("it was just built");
    let witness = load(client, settings, witness).await;
    activate(client, "witness", &witness, &["events"]).await;
    activate(client, "fair-share", &versions[0], &["lane"]).await;
    versions
}

/// Activates the one and rolls back to the other until all is done, at least so often. Answers how often.
async fn swap(
    mut client: PluginsClient<Channel>,
    versions: Vec<String>,
    swaps: usize,
    mut over: watch::Receiver<bool>,
) -> usize {
    let mut count = 0;
    while count < swaps || !*over.borrow_and_update() {
        if count % 2 == 0 {
            activate(&mut client, "fair-share", &versions[1], &[]).await;
        } else {
            client.rollback(RollbackRequest { set: 0 }).await.expect("there is a set to go back to");
        }
        count += 1;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    count
}

/// What the witness has written when it has heard everything.
async fn testimony(site: &Site) -> Vec<(String, String)> {
    within("the witness has heard everything", async {
        loop {
            let shown = plugin(site, &["show", "witness"]).await;
            if shown["feed_cursor"] == shown["feed_end"] {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = plugin(site, &["kv", "witness"]).await["rows"].clone();
    rows.as_array().expect("a list").iter().map(|row| (text(&row["key"]), text(&row["value"]))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost_or_placed_by_a_version_that_was_not_active() {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default);
    let (swaps, jobs) = (number("BERTH_SWAPS", SWAPS), number("BERTH_SWAP_JOBS", JOBS));
    let site = Arc::new(Site::started(Plan::default()).await);
    let mut admin = PluginsClient::new(site.channel().await);
    let versions = set_up(&mut admin).await;

    // The queue is full before the first swap, and more comes in while they happen.
    let client = site.client().await;
    let mut streams = JoinSet::new();
    let mut submit = async |from: usize, to: usize| {
        for job in from..to {
            let job = Job { do_not_cache: true, ..Job::new(job.to_string()) };
            let (first, stream) = client.begin(&job).await;
            streams.spawn(async move { (first.name, last(stream).await) });
        }
    };
    submit(0, jobs / 2).await;
    let (say_over, over) = watch::channel(false);
    let swapper = tokio::spawn(swap(admin, versions, swaps, over));
    submit(jobs / 2, jobs).await;
    let mut bots = JoinSet::new();
    for bot in 0..4 {
        bots.spawn(site.bot(&format!("bot-{bot}"), 4).await.serve(|_| {}));
    }
    let mut ended = BTreeSet::new();
    within("every job ends", async {
        while let Some(stream) = streams.join_next().await {
            let (name, operation) = stream.expect("no panic");
            assert_eq!(code(&operation), Code::Ok, "{name}");
            ended.insert(name);
        }
    })
    .await;
    say_over.send_replace(true);
    let swapped = within("the last swap is answered", swapper).await.expect("no panic");
    bots.shutdown().await;
    assert_eq!(ended.len(), jobs, "each operation is another one");
    let listed = site.ask(&["jobs", "list", "--json"]).await.json();
    assert_eq!(listed["incomplete_total"], 0);

    let rows = testimony(&site).await;
    let wrong: Vec<_> = rows.iter().filter(|(key, _)| key.starts_with("wrong/")).collect();
    assert!(wrong.is_empty(), "jobs were placed by a version that was not active: {wrong:?}");
    let told = |key: &str| {
        let row = rows.iter().find(|(own, _)| own == key).unwrap_or_else(|| panic!("no {key} in {rows:?}"));
        row.1.parse::<usize>().expect("a number")
    };
    let (heard, created, moved) = (told("swaps"), told("created"), told("moved"));
    assert_eq!((heard, created), (swapped + 1, jobs), "the feed tells of each swap and each job");
    assert!(moved > 0, "jobs that wait follow the swaps");
    say(&format!(
        "swap: {swapped} swaps; {created} jobs were placed and moved {moved} times, each by the active version"
    ));
    let sets: Value = site.ask(&["plugin", "sets", "--json"]).await.json();
    assert!(sets["sets"].as_array().is_some_and(|sets| sets.len() <= 20), "only the last sets are remembered");
}
