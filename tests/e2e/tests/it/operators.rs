//! The operator's commands against a live server.

use berth_e2e::{Job, LONG, Plan, Site, code, last};
use serde_json::{Value, json};
use tonic::Code;

/// The value at a path.
fn at<'a>(value: &'a Value, path: &str) -> &'a Value {
    value.pointer(path).unwrap_or_else(|| panic!("no {path} in {value}"))
}

#[tokio::test]
async fn jobs_are_listed_shown_and_cancelled() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let (first, stream) = client.begin(&Job { arguments: vec!["make", "first"], ..Job::new("a") }).await;
    let (merged, merged_stream) = client.begin(&Job { arguments: vec!["make", "first"], ..Job::new("a") }).await;
    let (second, _stream) = client.begin(&Job { priority: 4, ..Job::new("b") }).await;

    let list = site.ask(&["jobs", "list", "--json"]).await.json();
    assert_eq!(at(&list, "/incomplete_total"), 2);
    let job = at(&list, "/jobs/0");
    assert_eq!(at(job, "/operations"), &json!([first.name, merged.name]));
    assert_eq!((at(job, "/stage"), at(job, "/command_line")), (&json!("QUEUED"), &json!("make first")));
    assert_eq!(at(&list, "/jobs/1/rank"), 4);
    let table = site.ask(&["jobs", "list"]).await;
    assert_eq!(table.code, 0, "{table:?}");
    assert!(table.stdout.contains("make first") && table.stdout.contains("2 incomplete"), "{}", table.stdout);

    // By job, by operation, and by the first digits of either.
    let id = at(job, "/job").as_str().expect("an id");
    let operation = first.name.rsplit_once('/').expect("INSTANCE/ID").1;
    for name in [id, &id[..12], &first.name, operation] {
        let shown = site.ask(&["jobs", "show", name, "--json"]).await.json();
        assert_eq!(at(&shown, "/job"), id, "{name}");
        assert_eq!(at(&shown, "/waiting/code"), "NO_BOTS", "{name}");
    }
    let shown = site.ask(&["jobs", "show", id]).await;
    assert!(shown.stdout.contains("no bot of this instance has an open session"), "{}", shown.stdout);

    let cancelled = site.ask(&["jobs", "cancel", id, "--json"]).await.json();
    assert_eq!(cancelled, json!({ "operations_cancelled": 2 }));
    for stream in [stream, merged_stream] {
        assert_eq!(code(&last(stream).await), Code::Cancelled);
    }
    let shown = site.ask(&["jobs", "show", id, "--json"]).await.json();
    assert_eq!((at(&shown, "/stage"), at(&shown, "/outcome")), (&json!("COMPLETED"), &json!("cancelled")));
    let left = site.ask(&["jobs", "list", "--json"]).await.json();
    assert_eq!(at(&left, "/jobs/0/operations"), &json!([second.name]));
    let all = site.ask(&["jobs", "list", "--finished", "--json"]).await.json();
    assert_eq!(at(&all, "/jobs").as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn quotas_are_set_listed_and_deleted_and_a_kill_keeps_them() {
    let config = "[scheduler]\ncohorts = [{ name = \"unix\", labels = [\"linux\"] }]\n";
    let site = Site::started(Plan { config, ..Plan::default() }).await;
    let list = site.ask(&["quota", "list", "--json"]).await.json();
    assert_eq!(list, json!({ "quotas": [], "cohorts": ["unix"] }));
    let set = site.ask(&["quota", "set", "unix", "--min", "1", "--max", "3", "--json"]).await.json();
    let zero = json!(0);
    assert_eq!((at(&set, "/min"), at(&set, "/max"), at(&set, "/running")), (&json!(1), &json!(3), &zero));
    let refused = site.ask(&["quota", "set", "vms", "--max", "3"]).await;
    assert_ne!(refused.code, 0);
    assert!(refused.stderr.contains("expected one of unix"), "{refused:?}");
    let refused = site.ask(&["quota", "set", "unix", "--min", "4", "--max", "3"]).await;
    assert!(refused.stderr.contains("more than the maximum"), "{refused:?}");
    site.kill().await;
    site.start().await;
    let shown = site.ask(&["quota", "show", "unix"]).await;
    assert!(shown.stdout.contains("unix") && shown.stdout.contains("main"), "{shown:?}");
    let deleted = site.ask(&["quota", "delete", "unix", "--json"]).await.json();
    assert_eq!(at(&deleted, "/deleted"), true);
    assert_ne!(site.ask(&["quota", "show", "unix"]).await.code, 0);
}

#[tokio::test]
async fn a_job_that_waits_says_why() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let mut bot = site.bot("bot", 1).await;
    bot.open(std::time::Duration::from_secs(1)).await.expect("a session is opened");
    let (windows, _stream) = client.begin(&Job { platform: vec![("OSFamily", "windows")], ..Job::new("w") }).await;
    let why = async |name: &str| site.ask(&["jobs", "show", name, "--json"]).await.json();
    let shown = why(&windows.name).await;
    assert_eq!(at(&shown, "/waiting/code"), "NO_BOT_OFFERS");
    assert_eq!(at(&shown, "/waiting/missing"), &json!([{ "name": "OSFamily", "value": "windows" }]));
    let shown = site.ask(&["jobs", "show", &windows.name]).await;
    assert!(shown.stdout.contains("no bot offers OSFamily=windows"), "{}", shown.stdout);

    let (first, _stream) = client.begin(&Job::new("1")).await;
    assert_eq!(at(&why(&first.name).await, "/waiting/code"), "BOTS_NOT_ASKING");
    bot.take().await;
    let (second, _stream) = client.begin(&Job::new("2")).await;
    let (third, _stream) = client.begin(&Job::new("3")).await;
    assert_eq!(at(&why(&second.name).await, "/waiting/code"), "BOTS_BUSY");
    assert_eq!(at(&why(&third.name).await, "/waiting/ahead"), 1);
    let running = why(&first.name).await;
    assert_eq!((at(&running, "/waiting"), at(&running, "/lease/bot_id")), (&Value::Null, &json!("bot")));
}

