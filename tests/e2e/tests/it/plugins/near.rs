//! `affinity` on the real program, alone and in a chain: jobs of a package stay on the bot that served it, and wait for it no
//! longer than they may.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use berth_e2e::{Bot, Job, LONG, Plan, Site, last, salt, succeed, within};
use berth_proto::{
    longrunning::Operation,
    reapi::{RequestMetadata, execution_client::ExecutionClient},
};
use prost::Message;
use serde_json::Value;
use tokio::{sync::mpsc, task::JoinSet};
use tonic::{Request, Streaming, metadata::MetadataValue};

const ALONE: &str = "[policy.instances.\"*\"]\nproperties = \"containment\"\nrank = \"reapi-priority\"\n\
                     affinity = \"affinity\"\n";

/// Every other column of a place is somebody else's, and so is the choice of a lane.
const CHAIN: &str = "[policy.instances.\"*\"]\nproperties = \"property-sets\"\nlane = \"fair-share\"\n\
                     choose = \"fair-share\"\nrank = \"longest-first\"\nhistory = \"longest-first\"\nlimits = \"quota\"\n\
                     affinity = \"affinity\"\nevents = [\"audit\"]\n[plugins.fair-share]\nconfig = { without-tenant = \
                     \"instance\" }\n[plugins.quota]\nconfig = { instance = { max-running = 100 } }\n[plugins.affinity]\n\
                     config = { package = { weight = 2, wait-ms = 10000 } }\n";

/// Two kinds of keys, one with a long wait and one with a short one.
const PATIENT: &str = "[policy.instances.\"*\"]\nproperties = \"containment\"\nrank = \"reapi-priority\"\n\
                       affinity = \"affinity\"\n[plugins.affinity]\nconfig = { package = { weight = 2, wait-ms = 10000 }, \
                       mnemonic = { weight = 1, wait-ms = 1000 } }\n";
const SHORT: Duration = Duration::from_secs(1);

/// No two that follow one another tell chance from habit: bots that take turns would serve both keys.
const KEYS: &str = "abbaaabbabbbaaab";

/// Submits a job; its salt is its name.
async fn begin(site: &Site, name: &str, of: RequestMetadata) -> (Operation, Streaming<Operation>) {
    let job = Job { do_not_cache: true, platform: vec![("OSFamily", "linux")], ..Job::new(name) };
    let mut request = Request::new(site.client().await.prepare(&job).await.expect("the blobs are stored"));
    let of = MetadataValue::from_bytes(&of.encode_to_vec());
    request.metadata_mut().insert_bin("build.bazel.remote.execution.v2.requestmetadata-bin", of);
    let mut client = ExecutionClient::new(site.channel().await);
    let mut stream = client.execute(request).await.expect("the action is executed").into_inner();
    let first = within("an operation is acknowledged", stream.message()).await.expect("the stream lives");
    (first.expect("a stream begins with the state"), stream)
}

/// A job of a package, in one of three builds.
async fn begin_in(site: &Site, package: char, number: usize) -> (Operation, Streaming<Operation>) {
    let of = RequestMetadata {
        target_id: format!("//{package}:lib{number}"),
        tool_invocation_id: format!("build-{}", number % 3),
        ..RequestMetadata::default()
    };
    begin(site, &format!("{package}{number}"), of).await
}

/// Waits for the end, which the first message may have told.
async fn end((first, stream): (Operation, Streaming<Operation>)) {
    if !first.done {
        last(stream).await;
    }
}

/// Tells what it has got and gets, and finishes it at once, for ever.
async fn work(mut bot: Bot, told: mpsc::UnboundedSender<(String, String)>) {
    loop {
        for lease in &mut bot.session.leases {
            // Nobody listens when the test is over.
            let _ = told.send((bot.session.bot_id.clone(), salt(lease)));
            succeed(lease);
        }
        bot.update(LONG).await.expect("an update is answered");
    }
}

/// Waits until so many bots ask for work.
async fn ask(site: &Site, count: usize) {
    within("bots ask", async {
        loop {
            let listed = site.ask(&["bots", "list", "--json"]).await.json();
            let bots = listed["bots"].as_array().expect("a list");
            if bots.iter().filter(|bot| bot["asking"] == true).count() == count {
                return;
            }
        }
    })
    .await;
}

