//! Parsing at the door: what comes over the wire becomes values that the engine trusts.

use std::time::Duration;

use berth_core::{Digest, Timestamp};
use berth_proto::{
    buildgrid::SchedulingMetadata,
    reapi::{self, RequestMetadata, digest_function},
};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;

use crate::error::Error;

/// The header in which build tools say who they are.
pub(crate) const REQUEST_METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// The header in which clients give hints to a scheduler.
const SCHEDULING_METADATA: &str = "build.buildgrid.schedulingmetadata-bin";

/// As much of a tenant's name and of a hint as is kept.
const WORD_BYTES_MAX: usize = 256;

/// More than this of RequestMetadata is not kept: it is stored with each operation.
const REQUEST_METADATA_BYTES_MAX: usize = 8 << 10;

/// A digest of a request.
pub(crate) fn digest(field: &'static str, wire: Option<&reapi::Digest>) -> Result<Digest, Error> {
    let wire = wire.ok_or_else(|| Error::field(field, "is not set"))?;
    Digest::parse(&wire.hash, wire.size_bytes).map_err(|error| Error::field(field, error.to_string()))
}

/// A digest for the wire.
pub(crate) fn to_wire(digest: &Digest) -> reapi::Digest {
    let size_bytes = i64::try_from(digest.size_bytes).expect("a digest is parsed from an i64");
    reapi::Digest { hash: digest.hex(), size_bytes }
}

/// Only SHA-256 is spoken; a client that says nothing means it too.
pub(crate) fn check_function(function: i32) -> Result<(), Error> {
    let known = [digest_function::Value::Unknown as i32, digest_function::Value::Sha256 as i32];
    if known.contains(&function) {
        return Ok(());
    }
    Err(Error::field("digest_function", format!("{function} is not supported, only SHA256 (1) is")))
}

/// A duration of a message; refuses what is negative or out of its range.
pub(crate) fn duration(field: &'static str, wire: prost_types::Duration) -> Result<Duration, Error> {
    let refuse = || Error::field(field, format!("{} s and {} ns is not a duration", wire.seconds, wire.nanos));
    let nanos = u32::try_from(wire.nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or_else(refuse)?;
    Ok(Duration::new(u64::try_from(wire.seconds).map_err(|_| refuse())?, nanos))
}

/// A duration for the wire.
pub(crate) fn to_duration(time: Duration) -> prost_types::Duration {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    prost_types::Duration { seconds, nanos: i32::try_from(time.subsec_nanos()).expect("less than a second") }
}

/// An instant for the wire.
pub(crate) fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    let (seconds, micros) = (at.0 / 1_000_000, at.0 % 1_000_000);
    let seconds = i64::try_from(seconds).expect("microseconds of a u64 are fewer seconds than an i64 has");
    prost_types::Timestamp { seconds, nanos: i32::try_from(micros * 1_000).expect("less than a second") }
}

/// What a build tool says of itself, and its bytes for the store. Nonsense counts as nothing: it must not fail a build.
pub(crate) fn request_metadata(headers: &MetadataMap) -> (RequestMetadata, Bytes) {
    let bytes = headers.get_bin(REQUEST_METADATA).and_then(|value| value.to_bytes().ok()).unwrap_or_default();
    if bytes.len() > REQUEST_METADATA_BYTES_MAX {
        return Default::default();
    }
    RequestMetadata::decode(bytes.clone()).map(|metadata| (metadata, bytes)).unwrap_or_default()
}

/// Where a client would like to be served. Nonsense counts as nothing.
pub(crate) fn locality_hint(headers: &MetadataMap) -> String {
    let bytes = headers.get_bin(SCHEDULING_METADATA).and_then(|value| value.to_bytes().ok()).unwrap_or_default();
    let hint = SchedulingMetadata::decode(bytes).unwrap_or_default().locality_hint;
    if hint.len() <= WORD_BYTES_MAX { hint } else { String::new() }
}

/// Who the client is, by the header that the operator named. Whoever sets that header must be trusted.
pub(crate) fn tenant(headers: &MetadataMap, header: Option<&str>) -> String {
    let value = header.and_then(|header| headers.get(header)).and_then(|value| value.to_str().ok());
    value.map(str::trim).filter(|value| value.len() <= WORD_BYTES_MAX).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_negative_or_crooked_duration_is_refused() {
        let parse = |seconds, nanos| duration("f", prost_types::Duration { seconds, nanos });
        assert_eq!(parse(2, 500).unwrap(), Duration::new(2, 500));
        for (seconds, nanos) in [(-1, 0), (0, -1), (1, 1_000_000_000)] {
            assert!(parse(seconds, nanos).is_err(), "{seconds} {nanos}");
        }
    }

    #[test]
    fn an_instant_keeps_its_microseconds() {
        let wire = timestamp(Timestamp(1_700_000_000_123_456));
        assert_eq!((wire.seconds, wire.nanos), (1_700_000_000, 123_456_000));
    }

    #[test]
    fn tenant_and_hint_come_from_their_headers_or_are_empty() {
        let mut headers = MetadataMap::new();
        headers.insert("x-tenant", " team-a ".parse().unwrap());
        let hint = SchedulingMetadata { locality_hint: "rack-1".into() }.encode_to_vec();
        headers.insert_bin(SCHEDULING_METADATA, tonic::metadata::MetadataValue::from_bytes(&hint));
        assert_eq!(tenant(&headers, Some("x-tenant")), "team-a");
        assert_eq!((tenant(&headers, None), tenant(&headers, Some("x-other"))), (String::new(), String::new()));
        assert_eq!(locality_hint(&headers), "rack-1");
        headers.insert_bin(SCHEDULING_METADATA, tonic::metadata::MetadataValue::from_bytes(&[255]));
        assert_eq!(locality_hint(&headers), "");
    }

    #[test]
    fn other_digest_functions_are_refused() {
        assert!(check_function(0).is_ok() && check_function(1).is_ok());
        assert!(check_function(9).unwrap_err().to_string().contains("only SHA256"));
    }

    #[test]
    fn broken_request_metadata_counts_as_none() {
        let mut headers = MetadataMap::new();
        headers.insert_bin(REQUEST_METADATA, tonic::metadata::MetadataValue::from_bytes(&[255, 255]));
        assert_eq!(request_metadata(&headers), Default::default());
    }
}
