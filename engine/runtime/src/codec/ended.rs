//! A finished job's row, as much of it as lists show: reading the rest would cost more than the list.

use berth_core::{OperationId, OperationView, Outcome, Stage};
use berth_proto::store as pb;
use prost::Message;

use super::{CodecError, instance, job_id, operation_id, read_digest, read_outcome, time};

/// `berth.store.v1.Job`, with the fields that are read here.
#[derive(Clone, PartialEq, Message)]
struct Ended {
    #[prost(message, optional, tag = "1")]
    job: Option<pb::Id>,
    #[prost(string, tag = "2")]
    instance: String,
    #[prost(message, optional, tag = "3")]
    action: Option<pb::Digest>,
    #[prost(uint64, tag = "11")]
    queued_at: u64,
    #[prost(message, repeated, tag = "16")]
    operations: Vec<pb::Handle>,
    #[prost(uint64, tag = "18")]
    completed_at: u64,
    #[prost(message, optional, tag = "19")]
    outcome: Option<pb::Outcome>,
    #[prost(uint64, optional, tag = "31")]
    started_at: Option<u64>,
}

/// What a client sees of a handle of a job that ended; `None` if the job has no such handle.
pub(crate) fn decode_ended(bytes: &[u8], operation: OperationId) -> Result<Option<OperationView>, CodecError> {
    let row = Ended::decode(bytes)?;
    for handle in row.operations {
        if operation_id(handle.operation)? != operation {
            continue;
        }
        let outcome = if handle.cancelled_at.is_some() { Outcome::Cancelled } else { read_outcome(row.outcome)? };
        return Ok(Some(OperationView {
            operation,
            job: job_id(row.job)?,
            instance: instance(row.instance),
            action: read_digest(row.action, "action")?,
            stage: Stage::Completed(outcome),
            queued_at: time(row.queued_at),
            started_at: row.started_at.map(time),
            completed_at: Some(time(handle.cancelled_at.unwrap_or(row.completed_at))),
        }));
    }
    Ok(None)
}
