//! The one table that turns an error into a gRPC status. It is API: the snapshot below is reviewed as such.
//!
//! No message tells a tenant of the fleet, of the file system or of another tenant: what only the operator may know
//! goes to the log.

use std::collections::HashMap;

use berth_core::{Digest, Rejection};
use berth_proto::{any, rpc};
use berth_runtime::{EngineError, cas::CasError, policy::PolicyError};
use bytes::Bytes;
use prost::Message;
use tonic::{Code, Status};

use crate::error::Error;

/// As many missing blobs as one status names. Details travel in a header, and clients take no more than 8 KiB of
/// those. Bazel uploads everything again whatever the number; others upload what is named and ask again.
const VIOLATIONS_MAX: usize = 40;

/// `ErrorInfo.domain`.
const DOMAIN: &str = "berth";

const RETRY_SECONDS: i64 = 1;
const STORE_FULL_RETRY_SECONDS: i64 = 10;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let message = error.to_string();
        match error {
            Error::Field { field, problem } => bad_request(message, field, problem),
            Error::UnknownInstance { field, .. } => {
                let problem = message.clone();
                bad_request(message, field, problem)
            }
            Error::UnknownName { .. } => Status::not_found(message),
            Error::Missing(blobs) => missing(message, &blobs),
            Error::NoSession(_) => no_session(message),
            Error::NotLoopback => Status::permission_denied(message),
            Error::TooMuch { .. } => Status::deadline_exceeded(message),
            Error::Unimplemented(_) => Status::unimplemented(message),
            Error::ResultLost => Status::data_loss(message),
            Error::Broken(_) => internal(&message),
            Error::Engine(error) => engine(error, message),
            Error::Cas(error) => cas(error, message),
            Error::Policy(error) => policy(error, message),
        }
    }
}

fn engine(error: EngineError, message: String) -> Status {
    match error {
        EngineError::Rejected(rejection) => match rejection {
            Rejection::UnknownSession(_) => no_session(message),
            Rejection::OtherBot { .. } => bad_request(message.clone(), "bot_session.bot_id", message),
            Rejection::UnknownOperation(_) => Status::not_found(message),
            Rejection::UnknownJob(_) => Status::not_found(message),
            Rejection::NotExecuting(_) => Status::failed_precondition(message),
            // Ids are drawn at random: the next one is free.
            Rejection::IdTaken(_) => retry(Code::Unavailable, "try again", RETRY_SECONDS),
            Rejection::Slots(_) => bad_request(message.clone(), "bot_session.worker.configs", message),
            Rejection::NotFinished(_) => Status::failed_precondition(message),
            // Asked again where it arises: a client hears of it only if policies change faster than it can be answered.
            Rejection::Outdated => retry(Code::Unavailable, "policies are being changed; try again", RETRY_SECONDS),
            Rejection::LimitReached(_) => retry(Code::ResourceExhausted, &message, RETRY_SECONDS),
        },
        EngineError::Stopping => retry(Code::Unavailable, &message, RETRY_SECONDS),
        EngineError::StoreFull { .. } => {
            tracing::warn!(error = %message, "new work is refused");
            let shown = "the server has no room for new work just now";
            retry(Code::ResourceExhausted, shown, STORE_FULL_RETRY_SECONDS)
        }
        EngineError::Store(_) => internal(&message),
    }
}

fn cas(error: CasError, message: String) -> Status {
    match error {
        CasError::TooLarge { .. } | CasError::Malformed { .. } => {
            bad_request(message.clone(), "action_digest", message)
        }
        CasError::UnknownInstance(_) => bad_request(message.clone(), "instance_name", message),
        CasError::Full(_) => {
            tracing::warn!(error = %message, "the storage is full");
            let shown = "the storage is full of what may not be evicted";
            retry(Code::ResourceExhausted, shown, STORE_FULL_RETRY_SECONDS)
        }
        CasError::Unavailable(_) => {
            tracing::error!(error = %message, "the storage is unavailable");
            retry(Code::Unavailable, "the storage is unavailable", RETRY_SECONDS)
        }
    }
}

fn policy(error: PolicyError, message: String) -> Status {
    match error {
        PolicyError::UnknownProperty { name, .. } | PolicyError::DuplicateProperty { name } => {
            let violation = rpc::precondition_failure::Violation {
                r#type: "PLATFORM_PROPERTY".into(),
                subject: name,
                description: message.clone(),
            };
            let details = rpc::PreconditionFailure { violations: vec![violation] };
            detailed(Code::FailedPrecondition, message, &[any::pack(&details)])
        }
        PolicyError::MalformedProperty { .. } => bad_request(message.clone(), "platform.properties", message),
        PolicyError::Denied { .. } => Status::permission_denied(message),
        PolicyError::FailedPrecondition { .. } => Status::failed_precondition(message),
        PolicyError::Exhausted { retry_after: None, .. } => Status::resource_exhausted(message),
        PolicyError::Exhausted { retry_after: Some(after), .. } => {
            // Whole seconds, so that nobody comes too early.
            let seconds = i64::try_from(after.as_secs()).unwrap_or(i64::MAX).saturating_add(1);
            retry(Code::ResourceExhausted, &message, seconds)
        }
        PolicyError::Fault { plugin } => {
            let metadata = HashMap::from([("plugin".to_owned(), plugin)]);
            let info = rpc::ErrorInfo { reason: "POLICY_FAULT".into(), domain: DOMAIN.into(), metadata };
            let details = [any::pack(&info), any::pack(&retry_info(RETRY_SECONDS))];
            detailed(Code::Unavailable, "the policy could not answer; try again".into(), &details)
        }
    }
}

/// DATA_LOSS is what bots take as the end of their session: they create a new one.
fn no_session(message: String) -> Status {
    Status::data_loss(message)
}

fn internal(message: &str) -> Status {
    tracing::error!(error = %message, "a call failed");
    Status::internal("the server failed; its log says why")
}

fn bad_request(message: String, field: &str, problem: String) -> Status {
    let violation =
        rpc::bad_request::FieldViolation { field: field.into(), description: problem, ..Default::default() };
    let details = rpc::BadRequest { field_violations: vec![violation] };
    detailed(Code::InvalidArgument, message, &[any::pack(&details)])
}

fn missing(message: String, blobs: &[Digest]) -> Status {
    detailed(Code::FailedPrecondition, message, &[any::pack(&missing_blobs(blobs))])
}

fn missing_blobs(blobs: &[Digest]) -> rpc::PreconditionFailure {
    let violation = |blob: &Digest| rpc::precondition_failure::Violation {
        r#type: "MISSING".into(),
        subject: format!("blobs/{blob}"),
        description: String::new(),
    };
    rpc::PreconditionFailure { violations: blobs.iter().take(VIOLATIONS_MAX).map(violation).collect() }
}

fn retry(code: Code, message: &str, seconds: i64) -> Status {
    detailed(code, message.to_owned(), &[any::pack(&retry_info(seconds))])
}

fn retry_info(seconds: i64) -> rpc::RetryInfo {
    rpc::RetryInfo { retry_delay: Some(prost_types::Duration { seconds, nanos: 0 }) }
}

fn detailed(code: Code, message: String, details: &[prost_types::Any]) -> Status {
    let status = rpc::Status { code: code as i32, message: message.clone(), details: details.to_vec() };
    Status::with_details(code, message, Bytes::from(status.encode_to_vec()))
}

#[cfg(test)]
#[path = "status/tests.rs"]
mod tests;
