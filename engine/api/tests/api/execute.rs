//! Execute and WaitExecution, one client at a time.

use std::time::Duration;

use berth_proto::{
    any,
    reapi::{ActionResult, GetCapabilitiesRequest, WaitExecutionRequest, execution_stage::Value},
    rpc,
};
use prost::Message;
use tonic::Code;

use crate::house::{House, Job, LONG, complete, last, response, stage, succeed, wire};

#[tokio::test]
async fn a_client_sees_the_stages_of_its_action_and_its_result() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, mut stream) = client.begin(&Job::new("a")).await;
    assert_eq!((stage(&first), first.done), (Value::Queued, false));
    assert!(first.name.starts_with("main/"), "{}", first.name);

    let mut bot = client.bot("bot", 1);
    let lease = bot.take().await;
    let payload: berth_proto::reapi::Action = any::unpack(lease.payload.as_ref().unwrap()).unwrap();
    assert_eq!(payload.salt, "a");
    assert_eq!(stage(&stream.message().await.unwrap().unwrap()), Value::Executing);

    bot.finish_all(succeed);
    let reporting = tokio::spawn(async move { bot.update(LONG).await });
    let done = last(stream).await;
    let response = response(&done);
    assert_eq!(response.status, None);
    assert!(!response.cached_result);
    let result = response.result.unwrap();
    assert_eq!(result.stdout_raw, "done\n");
    assert!(result.execution_metadata.unwrap().queued_timestamp.is_some());
    reporting.await.unwrap().unwrap();

    let (again, stream) = client.begin(&Job::new("a")).await;
    assert!(again.done && crate::house::response(&again).cached_result);
    assert_eq!(last_or_end(stream).await, 0);
}

async fn last_or_end(mut stream: tonic::Streaming<berth_proto::longrunning::Operation>) -> usize {
    let mut count = 0;
    while stream.message().await.unwrap().is_some() {
        count += 1;
    }
    count
}

#[tokio::test]
async fn missing_blobs_are_all_named_at_once() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut request = client.prepare(&Job::new("a")).await;

    let unknown = berth_proto::reapi::Digest { hash: "ab".repeat(32), size_bytes: 7 };
    request.action_digest = Some(unknown.clone());
    let status = client.execute(request.clone()).await.unwrap_err();
    assert_eq!(violations(&status), [format!("blobs/{}/7", unknown.hash)]);

    let file = berth_proto::reapi::Digest { hash: "cd".repeat(32), size_bytes: 9 };
    let directory = berth_proto::reapi::Directory {
        files: vec![berth_proto::reapi::FileNode {
            name: "f".into(),
            digest: Some(file.clone()),
            ..Default::default()
        }],
        ..Default::default()
    };
    let action = berth_proto::reapi::Action {
        command_digest: Some(unknown.clone()),
        input_root_digest: Some(client.write(&directory).await),
        ..Default::default()
    };
    request.action_digest = Some(client.write(&action).await);
    let status = client.execute(request).await.unwrap_err();
    assert_eq!(violations(&status), [format!("blobs/{}/7", unknown.hash), format!("blobs/{}/9", file.hash)]);
}

fn violations(status: &tonic::Status) -> Vec<String> {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let details = rpc::Status::decode(status.details()).unwrap();
    let failure: rpc::PreconditionFailure = any::unpack(&details.details[0]).unwrap();
    assert!(failure.violations.iter().all(|violation| violation.r#type == "MISSING"));
    failure.violations.into_iter().map(|violation| violation.subject).collect()
}

#[tokio::test]
async fn a_request_that_cannot_be_is_refused_with_its_field() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let good = client.prepare(&Job::new("a")).await;
    let empty = server.cas.write("main", Default::default()).await.unwrap();
    let no_arguments = berth_proto::reapi::Action {
        command_digest: Some(
            client.write(&berth_proto::reapi::Command { working_directory: "x".into(), ..Default::default() }).await,
        ),
        input_root_digest: Some(wire(&empty)),
        ..Default::default()
    };
    let no_arguments = client.write(&no_arguments).await;
    let too_long = client.prepare(&Job { timeout_seconds: Some(7_201), ..Job::new("b") }).await;
    let bad_platform = client.prepare(&Job { platform: vec![("", "x")], ..Job::new("b") }).await;
    let short = berth_proto::reapi::Digest { hash: "ab".into(), size_bytes: 1 };
    for (request, field) in [
        (berth_proto::reapi::ExecuteRequest { instance_name: "moon".into(), ..good.clone() }, "instance_name"),
        (berth_proto::reapi::ExecuteRequest { digest_function: 9, ..good.clone() }, "digest_function"),
        (berth_proto::reapi::ExecuteRequest { action_digest: None, ..good.clone() }, "action_digest"),
        (berth_proto::reapi::ExecuteRequest { action_digest: Some(short), ..good.clone() }, "action_digest"),
        (berth_proto::reapi::ExecuteRequest { action_digest: Some(no_arguments), ..good.clone() }, "command.arguments"),
        (too_long, "action.timeout"),
        (bad_platform, "platform.properties"),
    ] {
        let status = client.execute(request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
        let details = rpc::Status::decode(status.details()).unwrap();
        let bad: rpc::BadRequest = any::unpack(&details.details[0]).unwrap();
        assert_eq!(bad.field_violations[0].field, field);
    }
}

#[tokio::test]
async fn a_failed_command_is_a_result_and_is_not_cached() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(|lease| complete(lease, Some(ActionResult { exit_code: 7, ..ActionResult::default() }), 0));
    bot.update(Duration::from_millis(200)).await.unwrap();
    let response = response(&last(stream).await);
    assert_eq!((response.status, response.result.unwrap().exit_code), (None, 7));
    let (again, _stream) = client.begin(&Job::new("a")).await;
    assert!(!again.done);
}

#[tokio::test]
async fn a_bots_missing_input_ends_the_operation_with_its_details() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (_, stream) = client.begin(&Job::new("a")).await;
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    let violation = rpc::precondition_failure::Violation {
        r#type: "MISSING".into(),
        subject: "blobs/x/1".into(),
        description: String::new(),
    };
    let missing = rpc::PreconditionFailure { violations: vec![violation] };
    bot.finish_all(|lease| {
        complete(lease, None, Code::FailedPrecondition as i32);
        lease.status.as_mut().unwrap().details.push(any::pack(&missing));
    });
    bot.update(Duration::from_millis(200)).await.unwrap();
    let status = response(&last(stream).await).status.unwrap();
    assert_eq!(status.code, Code::FailedPrecondition as i32);
    assert_eq!(any::unpack::<rpc::PreconditionFailure>(&status.details[0]).unwrap(), missing);
}

