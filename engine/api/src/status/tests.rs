//! The table, as text. A change here is a change of API.

use std::{fmt::Write, sync::Arc, time::Duration};

use berth_core::{JobId, Limit, LimitState, OperationId, SessionId};
use berth_runtime::store::StoreError;
use expect_test::expect;

use super::*;

fn digest() -> Digest {
    Digest { hash: [0xab; 32], size_bytes: 7 }
}

fn all() -> Vec<Error> {
    let (session, operation) = (SessionId(1), OperationId(2));
    let name = "GPU".to_owned();
    let limit = Limit { name: "team-a".into(), max_running: None, max_queued: Some(20), ..Limit::default() };
    let reached = LimitState { limit: Arc::new(limit), running: 4, waiting: 20, cooling: 0 };
    vec![
        Error::field("action_digest", "is not set"),
        Error::UnknownInstance { field: "instance_name", name: "moon".into() },
        Error::UnknownName { what: "operation", name: "main/x".into() },
        Error::Missing(vec![digest()]),
        Error::NoSession("main/x".into()),
        Error::NotLoopback,
        Error::TooMuch { seconds: 10 },
        Error::Unimplemented("PostBotEventTemp"),
        Error::ResultLost,
        Error::Broken("the body of a leased job"),
        EngineError::from(Rejection::UnknownSession(session)).into(),
        EngineError::from(Rejection::OtherBot { session }).into(),
        EngineError::from(Rejection::UnknownOperation(operation)).into(),
        EngineError::from(Rejection::UnknownJob(JobId(4))).into(),
        EngineError::from(Rejection::NotExecuting(JobId(4))).into(),
        EngineError::from(Rejection::IdTaken(3)).into(),
        EngineError::from(Rejection::Slots(0)).into(),
        EngineError::from(Rejection::NotFinished(operation)).into(),
        EngineError::from(Rejection::Outdated).into(),
        EngineError::from(Rejection::LimitReached(Box::new(reached))).into(),
        EngineError::Stopping.into(),
        EngineError::StoreFull { free_bytes: 1, reserve_bytes: 2 }.into(),
        StoreError::Failed("/var/lib/berth/rocks: broken".into()).into(),
        CasError::TooLarge { digest: digest(), limit_bytes: 5 }.into(),
        CasError::Malformed { digest: digest(), expected: "Directory", detail: "cut".into() }.into(),
        CasError::UnknownInstance("moon".into()).into(),
        CasError::Full("9 of 9 bytes are pinned".into()).into(),
        CasError::Unavailable("/var/lib/berth/cas: no such file".into()).into(),
        PolicyError::UnknownProperty { name: name.clone(), known: "pool".into() }.into(),
        PolicyError::DuplicateProperty { name: name.clone() }.into(),
        PolicyError::MalformedProperty { name, expected: "a name".into() }.into(),
        PolicyError::Denied { reason: "not today".into() }.into(),
        PolicyError::FailedPrecondition { reason: "no bot has a GPU".into() }.into(),
        PolicyError::Exhausted { reason: "9 of 9 run".into(), retry_after: Some(Duration::from_millis(2500)) }.into(),
        PolicyError::Fault { plugin: "reapi-order@12ab".into() }.into(),
    ]
}

