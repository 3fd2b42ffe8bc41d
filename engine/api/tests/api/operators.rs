//! What operators do, by `berth.admin.v1`, and that a restart changes nothing of it.

use std::time::Duration;

use berth_proto::{
    admin::{
        CancelOperationsProgress, CancelOperationsRequest, DrainBotRequest, GetHistoryRequest, GetJobRequest,
        Job as Shown, KickBotRequest, ListJobsRequest, ListPausesRequest, PauseRequest, PauseResponse,
        RequeueJobRequest, SetPriorityRequest, pauses_client::PausesClient,
    },
    longrunning::GetOperationRequest,
    reapi::execution_stage::Value,
};
use tonic::{Code, Status};

use crate::house::{Client, House, Job, LONG, last, response, stage, succeed};

const MOMENT: Duration = Duration::from_millis(100);

async fn get(client: &Client, job: &str) -> Shown {
    client.admin_jobs().get_job(GetJobRequest { job: job.into() }).await.unwrap().into_inner()
}

async fn pause(client: &Client, label: Option<&str>, undo: bool) -> PauseResponse {
    let request = PauseRequest { instance: "main".into(), label: label.map(Into::into), undo };
    PausesClient::new(client.channel.clone()).pause(request).await.unwrap().into_inner()
}

/// A job with the label of its system.
fn of(system: &'static str, salt: &str) -> Job {
    Job { platform: vec![("OSFamily", system)], ..Job::new(salt) }
}

#[tokio::test]
async fn a_paused_label_waits_over_a_restart_while_others_go() {
    let house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let (running, _running) = client.begin(&of("linux", "0")).await;
    let mut bot = client.bot_with("bot", 2, &[("OSFamily", "mac")]);
    bot.take().await;
    let (linux, _linux) = client.begin(&of("linux", "1")).await;
    // The second slot has taken it; the next one waits.
    bot.update(MOMENT).await.unwrap();
    let (waits, _waits) = client.begin(&of("linux", "2")).await;
    assert_eq!(pause(&client, Some("linux"), false).await, PauseResponse { queued: 1, executing: 2 });
    let (mac, _mac) = client.begin(&of("mac", "3")).await;
    for (name, code) in [(&waits.name, "LABEL_PAUSED"), (&mac.name, "BOTS_BUSY")] {
        assert_eq!(get(&client, name).await.waiting.unwrap().code, code);
    }
    assert_eq!(get(&client, &running.name).await.stage, "EXECUTING", "what runs goes on");
    server.stop().await;

    let server = house.start().await;
    let client = server.connect().await;
    let pauses = PausesClient::new(client.channel.clone()).list_pauses(ListPausesRequest {}).await.unwrap();
    let pauses = pauses.into_inner().pauses;
    assert_eq!((pauses[0].instance.as_str(), pauses[0].label.as_deref()), ("main", Some("linux")));
    bot.reconnect(&client);
    bot.finish_all(succeed);
    bot.update(LONG).await.unwrap();
    assert_eq!(bot.session.leases.len(), 1, "the younger job goes first, the other one is paused");
    assert_eq!(get(&client, &mac.name).await.stage, "EXECUTING");
    assert_eq!(get(&client, &linux.name).await.stage, "COMPLETED");

    let held = tokio::spawn(async move {
        while bot.session.leases.len() < 2 {
            bot.update(LONG).await.unwrap();
        }
    });
    assert_eq!(pause(&client, Some("linux"), true).await.queued + pause(&client, Some("linux"), true).await.queued, 0);
    held.await.unwrap();
    assert_eq!(get(&client, &waits.name).await.stage, "EXECUTING", "a bot that waits is served at once");
}