/// Which bots served each package, where both ask whenever a job comes.
async fn bots_of_packages(config: &'static str) -> BTreeMap<char, Vec<String>> {
    let site = Site::started(Plan { config, ..Plan::default() }).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut bots = JoinSet::new();
    for name in ["one", "two"] {
        let mut bot = site.bot(name, 1).await;
        bot.open(Duration::from_secs(1)).await.expect("a session is opened");
        bots.spawn(work(bot, tell.clone()));
    }
    let mut served = BTreeMap::<char, Vec<String>>::new();
    for (number, package) in KEYS.chars().enumerate() {
        ask(&site, 2).await;
        end(begin_in(&site, package, number).await).await;
        let (bot, _) = within("a bot tells", told.recv()).await.expect("bots live");
        served.entry(package).or_default().push(bot);
    }
    served.values_mut().for_each(|bots| bots.dedup());
    served
}

#[tokio::test]
async fn a_package_stays_on_its_bot_while_both_are_free() {
    for config in [ALONE, CHAIN] {
        let served = bots_of_packages(config).await;
        assert!(served.values().all(|bots| bots.len() == 1), "{served:?}: {config}");
        assert_ne!(served[&'a'], served[&'b'], "{config}");
    }
    let by_turns = bots_of_packages("").await;
    assert!(by_turns.values().all(|bots| bots.len() > 1), "without it bots take turns: {by_turns:?}");
}

#[tokio::test]
async fn in_a_queue_of_many_lanes_bots_find_their_packages() {
    let site = Site::started(Plan { config: CHAIN, ..Plan::default() }).await;
    let (tell, mut told) = mpsc::unbounded_channel();
    let (mut bots, mut streams) = (Vec::new(), Vec::new());
    for (number, (name, package)) in [("one", 'a'), ("two", 'b')].into_iter().enumerate() {
        streams.push(begin_in(&site, package, number).await);
        let mut bot = site.bot(name, 1).await;
        assert_eq!(salt(&bot.take().await), format!("{package}{number}"));
        bots.push(bot);
    }
    for (package, number) in KEYS.chars().cycle().zip(2..26) {
        streams.push(begin_in(&site, package, number).await);
    }
    let mut tasks = JoinSet::new();
    bots.into_iter().for_each(|bot| drop(tasks.spawn(work(bot, tell.clone()))));
    for begun in streams {
        end(begun).await;
    }
    for _ in 0..26 {
        let (bot, job) = within("a bot tells", told.recv()).await.expect("bots live");
        assert_eq!(bot, if job.starts_with('a') { "one" } else { "two" }, "{job}");
    }
}

async fn waits(site: &Site, job: &str) -> Value {
    let shown = site.ask(&["jobs", "show", job, "--json"]).await.json();
    shown["waiting"]["code"].clone()
}

#[tokio::test]
async fn a_job_waits_for_its_bot_as_long_as_its_keys_say() {
    let site = Site::started(Plan { config: PATIENT, ..Plan::default() }).await;
    let of_package = |number| RequestMetadata { target_id: format!("//a:{number}"), ..RequestMetadata::default() };
    let of_tool = || RequestMetadata { action_mnemonic: "Link".into(), ..RequestMetadata::default() };
    let (mut near, mut far) = (site.bot("near", 1).await, site.bot("far", 1).await);
    let _first = begin(&site, "first", of_package(1)).await;
    near.take().await;
    let mut other = far.clone();
    let idle = tokio::spawn(async move {
        let lease = salt(&other.take().await);
        (other, lease)
    });
    ask(&site, 1).await;

    let (second, _second) = begin(&site, "second", of_package(2)).await;
    assert_eq!(waits(&site, &second.name).await, "NEAR_BOTS");
    near.finish().await;
    assert_eq!(salt(&near.take().await), "second", "its bot is free, and it goes there at once");
    near.finish().await;

    let _link = begin(&site, "link", of_tool()).await;
    let lease;
    (far, lease) = within("the bot that asks is given what nobody knows", idle).await.expect("it lives");
    assert_eq!(lease, "link");
    let begun = Instant::now();
    let (again, _again) = begin(&site, "again", of_tool()).await;
    let third = near.take();
    let third = async { (third.await, begun.elapsed()) };
    let (code, (lease, took)) = tokio::join!(
        async {
            ask(&site, 1).await;
            waits(&site, &again.name).await
        },
        third
    );
    assert_eq!((salt(&lease), code), ("again".to_owned(), "NEAR_BOTS".into()));
    assert!(took >= SHORT && took < 8 * SHORT, "it took {took:?}");
    far.finish().await;
}
