//! What bots may rely on.

use std::time::{Duration, Instant};

use berth_core::LeaseId;
use berth_proto::{
    admin::GetHistoryRequest,
    any,
    bots::{BotStatus, LeaseState, PostBotEventTempRequest},
    longrunning::{CancelOperationRequest, GetOperationRequest},
    reapi::{ExecuteOperationMetadata, ExecutedActionMetadata, execution_stage::Value},
};
use prost::Message;
use tonic::{
    Code,
    metadata::{BinaryMetadataKey, MetadataMap, MetadataValue},
};

use crate::house::{House, Job, LONG, complete, last, response, stage, succeed};

/// Shorter than any hold: a call that is answered within it was answered for a reason.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_bot_is_answered_as_soon_as_there_is_work() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 2);
    bot.open(Duration::from_millis(100)).await.unwrap();
    assert!(bot.session.leases.is_empty() && bot.session.name.starts_with("main/"));
    assert!(bot.session.worker.is_some(), "bots take the answer for their new state");
    let asked = Instant::now();
    let waiting = tokio::spawn(async move {
        bot.update(LONG).await.unwrap();
        bot
    });
    let (_, _stream) = client.begin(&Job::new("a")).await;
    let bot = waiting.await.unwrap();
    assert!(asked.elapsed() < SOON);
    let lease = &bot.session.leases[0];
    assert_eq!(lease.state(), LeaseState::Active);
    let (instance, id) = lease.id.rsplit_once('/').unwrap();
    assert_eq!(instance, "main");
    assert!(id.parse::<LeaseId>().is_ok());
    assert!(id.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-'));
}

#[tokio::test]
async fn what_a_bot_says_of_its_attempt_is_in_the_operation_and_in_the_history() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    let lease = bot.take().await;
    let began = Some(prost_types::Timestamp { seconds: 1_900_000_000, nanos: 5_000 });
    let said = ExecutedActionMetadata { execution_start_timestamp: began, ..ExecutedActionMetadata::default() };
    let say = |lease: &str| {
        let key = format!("partial-execution-metadata-{}-bin", lease.rsplit_once('/').unwrap().1);
        let bytes = MetadataValue::from_bytes(&said.encode_to_vec());
        move |headers: &mut MetadataMap| {
            drop(headers.insert_bin(BinaryMetadataKey::from_bytes(key.as_bytes()).unwrap(), bytes))
        }
    };
    bot.session.leases[0].state = LeaseState::Active as i32;
    bot.update_with(LONG, say(&lease.id)).await.unwrap();
    let shown = async |name: &str| {
        let request = GetOperationRequest { name: name.into() };
        let operation = client.operations().get_operation(request).await.unwrap().into_inner();
        let metadata: ExecuteOperationMetadata = any::unpack(operation.metadata.as_ref().unwrap()).unwrap();
        metadata.partial_execution_metadata.unwrap()
    };
    let metadata = shown(&first.name).await;
    assert_eq!(metadata.execution_start_timestamp, began);
    assert!(metadata.queued_timestamp.is_some());
    let history = GetHistoryRequest { job: first.name.clone() };
    let history = client.admin_jobs().get_history(history).await.unwrap().into_inner().events;
    let last = history.last().unwrap();
    assert_eq!((last.kind.as_str(), last.progress.as_str()), ("PROGRESS", "execution_start_timestamp"));
    assert_eq!((last.bot_id.as_str(), last.at), ("bot", began));

    // A bot that does not have the lease says nothing of it, and an older attempt is not the newer one.
    let (second, _second) = client.begin(&Job::new("b")).await;
    let mut other = client.bot("other", 1);
    let taken = other.take().await;
    bot.update_with(Duration::from_millis(200), say(&taken.id)).await.unwrap();
    assert_eq!(shown(&second.name).await.execution_start_timestamp, None);
    bot.finish_all(|lease| complete(lease, None, Code::Unavailable as i32));
    bot.update(LONG).await.unwrap();
    assert_eq!(bot.session.leases.len(), 1, "it has the job once more");
    assert_eq!(shown(&first.name).await.execution_start_timestamp, None);
}

#[tokio::test]
async fn a_cancel_reaches_a_full_bot_that_is_held_at_once() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.session.leases[0].state = LeaseState::Active as i32;
    // The first report of a running lease changes something, and is answered for that.
    bot.update(LONG).await.unwrap();
    let asked = Instant::now();
    let held = tokio::spawn(async move {
        bot.update(LONG).await.unwrap();
        bot
    });
    client.operations().cancel_operation(CancelOperationRequest { name: first.name }).await.unwrap();
    assert!(last(stream).await.done);
    let bot = held.await.unwrap();
    assert!(bot.session.leases.is_empty() && asked.elapsed() < SOON);
}