#[tokio::test]
async fn a_paused_instance_gives_nothing_and_takes_everything() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 1);
    bot.open(MOMENT).await.unwrap();
    pause(&client, None, false).await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    bot.update(MOMENT).await.unwrap();
    assert!(bot.session.leases.is_empty());
    let waiting = get(&client, &first.name).await.waiting.unwrap();
    assert_eq!((waiting.code.as_str(), waiting.position), ("INSTANCE_PAUSED", 1));
    pause(&client, None, true).await;
    bot.take().await;
    bot.finish_all(succeed);
    bot.update(MOMENT).await.unwrap();
    assert!(last(stream).await.done);
    let unknown = PauseRequest { instance: "moon".into(), ..Default::default() };
    let refused = PausesClient::new(client.channel.clone()).pause(unknown).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_job_that_is_taken_from_its_bot_runs_elsewhere_and_the_old_attempt_counts_no_more() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let requeue = async |job: &str, counts| -> Result<(), Status> {
        client.admin_jobs().requeue_job(RequeueJobRequest { job: job.into(), counts }).await.map(drop)
    };
    assert_eq!(requeue(&first.name, false).await.unwrap_err().code(), Code::FailedPrecondition, "it waits");
    let mut old = client.bot("old", 1);
    old.take().await;
    requeue(&first.name, false).await.unwrap();
    assert_eq!(get(&client, &first.name).await.attempts_used, 0);
    let operation = GetOperationRequest { name: first.name.clone() };
    assert_eq!(stage(client.operations().get_operation(operation).await.unwrap().get_ref()), Value::Queued);

    let mut new = client.bot("new", 1);
    new.take().await;
    // The old bot reports all the same: too late.
    old.finish_all(succeed);
    old.update(MOMENT).await.unwrap();
    assert!(old.session.leases.is_empty());
    assert_eq!(get(&client, &first.name).await.lease.unwrap().bot_id, "new");
    new.finish_all(succeed);
    new.update(MOMENT).await.unwrap();
    assert_eq!(response(&last(stream).await).status, None);
    assert_eq!(requeue(&first.name, false).await.unwrap_err().code(), Code::NotFound, "it is over");

    let history = GetHistoryRequest { job: first.name.clone() };
    let history = client.admin_jobs().get_history(history).await.unwrap().into_inner();
    let kinds: Vec<_> = history.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["CREATED", "OPERATION_CREATED", "ASSIGNED", "REQUEUED", "ASSIGNED", "COMPLETED"]);
    assert_eq!((history.events[3].bot_id.as_str(), history.events[5].code), ("old", Some(0)));

    let (second, _stream) = client.begin(&Job::new("b")).await;
    new.take().await;
    requeue(&second.name, true).await.unwrap();
    assert_eq!(get(&client, &second.name).await.attempts_used, 1);
}

#[tokio::test]
async fn a_session_that_is_ended_gives_its_jobs_back() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _first) = client.begin(&Job::new("a")).await;
    let (second, _second) = client.begin(&Job::new("b")).await;
    let mut bot = client.bot("bot", 2);
    bot.take().await;
    let kick = KickBotRequest { instance: "main".into(), bot_id: "bot".into() };
    // Drained first, so that it does not have them again at once.
    let drain = DrainBotRequest { instance: "main".into(), bot_id: "bot".into(), undo: false };
    client.admin_bots().drain_bot(drain).await.unwrap();
    assert_eq!(client.admin_bots().kick_bot(kick.clone()).await.unwrap().into_inner().leases, 2);
    for name in [&first.name, &second.name] {
        let shown = get(&client, name).await;
        assert_eq!((shown.stage.as_str(), shown.attempts_used), ("QUEUED", 0));
    }
    assert_eq!(client.admin_bots().kick_bot(kick).await.unwrap_err().code(), Code::NotFound);
    // The bot is told to begin anew.
    assert_eq!(bot.update(MOMENT).await.unwrap_err().code(), Code::DataLoss);
    let mut other = client.bot("other", 2);
    other.take().await;
    assert_eq!(get(&client, &first.name).await.lease.unwrap().bot_id, "other");
}

#[tokio::test]
async fn another_priority_moves_a_job_and_holds_over_a_restart() {
    let house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let (first, _first) = client.begin(&Job::new("a")).await;
    let (second, _second) = client.begin(&Job::new("b")).await;
    let set = SetPriorityRequest { job: second.name.clone(), priority: -4 };
    let set = client.admin_jobs().set_priority(set).await.unwrap().into_inner();
    assert_eq!((set.rank_before, set.rank, set.unanswered), (0, -4, false));
    let list = async |client: &Client, filter: &str| {
        let request = ListJobsRequest { filter: filter.into(), ..ListJobsRequest::default() };
        let list = client.admin_jobs().list_jobs(request).await.unwrap().into_inner();
        (list.jobs.into_iter().map(|job| job.operations[0].clone()).collect::<Vec<_>>(), list.incomplete_total)
    };
    assert_eq!(list(&client, "priority < 0").await, (vec![second.name.clone()], 1));
    server.stop().await;

    let server = house.start().await;
    let client = server.connect().await;
    assert_eq!(get(&client, &second.name).await.rank, -4);
    assert_eq!(list(&client, "priority < 0").await, (vec![second.name.clone()], 1));
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    assert_eq!(get(&client, &second.name).await.stage, "EXECUTING", "the younger one goes first");
    assert_eq!(get(&client, &first.name).await.waiting.unwrap().position, 1);
    // Policies are asked about all jobs again, and say the same.
    server.engine.replace_all(None).await.unwrap();
    server.engine.replacing().wait_for(|state| !state.running).await.unwrap();
    assert_eq!(get(&client, &second.name).await.rank, -4);
    let unknown = SetPriorityRequest { job: "0".repeat(32), priority: 1 };
    assert_eq!(client.admin_jobs().set_priority(unknown).await.unwrap_err().code(), Code::NotFound);
}