#[test]
fn every_error_has_its_status() {
    let mut table = String::new();
    for error in all() {
        let kind = format!("{error:?}");
        let kind = kind.split(['(', '{']).collect::<Vec<_>>();
        let kind: Vec<_> = kind.iter().map(|part| part.trim()).take(2).collect();
        let wrapped = ["Engine", "Cas", "Policy"].contains(&kind[0]);
        let kind = if wrapped { kind[1].trim_end_matches(')') } else { kind[0] };
        let status = Status::from(error);
        let details = rpc::Status::decode(status.details()).unwrap().details;
        let details: Vec<_> = details.iter().map(|detail| any::type_name(detail).to_owned()).collect();
        writeln!(table, "{kind} | {:?} | {} | {}", status.code(), status.message(), details.join(", ")).unwrap();
    }
    expect![[r#"
        Field | InvalidArgument | action_digest: is not set | google.rpc.BadRequest
        UnknownInstance | InvalidArgument | instance_name: instance name "moon" is not known to this server | google.rpc.BadRequest
        UnknownName | NotFound | operation "main/x" is not known | 
        Missing | FailedPrecondition | 1 blobs that the action needs are not in the storage | google.rpc.PreconditionFailure
        NoSession | DataLoss | bot session "main/x" is not known: it ended or expired; create a new one | 
        NotLoopback | PermissionDenied | this service answers on the loopback interface only | 
        TooMuch | DeadlineExceeded | there are too many operations to look at within 10 s: ask for fewer | 
        Unimplemented | Unimplemented | PostBotEventTemp is not implemented | 
        ResultLost | DataLoss | the result of this operation is not stored any more | 
        Broken | Internal | the server failed; its log says why | 
        Rejected | DataLoss | bot session 00000000000000000000000000000001 is not known: it ended or expired; create a new one | 
        Rejected | InvalidArgument | bot session 00000000000000000000000000000001 belongs to another bot id | google.rpc.BadRequest
        Rejected | NotFound | operation 00000000000000000000000000000002 is not known | 
        Rejected | NotFound | job 00000000000000000000000000000004 is not known, or is over | 
        Rejected | FailedPrecondition | job 00000000000000000000000000000004 is not executing | 
        Rejected | Unavailable | try again | google.rpc.RetryInfo
        Rejected | InvalidArgument | capacity 0 must be from 1 to 1000 | google.rpc.BadRequest
        Rejected | FailedPrecondition | operation 00000000000000000000000000000002 is not finished: cancel it first | 
        Rejected | Unavailable | policies are being changed; try again | google.rpc.RetryInfo
        Rejected | ResourceExhausted | limit team-a is reached: 20 jobs may wait at a time | google.rpc.RetryInfo
        Stopping | Unavailable | the server is stopping | google.rpc.RetryInfo
        StoreFull | ResourceExhausted | the server has no room for new work just now | google.rpc.RetryInfo
        Store | Internal | the server failed; its log says why | 
        TooLarge | InvalidArgument | blob abababababababababababababababababababababababababababababababab/7 is larger than 5 bytes | google.rpc.BadRequest
        Malformed | InvalidArgument | blob abababababababababababababababababababababababababababababababab/7 is not a valid Directory: cut | google.rpc.BadRequest
        UnknownInstance | InvalidArgument | instance name "moon" is not known | google.rpc.BadRequest
        Full | ResourceExhausted | the storage is full of what may not be evicted | google.rpc.RetryInfo
        Unavailable | Unavailable | the storage is unavailable | google.rpc.RetryInfo
        UnknownProperty | FailedPrecondition | platform property "GPU" is not known here; known are: pool | google.rpc.PreconditionFailure
        DuplicateProperty | FailedPrecondition | platform property "GPU" may be given only once | google.rpc.PreconditionFailure
        MalformedProperty | InvalidArgument | platform property "GPU" is malformed: a name | google.rpc.BadRequest
        Denied | PermissionDenied | refused by policy: not today | 
        FailedPrecondition | FailedPrecondition | no bot has a GPU | 
        Exhausted | ResourceExhausted | 9 of 9 run | google.rpc.RetryInfo
        Fault | Unavailable | the policy could not answer; try again | google.rpc.ErrorInfo, google.rpc.RetryInfo
    "#]].assert_eq(&table);
}

#[test]
fn missing_blobs_are_named_in_a_header_of_bounded_size() {
    let blobs: Vec<_> = (0..10_000).map(|size_bytes| Digest { hash: [7; 32], size_bytes }).collect();
    let status = Status::from(Error::Missing(blobs));
    assert!(status.details().len() < 6_000, "{}", status.details().len());
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let failure: rpc::PreconditionFailure = any::unpack(&details[0]).unwrap();
    assert_eq!(failure.violations[3].r#type, "MISSING");
    assert_eq!(failure.violations[3].subject, format!("blobs/{}/3", "07".repeat(32)));
    assert!(status.message().starts_with("10000 blobs"));
}

#[test]
fn a_fault_names_the_plugin_in_its_details() {
    let status = Status::from(Error::from(PolicyError::Fault { plugin: "reapi-order@12ab".into() }));
    let details = rpc::Status::decode(status.details()).unwrap().details;
    let info: rpc::ErrorInfo = any::unpack(&details[0]).unwrap();
    assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, "POLICY_FAULT"));
    assert_eq!(info.metadata["plugin"], "reapi-order@12ab");
}
