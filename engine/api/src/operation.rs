//! What a client sees of its handle: `google.longrunning.Operation`, made from the engine's view and the stored
//! result.
//!
//! A job that ended, however it ended, has an ExecuteResponse whose status says how, a cancelled one too: BuildGrid's
//! client takes an operation without a response for a success. `Operation.error` is only for a result that is gone.

use std::sync::Arc;

use berth_core::{OperationView, Outcome, Stage};
use berth_proto::{
    any,
    longrunning::{Operation, operation},
    reapi::{self, digest_function, execution_stage},
    rpc, store as pb,
};
use berth_runtime::History;
use bytes::{BufMut, Bytes, BytesMut};
use prost::{Message, Name};
use prost_types::Any;
use tonic::{Code, Status};

use crate::{config::Config, convert, error::Error, names};

/// ExecuteResponse whose parts are encoded already: they go from the store to the wire as they are.
#[derive(Clone, PartialEq, prost::Message)]
struct EncodedResponse {
    #[prost(bytes = "bytes", optional, tag = "1")]
    result: Option<Bytes>,
    #[prost(bool, tag = "2")]
    cached_result: bool,
    #[prost(bytes = "bytes", optional, tag = "3")]
    status: Option<Bytes>,
    #[prost(string, tag = "5")]
    message: String,
}

/// Only what is appended to a stored ActionResult: fields of a message that come again are merged.
#[derive(Clone, PartialEq, prost::Message)]
struct QueuedStamp {
    #[prost(message, optional, tag = "9")]
    execution_metadata: Option<reapi::ExecutedActionMetadata>,
}

/// The operation as it is now; reads the result if it is done.
pub(crate) async fn operation(history: &History, view: &OperationView, config: &Config) -> Result<Operation, Error> {
    let result = if has_result(view) { history.result(view.job).await? } else { None };
    Ok(with_result(history, view, result, config))
}

/// What was stored as results of operations, in their order, read at once.
pub(crate) async fn results(
    history: &History,
    views: impl Iterator<Item = &OperationView> + Clone,
) -> Result<Vec<Option<Arc<pb::JobResult>>>, Error> {
    let jobs = views.clone().filter(|view| has_result(view)).map(|view| view.job).collect();
    let mut stored = history.results(jobs).await?.into_iter();
    Ok(views.map(|view| if has_result(view) { stored.next().flatten() } else { None }).collect())
}

/// The operation, with what was stored as its result.
pub(crate) fn with_result(
    history: &History,
    view: &OperationView,
    stored: Option<Arc<pb::JobResult>>,
    config: &Config,
) -> Operation {
    let name = names::operation(&view.instance.0, view.operation);
    match view.stage {
        Stage::Completed(_) if stored.is_none() && has_result(view) => failed(name, view, Error::ResultLost),
        Stage::Completed(outcome) => finished(name, view, outcome, stored.as_deref(), config),
        Stage::Queued => unfinished(name, view, None),
        Stage::Executing => {
            let said = view.started_at.and_then(|began| history.progress(view.job, began));
            unfinished(name, view, said)
        }
    }
}

/// Whether something is stored of how it ended.
fn has_result(view: &OperationView) -> bool {
    match view.stage {
        Stage::Completed(Outcome::Reported { .. } | Outcome::Cached | Outcome::Failed { .. } | Outcome::Refused) => {
            true
        }
        Stage::Queued
        | Stage::Executing
        | Stage::Completed(
            Outcome::Cancelled | Outcome::QueueTimeout | Outcome::ExecutionTimeout | Outcome::AttemptsExhausted { .. },
        ) => false,
    }
}

/// The operation of a finished job; `stored` is set if there is a result.
fn finished(
    name: String,
    view: &OperationView,
    outcome: Outcome,
    stored: Option<&pb::JobResult>,
    config: &Config,
) -> Operation {
    let mut response = response(view, outcome, || stored.cloned().unwrap_or_default());
    if let Some(url) = config.action_browser_url_of(&view.instance.0).filter(|_| response.message.is_empty()) {
        let (url, action) = (url.trim_end_matches('/'), &view.action);
        response.message = format!("{url}/action/{}/{}/", action.hex(), action.size_bytes);
    }
    let response = Any {
        type_url: format!("{}{}", any::TYPE_URL_PREFIX, reapi::ExecuteResponse::full_name()),
        value: response.encode_to_vec(),
    };
    let result = Some(operation::Result::Response(response));
    Operation { name, metadata: Some(metadata(view)), done: true, result }
}

