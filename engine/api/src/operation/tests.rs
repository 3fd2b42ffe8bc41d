use berth_core::{Digest, JobId, OperationId, Timestamp};

use super::*;

fn view(outcome: Outcome) -> OperationView {
    OperationView {
        operation: OperationId(1),
        job: JobId(1),
        instance: "main".into(),
        action: Digest { hash: [1; 32], size_bytes: 2 },
        stage: Stage::Completed(outcome),
        started_at: None,
        completed_at: None,
        queued_at: Timestamp(5_000_000),
    }
}

fn finish(outcome: Outcome, stored: Option<&pb::JobResult>) -> Operation {
    finished("main/x".into(), &view(outcome), outcome, stored, &Config::default())
}

#[test]
fn the_response_says_where_the_action_can_be_looked_at() {
    let message = |config: &Config, stored: &pb::JobResult| {
        let outcome = Outcome::Reported { code: 0, cacheable: true };
        response(&finished("main/x".into(), &view(outcome), outcome, Some(stored), config)).message
    };
    let own = crate::config::Own { action_browser_url: Some(String::new()), ..Default::default() };
    let mut config = Config { action_browser_url: Some("http://browser/".into()), ..Config::default() };
    let nothing = pb::JobResult::default();
    assert_eq!(message(&config, &nothing), format!("http://browser/action/{}/2/", "01".repeat(32)));
    let of_policy = pb::JobResult { message: "seen to fail".into(), ..pb::JobResult::default() };
    assert_eq!(message(&config, &of_policy), "seen to fail");
    config.own.insert("main".into(), own);
    assert_eq!(message(&config, &nothing), "");
}

fn response(operation: &Operation) -> reapi::ExecuteResponse {
    let Some(operation::Result::Response(response)) = &operation.result else { panic!("{operation:?}") };
    any::unpack(response).unwrap()
}

fn result() -> reapi::ActionResult {
    reapi::ActionResult {
        exit_code: 3,
        stdout_raw: "hello".into(),
        execution_metadata: Some(reapi::ExecutedActionMetadata {
            worker: "bot-1".into(),
            worker_start_timestamp: Some(prost_types::Timestamp { seconds: 7, nanos: 0 }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn a_bots_result_reaches_the_client_whole_with_our_queued_stamp() {
    let stored = pb::JobResult { action_result: result().encode_to_vec().into(), ..pb::JobResult::default() };
    let operation = finish(Outcome::Reported { code: 0, cacheable: false }, Some(&stored));
    let mut expected = result();
    let metadata = expected.execution_metadata.as_mut().unwrap();
    metadata.queued_timestamp = Some(prost_types::Timestamp { seconds: 5, nanos: 0 });
    assert!(operation.done);
    assert_eq!(response(&operation), reapi::ExecuteResponse { result: Some(expected), ..Default::default() });
}

#[test]
fn a_bots_failure_reaches_the_client_with_its_details() {
    let status = rpc::Status {
        code: Code::FailedPrecondition as i32,
        message: "missing".into(),
        details: vec![any::pack(&rpc::PreconditionFailure::default())],
    };
    let stored = pb::JobResult { status: status.encode_to_vec().into(), ..pb::JobResult::default() };
    let operation = finish(Outcome::Reported { code: status.code, cacheable: false }, Some(&stored));
    assert_eq!(response(&operation), reapi::ExecuteResponse { status: Some(status), ..Default::default() });
}

#[test]
fn a_cached_result_says_so_and_is_unchanged() {
    let stored = pb::JobResult { action_result: result().encode_to_vec().into(), ..pb::JobResult::default() };
    let response = response(&finish(Outcome::Cached, Some(&stored)));
    assert!(response.cached_result);
    assert_eq!(response.result, Some(result()));
}

#[test]
fn what_ended_without_a_report_has_a_response_that_says_how() {
    for (outcome, code) in [
        (Outcome::Cancelled, Code::Cancelled),
        (Outcome::QueueTimeout, Code::Unavailable),
        (Outcome::ExecutionTimeout, Code::DeadlineExceeded),
        (Outcome::AttemptsExhausted { code: 14 }, Code::Aborted),
    ] {
        let response = response(&finish(outcome, None));
        assert_eq!(response.status.unwrap().code, code as i32, "{outcome:?}");
        assert_eq!(response.result, None);
    }
}

#[test]
fn what_a_policy_ended_says_so_beside_the_result() {
    let message = "seen to fail on three bots".to_owned();
    let stored = pb::JobResult { action_result: result().encode_to_vec().into(), message, ..pb::JobResult::default() };
    let failed = response(&finish(Outcome::Failed { code: 0 }, Some(&stored)));
    assert_eq!((failed.message.as_str(), failed.result.unwrap().exit_code), ("seen to fail on three bots", 3));
    let status = rpc::Status { code: Code::FailedPrecondition as i32, message: "no such bot".into(), details: vec![] };
    let stored = pb::JobResult { status: status.encode_to_vec().into(), ..pb::JobResult::default() };
    let refused = response(&finish(Outcome::Refused, Some(&stored)));
    assert_eq!((refused.status, refused.result), (Some(status), None));
}