async fn cancel(client: &Client, filter: &str, dry_run: bool) -> Result<CancelOperationsProgress, Status> {
    let request = CancelOperationsRequest { instance: "main".into(), filter: filter.into(), dry_run };
    let mut stream = client.admin_jobs().cancel_operations(request).await?.into_inner();
    let mut before = CancelOperationsProgress::default();
    while let Some(progress) = stream.message().await? {
        assert!(!before.done && progress.looked_at >= before.looked_at && progress.cancelled >= before.cancelled);
        before = progress;
    }
    assert!(before.done, "the last message says so");
    Ok(before)
}

#[tokio::test]
async fn what_meets_a_filter_is_counted_then_cancelled() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut streams = Vec::new();
    for number in 0..40 {
        let job = Job { priority: number % 2, ..Job::new(number.to_string()) };
        streams.push(client.begin(&job).await);
    }
    let counts = |progress: CancelOperationsProgress| (progress.looked_at, progress.matched, progress.cancelled);
    assert_eq!(counts(cancel(&client, "priority = 1", true).await.unwrap()), (40, 20, 0));
    assert_eq!(counts(cancel(&client, "priority = 1", false).await.unwrap()), (40, 20, 20));
    assert_eq!(counts(cancel(&client, "priority = 1", false).await.unwrap()), (20, 0, 0));
    for (number, (_, stream)) in streams.drain(..).enumerate().filter(|(number, _)| number % 2 == 1) {
        let status = response(&last(stream).await).status.unwrap();
        assert_eq!(status.code, Code::Cancelled as i32, "{number}");
    }
    let bad =
        [("", "filter:"), ("priority ~ 1", "filter:"), ("priority = 1 & sort_order = name", "filter: sort_order")];
    for (filter, words) in bad {
        let refused = cancel(&client, filter, true).await.unwrap_err();
        assert!(refused.code() == Code::InvalidArgument && refused.message().starts_with(words), "{refused}");
    }
    assert_eq!(counts(cancel(&client, "stage != COMPLETED", false).await.unwrap()), (20, 20, 20));
}

#[tokio::test]
async fn jobs_are_listed_by_a_filter_of_operations() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _first) = client.begin(&Job { priority: 5, ..Job::new("a") }).await;
    let (handle, _handle) = client.begin(&Job { priority: 7, ..Job::new("a") }).await;
    let (second, stream) = client.begin(&Job::new("b")).await;
    let list = async |filter: &str, finished| {
        let request = ListJobsRequest { filter: filter.into(), finished, ..ListJobsRequest::default() };
        client.admin_jobs().list_jobs(request).await.unwrap().into_inner()
    };
    // A job meets it if one of its operations does.
    let found = list("priority = 7", false).await;
    assert_eq!((found.jobs[0].operations.clone(), found.incomplete_total), (vec![first.name, handle.name], 1));
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    assert_eq!(list("stage = EXECUTING", false).await.jobs[0].operations, std::slice::from_ref(&second.name));
    bot.finish_all(succeed);
    bot.update(MOMENT).await.unwrap();
    last(stream).await;
    assert_eq!(list("stage = COMPLETED", false).await.jobs.len(), 0);
    let found = list("stage = COMPLETED", true).await;
    assert_eq!((found.jobs[0].operations.clone(), found.incomplete_total), (vec![second.name], 0));
    let request = ListJobsRequest { filter: "nonsense".into(), ..ListJobsRequest::default() };
    assert_eq!(client.admin_jobs().list_jobs(request).await.unwrap_err().code(), Code::InvalidArgument);
}
