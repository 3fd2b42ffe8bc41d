//! Between messages and what the book speaks. What comes in is checked here, so that the book has no values that other
//! clients could not read.

use std::time::Duration;

use berth_core::{
    Timestamp,
    work::{Refusal, UnitCounts, UnitState, Value},
};
use berth_proto::work as pb;
use bytes::Bytes;
use tonic::Status;

use crate::cbor;

/// The most that a list shows at a time, and what it shows where nothing is said.
const LIMIT_MAX: usize = 10_000;
const LIMIT: usize = 1_000;

/// A dictionary of a client.
pub(super) fn value(field: &str, bytes: &[u8]) -> Result<Value, Status> {
    match cbor::Value::check(bytes) {
        Ok(_) => Ok(bytes.into()),
        Err(why) => Err(Status::invalid_argument(format!("{field}: {why}; a value in CBOR is expected"))),
    }
}

/// A dictionary that may be left out: then it is empty.
pub(super) fn value_or_empty(field: &str, bytes: &[u8]) -> Result<Value, Status> {
    const EMPTY: &[u8] = &[0xa0];
    if bytes.is_empty() { Ok(EMPTY.into()) } else { value(field, bytes) }
}

pub(super) fn bytes(from: &[u8]) -> Bytes {
    Bytes::copy_from_slice(from)
}

/// `None`: none is named.
pub(super) fn name<N: for<'a> From<&'a [u8]>>(from: &[u8]) -> Option<N> {
    (!from.is_empty()).then(|| from.into())
}

pub(super) fn names<N: for<'a> From<&'a [u8]>>(from: &[Bytes]) -> Vec<N> {
    from.iter().map(|name| (&name[..]).into()).collect()
}

pub(super) fn limit(asked: u32) -> usize {
    if asked == 0 { LIMIT } else { (asked as usize).min(LIMIT_MAX) }
}

/// Seconds, which may be less than none.
pub(super) fn seconds(from: &prost_types::Duration) -> f64 {
    from.seconds as f64 + f64::from(from.nanos) * 1e-9
}

/// A duration that cannot be less than none.
pub(super) fn duration(from: &prost_types::Duration) -> Duration {
    Duration::try_from_secs_f64(seconds(from)).unwrap_or_default()
}

pub(super) fn to_duration(from: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(from.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(from.subsec_nanos()).unwrap_or_default() }
}

pub(super) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0 % 1_000_000).unwrap_or_default() * 1_000;
    prost_types::Timestamp { seconds: i64::try_from(at.0 / 1_000_000).unwrap_or(i64::MAX), nanos }
}

/// `None`: none is named.
pub(super) fn state(number: i32) -> Result<Option<UnitState>, Status> {
    match (number, u64::try_from(number).ok().and_then(UnitState::from_number)) {
        (0, _) => Ok(None),
        (_, Some(state)) => Ok(Some(state)),
        (number, None) => Err(Status::invalid_argument(format!("state: {number} is none of 1, 3, 4 and 5"))),
    }
}

pub(super) fn counts(counts: UnitCounts) -> pb::Counts {
    let [available, pending, finished, failed] = counts.0;
    pb::Counts { available, pending, finished, failed }
}

/// What the book refuses, as a status.
pub(super) fn refused(refusal: &Refusal) -> Status {
    let message = refusal.to_string();
    match refusal {
        Refusal::NoSpec(_) | Refusal::NoUnit(_) | Refusal::NoWorker(_) => Status::not_found(message),
        Refusal::NothingToDo => Status::invalid_argument(message),
        Refusal::LostLease | Refusal::NotContinuous(_) | Refusal::NotLockable(_) | Refusal::NotHeld(..) => {
            Status::failed_precondition(message)
        }
    }
}