#[tokio::test]
async fn a_lease_that_a_bot_lost_is_sent_again_under_its_id() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, _stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    let lease = bot.take().await;
    bot.session.leases.clear();
    bot.update(LONG).await.unwrap();
    assert_eq!(bot.session.leases, [lease]);
}

#[tokio::test]
async fn an_offer_whose_call_was_given_up_goes_to_another_bot() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut gone = client.bot("gone", 1);
    gone.open(Duration::from_millis(100)).await.unwrap();
    let session = gone.session.clone();
    let held = tokio::spawn(async move { gone.update(LONG).await });
    wait_until_asking(&client, &session.name, true).await;
    held.abort();
    wait_until_asking(&client, &session.name, false).await;
    let (_, _stream) = client.begin(&Job::new("a")).await;
    let mut other = client.bot("other", 1);
    other.take().await;
    assert_eq!(other.leases_seen, 1);
}

async fn wait_until_asking(client: &crate::house::Client, session: &str, asking: bool) {
    loop {
        let bots = client.admin_bots().list_bots(berth_proto::admin::ListBotsRequest::default()).await.unwrap();
        if bots.into_inner().bots.iter().any(|bot| bot.session == session && bot.asking == asking) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn success_without_a_result_is_tried_again_and_never_cached() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    let first = bot.take().await;
    bot.finish_all(|lease| complete(lease, None, 0));
    bot.update(LONG).await.unwrap();
    let second = bot.take().await;
    assert_ne!(first.id, second.id);
    bot.finish_all(succeed);
    bot.update(Duration::from_millis(200)).await.unwrap();
    assert_eq!(response(&last(stream).await).result.unwrap().stdout_raw, "done\n");
}

#[tokio::test]
async fn attempts_are_used_up_in_the_end() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    for _ in 0..5 {
        bot.take().await;
        bot.finish_all(|lease| complete(lease, None, Code::Unavailable as i32));
        bot.update(Duration::from_millis(200)).await.unwrap();
    }
    assert_eq!(response(&last(stream).await).status.unwrap().code, Code::Aborted as i32);
    assert_eq!(bot.leases_seen, 5);
}

#[tokio::test]
async fn the_report_of_a_lost_attempt_changes_nothing() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, mut stream) = client.begin(&Job::new("a")).await;
    let mut late = client.bot("bot", 1);
    late.take().await;
    assert_eq!(stage(&stream.message().await.unwrap().unwrap()), Value::Executing);
    // The bot comes back and has forgotten: its lease is lost, and is given out anew.
    let mut new = client.bot("bot", 1);
    let lease = new.take().await;
    late.finish_all(succeed);
    assert_eq!(late.update(LONG).await.unwrap_err().code(), Code::DataLoss);
    let mut stolen = new.clone();
    stolen.session.leases[0].id = late.session.leases[0].id.clone();
    stolen.finish_all(|lease| complete(lease, Some(berth_proto::reapi::ActionResult::default()), 0));
    stolen.update(LONG).await.unwrap();
    assert_eq!(stolen.session.leases, [lease], "it is told what it holds");
    new.finish_all(succeed);
    new.update(Duration::from_millis(200)).await.unwrap();
    assert_eq!(response(&last(stream).await).result.unwrap().stdout_raw, "done\n");
}

#[tokio::test]
async fn a_session_that_is_over_or_is_another_bots_is_refused() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 1);
    bot.open(Duration::from_millis(100)).await.unwrap();

    let mut other = bot.clone();
    other.session.bot_id = "another".into();
    assert_eq!(other.update(LONG).await.unwrap_err().code(), Code::InvalidArgument);

    for name in ["main/x", "moon/00000000-0000-0000-0000-000000000000", "main/00000000-0000-0000-0000-000000000000"] {
        let mut unknown = bot.clone();
        unknown.session.name = name.into();
        assert_eq!(unknown.update(LONG).await.unwrap_err().code(), Code::DataLoss, "{name}");
    }

    bot.session.status = BotStatus::BotTerminating as i32;
    bot.update(LONG).await.unwrap();
    assert_eq!(bot.update(LONG).await.unwrap_err().code(), Code::DataLoss);

    let mut nobody = client.bot("", 1);
    assert_eq!(nobody.open(LONG).await.unwrap_err().code(), Code::InvalidArgument);
    let mut empty = client.bot("empty", 0);
    assert_eq!(empty.open(LONG).await.unwrap_err().code(), Code::InvalidArgument);
    let event = client.bots().post_bot_event_temp(PostBotEventTempRequest::default()).await.unwrap_err();
    assert_eq!(event.code(), Code::Unimplemented);
}

#[tokio::test]
async fn a_call_without_work_is_answered_before_its_deadline() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut bot = client.bot("bot", 1);
    let asked = Instant::now();
    bot.open(Duration::from_millis(400)).await.unwrap();
    bot.update(Duration::from_millis(400)).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(300));
}