fn response(view: &OperationView, outcome: Outcome, stored: impl Fn() -> pb::JobResult) -> EncodedResponse {
    match outcome {
        Outcome::Reported { code, .. } | Outcome::Failed { code } => {
            let pb::JobResult { action_result, status, message } = stored();
            // A success has a result, even if every field of it has its default and so takes no byte.
            let has_result = code == Code::Ok as i32 || !action_result.is_empty();
            let result = has_result.then(|| result_of_job(view, action_result));
            EncodedResponse { result, status: (!status.is_empty()).then_some(status), message, ..Default::default() }
        }
        Outcome::Cached => {
            EncodedResponse { result: Some(stored().action_result), cached_result: true, ..EncodedResponse::default() }
        }
        Outcome::Refused => EncodedResponse { status: Some(stored().status), ..EncodedResponse::default() },
        Outcome::Cancelled => ended(Code::Cancelled, "it was cancelled"),
        Outcome::QueueTimeout => ended(Code::Unavailable, "no bot took it in time: it was queued for too long"),
        Outcome::ExecutionTimeout => ended(Code::DeadlineExceeded, "it was not finished within its execution timeout"),
        Outcome::AttemptsExhausted { code } => {
            let last = Code::from_i32(code);
            ended(Code::Aborted, &format!("all its attempts failed; the last one: {}", last.description()))
        }
    }
}

/// `said`: what the bot says of its attempt.
fn unfinished(name: String, view: &OperationView, said: Option<Bytes>) -> Operation {
    let said = said.and_then(|said| reapi::ExecutedActionMetadata::decode(said).ok()).unwrap_or_default();
    let partial = reapi::ExecutedActionMetadata { queued_timestamp: queued(view).queued_timestamp, ..said };
    Operation { name, metadata: Some(metadata_with(view, partial)), done: false, result: None }
}

fn failed(name: String, view: &OperationView, error: Error) -> Operation {
    let status = Status::from(error);
    let error = rpc::Status { code: status.code() as i32, message: status.message().into(), details: Vec::new() };
    Operation { name, metadata: Some(metadata(view)), done: true, result: Some(operation::Result::Error(error)) }
}

/// The response of a job that ended without a report.
fn ended(code: Code, message: &str) -> EncodedResponse {
    let status = rpc::Status { code: code as i32, message: message.into(), details: Vec::new() };
    EncodedResponse { status: Some(status.encode_to_vec().into()), ..EncodedResponse::default() }
}

/// A bot's result with the time at which the job was queued: that is ours to know. Its other stamps stay.
fn result_of_job(view: &OperationView, result: Bytes) -> Bytes {
    let stamp = QueuedStamp { execution_metadata: Some(queued(view)) };
    let mut merged = BytesMut::with_capacity(result.len() + stamp.encoded_len());
    merged.put(result);
    stamp.encode(&mut merged).expect("the buffer grows as needed");
    merged.freeze()
}

fn metadata(view: &OperationView) -> Any {
    metadata_with(view, queued(view))
}

fn metadata_with(view: &OperationView, partial: reapi::ExecutedActionMetadata) -> Any {
    let stage = match view.stage {
        Stage::Queued => execution_stage::Value::Queued,
        Stage::Executing => execution_stage::Value::Executing,
        Stage::Completed(_) => execution_stage::Value::Completed,
    };
    any::pack(&reapi::ExecuteOperationMetadata {
        stage: stage as i32,
        action_digest: Some(convert::to_wire(&view.action)),
        partial_execution_metadata: Some(partial),
        digest_function: digest_function::Value::Sha256 as i32,
        ..Default::default()
    })
}

fn queued(view: &OperationView) -> reapi::ExecutedActionMetadata {
    reapi::ExecutedActionMetadata { queued_timestamp: Some(convert::timestamp(view.queued_at)), ..Default::default() }
}

#[cfg(test)]
#[path = "operation/tests.rs"]
mod tests;
