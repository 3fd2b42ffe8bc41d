//! Policies change while jobs flow: no job is lost or stalled, or placed by a version that was not active at its time.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_e2e::{Job, Plan, Site, code, last, say, within};
use berth_proto::admin::{
    ActivateRequest, LoadRequest, PluginSettings, RollbackRequest, load_request::Part, plugins_client::PluginsClient,
};
use serde_json::Value;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, transport::Channel};

/// `BERTH_SWAPS` and `BERTH_SWAP_JOBS` set others.
const SWAPS: usize = 100;
const JOBS: usize = 2_000;

/// When a version answered: from the request that brought it until the answer to the one that took it away.
struct Reign {
    version: usize,
    from: Instant,
    until: Option<Instant>,
}

/// Two versions of fair-share, which name their lanes in different ways.
const WORDS: [&str; 2] = ["instance", "nothing"];

async fn load(client: &mut PluginsClient<Channel>) -> Vec<String> {
    let mut digests = Vec::new();
    for word in WORDS {
        let settings = PluginSettings {
            name: "fair-share".into(),
            bundled: "fair-share".into(),
            config_json: serde_json::json!({ "without-tenant": word }).to_string(),
            ..PluginSettings::default()
        };
        let request = LoadRequest { part: Some(Part::Settings(settings)) };
        let loaded = client.load(futures::stream::iter([request])).await.expect("it is loaded").into_inner();
        digests.push(loaded.version.expect("a version").digest);
    }
    digests
}

async fn activate(client: &mut PluginsClient<Channel>, digest: &str) {
    let request = ActivateRequest { name: "fair-share".into(), digest: digest.into(), ..ActivateRequest::default() };
    client.activate(request).await.expect("it is activated");
}

/// Activates the one and rolls back to the other until all is done, at least so often.
async fn swap(
    mut client: PluginsClient<Channel>,
    digests: Vec<String>,
    started: Instant,
    swaps: usize,
    mut over: watch::Receiver<bool>,
) -> Vec<Reign> {
    let mut reigns = vec![Reign { version: 0, from: started, until: None }];
    while reigns.len() <= swaps || !*over.borrow_and_update() {
        let version = reigns.len() % 2;
        let from = Instant::now();
        if version == 1 {
            activate(&mut client, &digests[1]).await;
        } else {
            client.rollback(RollbackRequest { set: 0 }).await.expect("there is a set to go back to");
        }
        reigns.last_mut().expect("the first").until = Some(Instant::now());
        reigns.push(Reign { version, from, until: None });
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    reigns
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_job_is_lost_or_placed_by_a_version_that_was_not_active() {
    let number =
        |name: &str, default: usize| std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(default);
    let (swaps, jobs) = (number("BERTH_SWAPS", SWAPS), number("BERTH_SWAP_JOBS", JOBS));
    let site = Arc::new(Site::started(Plan::default()).await);
    let mut admin = PluginsClient::new(site.channel().await);
    let digests = load(&mut admin).await;
    activate(&mut admin, &digests[0]).await;

    // The queue is full before the first swap, and more comes in while they happen.
    let client = site.client().await;
    let started = Instant::now();
    let mut streams = JoinSet::new();
    let mut submit = async |from: usize, to: usize| {
        for job in from..to {
            let sent = Instant::now();
            let job = Job { do_not_cache: true, ..Job::new(job.to_string()) };
            let (first, stream) = client.begin(&job).await;
            streams.spawn(async move {
                let operation = last(stream).await;
                (first.name, sent, Instant::now(), operation)
            });
        }
    };
    submit(0, jobs / 2).await;
    let (say_over, over) = watch::channel(false);
    let swapper = tokio::spawn(swap(admin, digests, started, swaps, over));
    submit(jobs / 2, jobs).await;
    let mut bots = JoinSet::new();
    for bot in 0..4 {
        bots.spawn(site.bot(&format!("bot-{bot}"), 4).await.serve(|_| {}));
    }
    let mut ended = BTreeMap::new();
    within("every job ends", async {
        while let Some(stream) = streams.join_next().await {
            let (name, sent, over, operation) = stream.expect("no panic");
            assert_eq!(code(&operation), Code::Ok, "{name}");
            ended.insert(name, (sent, over));
        }
    })
    .await;
    say_over.send_replace(true);
    let reigns = within("the last swap is answered", swapper).await.expect("no panic");
    bots.shutdown().await;

    let listed = site.ask(&["jobs", "list", "--finished", "--limit", "10000", "--json"]).await.json();
    assert_eq!(listed["incomplete_total"], 0);
    let (mut strict, mut seen) = (0, [0; 2]);
    for job in listed["jobs"].as_array().expect("a list") {
        let lane = job["lane"].as_str().expect("a lane");
        let version = usize::from(!lane.starts_with("main/"));
        let operations = job["operations"].as_array().expect("a list");
        let times = operations.iter().find_map(|name| ended.remove(name.as_str().map(str::to_owned)?.as_str()));
        // Jobs that wait are placed again at each swap: any version counts that was active before the job was over.
        let (sent, over) = times.unwrap_or_else(|| panic!("nobody asked for {job}"));
        let active = |reign: &&Reign| reign.from <= over && reign.until.is_none_or(|until| until >= sent);
        let mut active: Vec<usize> = reigns.iter().filter(active).map(|reign| reign.version).collect();
        active.dedup();
        assert!(active.contains(&version), "lane {lane:?} is of a version that was not active: {job}");
        strict += usize::from(active.len() == 1);
        seen[version] += 1;
    }
    assert!(ended.is_empty(), "jobs that are not listed: {ended:?}");
    assert!(seen[0] > 0 && seen[1] > 0, "both versions placed jobs: {seen:?}");
    say(&format!(
        "swap: {} swaps, {jobs} jobs placed {seen:?}; for {strict} only one version was active",
        reigns.len() - 1
    ));
    let sets: Value = site.ask(&["plugin", "sets", "--json"]).await.json();
    assert!(sets["sets"].as_array().is_some_and(|sets| sets.len() <= 20), "only the last sets are remembered");
}
