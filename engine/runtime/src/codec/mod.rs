//! Core's facts and rows as bytes: prost messages of `berth.store.v1`, and the keys of the tables.
//!
//! Encoding cannot fail. Decoding meets what is on disk, so it says which row is broken and how.

mod ended;
mod fact;
mod key;
mod past;
mod row;
mod setbacks;
mod turn;

use std::sync::Arc;

use berth_core::{
    Affinity, Digest, InstanceName, JobId, Limit, OperationId, Outcome, Property, PropertySet, SessionId, Timestamp,
};
use berth_proto::store as pb;
use bytes::Bytes;

pub(crate) use self::{
    ended::decode_ended,
    turn::{Turn, read_turn},
};
pub use self::{
    fact::{decode_feed, encode_feed, feed_time},
    key::{bot_key, counter_key, finished_key, finished_key_job, id_key, key_id, pause_key},
    row::{
        decode_cool_down, decode_drain, decode_job, decode_lease, decode_limit, decode_pause, decode_quarantine,
        decode_session, encode_cool_down, encode_drain, encode_job, encode_lease, encode_limit, encode_pause,
        encode_quarantine, encode_session,
    },
};

/// A row or record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not a message of the expected type.
    #[error("the bytes are not a valid message: {0}")]
    Message(#[from] prost::DecodeError),
    /// A field that must be there is not, or has a value that means nothing.
    #[error("field `{0}` is missing or has no meaning")]
    Field(&'static str),
}

pub(crate) fn id(value: u128) -> Option<pb::Id> {
    Some(pb::Id { high: (value >> 64) as u64, low: value as u64 })
}

fn read_id(id: Option<pb::Id>, field: &'static str) -> Result<u128, CodecError> {
    let id = id.ok_or(CodecError::Field(field))?;
    Ok(u128::from(id.high) << 64 | u128::from(id.low))
}

pub(crate) fn job_id(from: Option<pb::Id>) -> Result<JobId, CodecError> {
    read_id(from, "job").map(JobId)
}

fn operation_id(from: Option<pb::Id>) -> Result<OperationId, CodecError> {
    read_id(from, "operation").map(OperationId)
}

fn session_id(from: Option<pb::Id>) -> Result<SessionId, CodecError> {
    read_id(from, "session").map(SessionId)
}

pub(crate) fn digest(from: &Digest) -> pb::Digest {
    pb::Digest { hash: Bytes::copy_from_slice(&from.hash), size_bytes: from.size_bytes }
}

pub(crate) fn read_digest(from: Option<pb::Digest>, field: &'static str) -> Result<Digest, CodecError> {
    let from = from.ok_or(CodecError::Field(field))?;
    let hash = from.hash.as_ref().try_into().map_err(|_| CodecError::Field(field))?;
    Ok(Digest { hash, size_bytes: from.size_bytes })
}

fn properties(from: &PropertySet) -> pb::PropertySet {
    let property = |p: &Property| pb::Property { name: p.name.to_string(), value: p.value.to_string() };
    pb::PropertySet { properties: from.iter().map(property).collect() }
}

fn read_properties(from: pb::PropertySet) -> PropertySet {
    from.properties.into_iter().map(|p| Property::new(p.name, p.value)).collect()
}

fn outcome(from: Outcome) -> pb::Outcome {
    use pb::outcome::Kind;
    let nothing = pb::Nothing {};
    let kind = match from {
        Outcome::Reported { code, cacheable } => Kind::Reported(pb::Reported { code, cacheable }),
        Outcome::Cached => Kind::Cached(nothing),
        Outcome::Cancelled => Kind::Cancelled(nothing),
        Outcome::QueueTimeout => Kind::QueueTimeout(nothing),
        Outcome::ExecutionTimeout => Kind::ExecutionTimeout(nothing),
        Outcome::AttemptsExhausted { code } => Kind::AttemptsExhausted(code),
        Outcome::Failed { code } => Kind::Failed(code),
        Outcome::Refused => Kind::Refused(nothing),
    };
    pb::Outcome { kind: Some(kind) }
}

fn read_outcome(from: Option<pb::Outcome>) -> Result<Outcome, CodecError> {
    use pb::outcome::Kind;
    Ok(match from.and_then(|outcome| outcome.kind).ok_or(CodecError::Field("outcome"))? {
        Kind::Reported(reported) => Outcome::Reported { code: reported.code, cacheable: reported.cacheable },
        Kind::Cached(_) => Outcome::Cached,
        Kind::Cancelled(_) => Outcome::Cancelled,
        Kind::QueueTimeout(_) => Outcome::QueueTimeout,
        Kind::ExecutionTimeout(_) => Outcome::ExecutionTimeout,
        Kind::AttemptsExhausted(code) => Outcome::AttemptsExhausted { code },
        Kind::Failed(code) => Outcome::Failed { code },
        Kind::Refused(_) => Outcome::Refused,
    })
}

fn limit_row(from: &Limit) -> pb::Limit {
    pb::Limit {
        name: from.name.to_string(),
        max_running: from.max_running,
        max_queued: from.max_queued,
        min_running: from.min_running,
        evict_after_ms: millis(from.evict_after),
        cool_down_ms: millis(Some(from.cool_down)).unwrap_or_default(),
    }
}

fn affinity_row(from: &Affinity) -> pb::Affinity {
    let wait_ms = u32::try_from(from.wait.as_millis()).unwrap_or(u32::MAX);
    pb::Affinity { key: from.key.to_string(), weight: from.weight, wait_ms }
}

fn read_affinity(from: pb::Affinity) -> Arc<Affinity> {
    let pb::Affinity { key, weight, wait_ms } = from;
    Arc::new(Affinity { key: key.into(), weight, wait: std::time::Duration::from_millis(wait_ms.into()) })
}

fn read_limit(from: pb::Limit) -> Arc<Limit> {
    let pb::Limit { name, max_running, max_queued, min_running, evict_after_ms, cool_down_ms } = from;
    let cool_down = std::time::Duration::from_millis(cool_down_ms.into());
    let evict_after = read_millis(evict_after_ms);
    Arc::new(Limit { name: name.into(), max_running, max_queued, min_running, evict_after, cool_down })
}

fn instance(from: String) -> InstanceName {
    InstanceName(from.into())
}

fn millis(from: Option<std::time::Duration>) -> Option<u32> {
    from.map(|duration| u32::try_from(duration.as_millis()).unwrap_or(u32::MAX))
}

fn read_millis(from: Option<u32>) -> Option<std::time::Duration> {
    from.map(|millis| std::time::Duration::from_millis(u64::from(millis)))
}

fn time(from: u64) -> Timestamp {
    Timestamp(from)
}
