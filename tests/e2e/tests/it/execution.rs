//! What REAPI promises build clients, with bots of both kinds.

use std::time::{Duration, Instant};

use berth_e2e::{Client, Job, LONG, Plan, Site, code, digest, last, response, stage, stdout, violations, within};
use berth_proto::{bots::LeaseState, reapi::execution_stage::Value};
use bytes::Bytes;
use prost::Message;
use tonic::Code;

/// Shorter than any hold of a call: what comes within it came for a reason.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn blobs_that_are_missing_are_named_so_that_a_client_can_upload_them() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let mut request = client.prepare(&Job::new("a")).await.expect("the blobs are stored");

    let unknown = digest(b"nobody uploaded this");
    request.action_digest = Some(unknown.clone());
    let status = client.execute(request.clone()).await.expect_err("there is no such action");
    assert_eq!(violations(&status), [format!("blobs/{}/{}", unknown.hash, unknown.size_bytes)]);

    let file = digest(b"nor this");
    let root = berth_proto::reapi::Directory {
        files: vec![berth_proto::reapi::FileNode {
            name: "f".into(),
            digest: Some(file.clone()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let root: Bytes = root.encode_to_vec().into();
    let action = berth_proto::reapi::Action {
        command_digest: Some(unknown.clone()),
        input_root_digest: Some(digest(&root)),
        ..Default::default()
    };
    let action: Bytes = action.encode_to_vec().into();
    request.action_digest = Some(digest(&action));
    client.upload(vec![root, action]).await.expect("the blobs are stored");
    let status = client.execute(request).await.expect_err("its input is missing");
    let mut named = violations(&status);
    named.sort();
    let mut expected = [unknown, file].map(|blob| format!("blobs/{}/{}", blob.hash, blob.size_bytes));
    expected.sort();
    assert_eq!(named, expected);
}

#[tokio::test]
async fn a_cancel_reaches_a_bot_that_holds_a_call_at_once() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let mut bot = site.bot("bot", 1).await;
    bot.take().await;
    bot.session.leases[0].state = LeaseState::Active as i32;
    // The first report of a running lease changes something, and is answered for that.
    bot.update(LONG).await.expect("an update is answered");
    let asked = Instant::now();
    let held = tokio::spawn(async move {
        bot.update(LONG).await.expect("an update is answered");
        bot
    });
    client.cancel(&first.name).await.expect("it is cancelled");
    let ended = last(stream).await;
    assert_eq!(code(&ended), Code::Cancelled);
    let bot = within("the bot hears of it", held).await.expect("no panic");
    assert!(bot.session.leases.is_empty() && asked.elapsed() < SOON);
    assert_eq!(client.get(&first.name).await.expect("it is there"), ended);
}

#[tokio::test]
async fn a_stream_that_is_dropped_cancels_nothing() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    drop(stream);
    // A whole connection that goes away cancels nothing, either.
    drop(client);
    let mut bot = site.bot("bot", 1).await;
    bot.take().await;
    let client = site.client().await;
    assert_eq!(stage(&client.get(&first.name).await.expect("it is there")), Value::Executing);
    let stream = client.wait(&first.name).await.expect("it is there");
    bot.finish().await;
    assert_eq!(code(&last(stream).await), Code::Ok);
}

#[tokio::test]
async fn a_bot_of_another_process_runs_a_command_and_its_result_is_cached() {
    let site = Site::started(Plan::default()).await;
    let work_dir = site.folder().join("work").display().to_string();
    let arguments = ["bot", "--server", &site.grpc(), "--slots", "2", "--work-dir", &work_dir];
    let mut bot = site.command(&arguments).spawn().expect("berth can be run");
    run_twice(&site.client().await, "process").await;
    let id = bot.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())).expect("it runs");
    rustix::process::kill_process(id, rustix::process::Signal::TERM).expect("it is our child");
    let exit = within("the bot drains", bot.wait()).await.expect("it is our child");
    assert_eq!(exit.code(), Some(0));
}

#[tokio::test]
async fn a_bot_inside_the_server_runs_a_command_and_its_result_is_cached() {
    let site = Site::started(Plan { bots: 1, ..Plan::default() }).await;
    run_twice(&site.client().await, "inside").await;
    assert_eq!(site.terminate().await.code(), Some(0), "{}", site.log());
}

async fn run_twice(client: &Client, salt: &str) {
    let job = Job { arguments: vec!["sh", "-c", "cat in.txt; echo failed well >&2; exit 3"], ..Job::new(salt) };
    let failed = response(&client.run(&job).await).result.expect("it was run");
    assert_eq!((failed.exit_code, &*failed.stderr_raw), (3, &b"failed well\n"[..]));
    let job = Job { arguments: vec!["cat", "in.txt"], ..Job::new(salt) };
    let first = client.run(&job).await;
    assert_eq!(stdout(&first), "an input\n");
    assert!(!response(&first).cached_result);
    let second = client.run(&job).await;
    assert_eq!(stdout(&second), "an input\n");
    assert!(response(&second).cached_result);
}