#[tokio::test]
async fn bots_are_listed_and_drained_and_a_drain_holds_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let mut bot = site.bot("bot-1", 3).await;
    let (_, _stream) = site.client().await.begin(&Job::new("a")).await;
    bot.take().await;
    let list = site.ask(&["bots", "list", "--json"]).await.json();
    let listed = at(&list, "/bots/0");
    assert_eq!((at(listed, "/bot_id"), at(listed, "/slots")), (&json!("bot-1"), &json!(3)));
    assert_eq!(at(listed, "/leases").as_array().map(Vec::len), Some(1));
    assert_eq!(at(listed, "/properties"), &json!([{ "name": "OSFamily", "value": "linux" }]));

    let drained = site.ask(&["bots", "drain", "bot-1", "--json"]).await.json();
    assert_eq!(drained, json!({ "bot_id": "bot-1", "drained": true, "leases": 1 }));
    let table = site.ask(&["bots", "list"]).await;
    assert!(table.stdout.contains("bot-1") && table.stdout.contains("drained"), "{}", table.stdout);

    site.kill().await;
    site.start().await;
    bot.reconnect(site.channel().await);
    bot.finish().await;
    let client = site.client().await;
    let (waits, stream) = client.begin(&Job::new("b")).await;
    bot.update(std::time::Duration::from_secs(1)).await.expect("an update is answered");
    assert!(bot.session.leases.is_empty());
    let shown = site.ask(&["jobs", "show", &waits.name, "--json"]).await.json();
    assert_eq!(at(&shown, "/waiting/code"), "BOTS_TAKE_NO_WORK");

    let held = tokio::spawn(async move {
        bot.update(LONG).await.expect("an update is answered");
        bot
    });
    let undone = site.ask(&["bots", "drain", "bot-1", "--undo", "--json"]).await.json();
    assert_eq!(at(&undone, "/drained"), false);
    let mut bot = held.await.expect("no panic");
    assert_eq!(bot.session.leases.len(), 1);
    bot.finish().await;
    assert_eq!(code(&last(stream).await), Code::Ok);
}

#[tokio::test]
async fn a_mistake_is_answered_with_what_to_do() {
    let site = Site::started(Plan::default()).await;
    let unknown = site.ask(&["jobs", "show", "0123456789ab"]).await;
    assert!(unknown.code > 0 && unknown.stderr.starts_with("berth: "), "{unknown:?}");
    site.kill().await;
    let nobody = site.ask(&["bots", "list"]).await;
    assert!(nobody.code > 0 && nobody.stderr.contains(&site.grpc()), "{nobody:?}");
}