#[tokio::test]
async fn a_stream_that_is_dropped_cancels_nothing_and_is_taken_up_again() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, stream) = client.begin(&Job::new("a")).await;
    drop(stream);
    let wait = WaitExecutionRequest { name: first.name.clone() };
    let mut stream = client.execution().wait_execution(wait.clone()).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap(), first);
    let mut bot = client.bot("bot", 1);
    bot.take().await;
    bot.finish_all(succeed);
    tokio::spawn(async move { bot.update(LONG).await });
    let done = last(stream).await;
    assert_eq!(response(&done).result.unwrap().stdout_raw, "done\n");
    let finished = client.execution().wait_execution(wait).await.unwrap().into_inner();
    assert_eq!(last(finished).await, done);
}

#[tokio::test]
async fn an_operation_that_is_not_there_is_not_found() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let (first, _stream) = client.begin(&Job::new("a")).await;
    let id = first.name.rsplit_once('/').unwrap().1;
    for name in [String::new(), "main/x".into(), format!("moon/{id}"), format!("other/one/{id}"), id.to_owned()] {
        let status = client.execution().wait_execution(WaitExecutionRequest { name: name.clone() }).await.unwrap_err();
        assert_eq!(status.code(), Code::NotFound, "{name}");
    }
}

#[tokio::test]
async fn more_urgent_jobs_go_first() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let mut streams = Vec::new();
    for priority in [5, 1, -3, 9] {
        streams.push(client.begin(&Job { priority, ..Job::new(priority.to_string()) }).await.1);
    }
    let mut bot = client.bot("bot", 1);
    let mut order = Vec::new();
    for _ in 0..4 {
        let lease = bot.take().await;
        let action: berth_proto::reapi::Action = any::unpack(lease.payload.as_ref().unwrap()).unwrap();
        order.push(String::from_utf8(action.salt.to_vec()).unwrap());
        bot.finish_all(succeed);
        bot.update(Duration::from_millis(300)).await.unwrap();
    }
    assert_eq!(order, ["-3", "1", "5", "9"]);
}

#[tokio::test]
async fn capabilities_are_those_of_a_known_instance() {
    let server = House::new().start().await;
    let client = server.connect().await;
    let ask = |name: &str| GetCapabilitiesRequest { instance_name: name.into() };
    let known = client.capabilities().get_capabilities(ask("main")).await.unwrap().into_inner();
    assert!(known.execution_capabilities.unwrap().exec_enabled);
    assert_eq!(known.cache_capabilities.unwrap().digest_functions, [1]);
    let status = client.capabilities().get_capabilities(ask("moon")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn a_job_that_no_bot_takes_in_time_ends_unavailable() {
    let mut house = House::new();
    house.config.queue_timeout = Some(Duration::from_millis(50));
    let server = house.start().await;
    let (_, stream) = server.connect().await.begin(&Job::new("a")).await;
    assert_eq!(response(&last(stream).await).status.unwrap().code, Code::Unavailable as i32);
}

#[tokio::test]
async fn an_attempt_that_takes_too_long_ends_with_its_deadline() {
    let mut house = House::new();
    house.config.execution_timeout_max = Duration::ZERO;
    house.config.execution_grace = Duration::from_millis(50);
    let server = house.start().await;
    let client = server.connect().await;
    let (_, stream) = client.begin(&Job { timeout_seconds: Some(0), ..Job::new("a") }).await;
    client.bot("bot", 1).take().await;
    assert_eq!(response(&last(stream).await).status.unwrap().code, Code::DeadlineExceeded as i32);
}

#[tokio::test]
async fn a_silent_stream_repeats_its_state() {
    let mut house = House::new();
    house.config.stream_keepalive = Duration::from_millis(20);
    let server = house.start().await;
    let (first, mut stream) = server.connect().await.begin(&Job::new("a")).await;
    for _ in 0..2 {
        assert_eq!(stream.message().await.unwrap().unwrap(), first);
    }
}