#[tokio::test]
async fn operators_pause_requeue_and_kick_over_a_kill() {
    let site = Site::started(Plan::default()).await;
    let client = site.client().await;
    let linux = |salt: &str| Job { platform: vec![("OSFamily", "linux")], ..Job::new(salt) };
    let (first, stream) = client.begin(&linux("a")).await;
    let mut bot = site.bot("bot-1", 1).await;
    bot.take().await;
    let (second, second_stream) = client.begin(&linux("b")).await;
    let paused = site.ask(&["jobs", "pause", "--label", "linux", "--json"]).await.json();
    let expected = json!({ "instance": "main", "label": "linux", "paused": true, "queued": 1, "executing": 1 });
    assert_eq!(paused, expected);
    let requeued = site.ask(&["jobs", "requeue", &first.name, "--json"]).await.json();
    assert_eq!(requeued, json!({ "job": first.name, "requeued": true }));
    let twice = site.ask(&["jobs", "requeue", &first.name]).await;
    assert!(twice.code > 0 && twice.stderr.contains("is not executing"), "{twice:?}");

    site.kill().await;
    site.start().await;
    let pauses = site.ask(&["jobs", "pauses", "--json"]).await.json();
    assert_eq!(pauses, json!({ "pauses": [{ "instance": "main", "label": "linux" }] }));
    for name in [&first.name, &second.name] {
        let shown = site.ask(&["jobs", "show", name, "--json"]).await.json();
        assert_eq!(at(&shown, "/waiting/code"), "LABEL_PAUSED");
        assert_eq!(at(&shown, "/attempts_used"), 0);
    }
    let table = site.ask(&["jobs", "pauses"]).await;
    assert!(table.stdout.contains("linux"), "{}", table.stdout);
    let history = site.ask(&["jobs", "history", &first.name, "--json"]).await.json();
    let events = at(&history, "/events").as_array().expect("a list");
    let kinds: Vec<_> = events.iter().map(|event| at(event, "/kind").clone()).collect();
    assert_eq!(kinds, ["CREATED", "OPERATION_CREATED", "ASSIGNED", "REQUEUED"]);
    assert_eq!(at(&history, "/events/3/bot_id"), "bot-1");
    let told = site.ask(&["jobs", "history", &first.name]).await;
    assert!(told.stdout.contains("REQUEUED") && told.stdout.contains("bot-1"), "{}", told.stdout);

    // Sooner than the older one, as soon as there is no pause.
    let moved = site.ask(&["jobs", "prioritize", &second.name, "-3", "--json"]).await.json();
    assert_eq!((at(&moved, "/rank_before"), at(&moved, "/rank")), (&json!(0), &json!(-3)));
    let kicked = site.ask(&["bots", "kick", "bot-1", "--json"]).await.json();
    assert_eq!(kicked, json!({ "bot_id": "bot-1", "leases": 0 }));
    let gone = site.ask(&["bots", "kick", "bot-1"]).await;
    assert!(gone.code > 0 && gone.stderr.contains("bot-1"), "{gone:?}");
    let undone = site.ask(&["jobs", "pause", "--label", "linux", "--undo"]).await;
    assert!(undone.stdout.contains("go to bots again"), "{undone:?}");
    let mut other = site.bot("bot-2", 1).await;
    other.take().await;
    let shown = site.ask(&["jobs", "show", &second.name, "--json"]).await.json();
    assert_eq!(at(&shown, "/lease/bot_id"), "bot-2");
    other.finish().await;
    other.take().await;
    other.finish().await;
    drop((stream, second_stream));
    for name in [&first.name, &second.name] {
        assert_eq!(at(&site.ask(&["jobs", "show", name, "--json"]).await.json(), "/outcome"), "ok");
    }
}

#[tokio::test]
async fn what_meets_a_filter_is_listed_and_cancelled() {
    let site = Site::started(Plan::default()).await;
    let ours = site.client().await.invoked_as("ours");
    let (first, stream) = ours.begin(&Job::new("a")).await;
    let (second, _second) = site.client().await.invoked_as("theirs").begin(&Job::new("b")).await;
    let list = site.ask(&["jobs", "list", "--filter", "invocation_id = ours", "--json"]).await.json();
    assert_eq!((at(&list, "/incomplete_total"), at(&list, "/jobs/0/operations")), (&json!(1), &json!([first.name])));

    let cancel = ["operations", "cancel-matching", "invocation_id = ours"];
    let dry = site.ask(&[&cancel[..], &["--dry-run", "--json"]].concat()).await.json();
    assert_eq!(dry, json!({ "matched": 1, "cancelled": 0, "dry_run": true }));
    let told = site.ask(&cancel).await;
    assert_eq!((told.code, told.stdout.trim()), (0, "1 operations cancelled"), "{told:?}");
    assert_eq!(code(&last(stream).await), Code::Cancelled);
    let left = site.ask(&["jobs", "list", "--json"]).await.json();
    assert_eq!(at(&left, "/jobs/0/operations"), &json!([second.name]));

    let values = site.ask(&["operations", "values", "tool_invocation_id", "--json"]).await.json();
    assert_eq!(values, json!({ "values": ["ours", "theirs"], "total": 2 }));
    let part = site.ask(&["operations", "values", "tool_invocation_id", "--pattern", "EIR"]).await;
    assert!(part.stdout.starts_with("theirs\n1 shown"), "{}", part.stdout);
    let summary = site.ask(&["operations", "summary", "tool_invocation_id", "ours", "--json"]).await.json();
    assert_eq!((at(&summary, "/completed"), at(&summary, "/total")), (&json!(1), &json!(1)));
    let told = site.ask(&["operations", "summary", "tool_invocation_id", "theirs"]).await;
    assert!(told.stdout.starts_with("1 queued, 0 executing, 0 completed"), "{}", told.stdout);
    let refused = site.ask(&["operations", "cancel-matching", "pet = cat"]).await;
    assert!(refused.code > 0 && refused.stderr.contains("queued_time"), "{refused:?}");
}
