//! Names as they stand on the wire: `INSTANCE/ID` for operations, bot sessions and leases.
//!
//! Instance names may contain slashes, ids never do: what follows the last slash is the id.

use berth_core::{LeaseId, OperationId, SessionId, Timestamp};
use uuid::Uuid;

/// What comes before the last slash, and what after it. A name without a slash belongs to the empty instance.
pub(crate) fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('/').unwrap_or(("", name))
}

/// Reads an operation's name.
pub(crate) fn parse_operation(name: &str) -> Option<(&str, OperationId)> {
    let (instance, id) = split(name);
    Some((instance, id.parse().ok()?))
}

/// Writes an operation's name.
pub(crate) fn operation(instance: &str, id: OperationId) -> String {
    with_uuid(instance, id.0)
}

/// Reads a bot session's name.
pub(crate) fn parse_session(name: &str) -> Option<(&str, SessionId)> {
    let (instance, id) = split(name);
    Some((instance, id.parse().ok()?))
}

/// Writes a bot session's name.
pub(crate) fn session(instance: &str, id: SessionId) -> String {
    with_uuid(instance, id.0)
}

/// Reads a lease's id, with or without the instance before it.
pub(crate) fn parse_lease(name: &str) -> Option<LeaseId> {
    split(name).1.parse().ok()
}

/// Writes a lease's id.
pub(crate) fn lease(instance: &str, id: LeaseId) -> String {
    format!("{instance}/{id}")
}

/// Draws an id: a UUID of version 7, milliseconds first and 74 random bits behind them. Rows of jobs of one time are then
/// neighbours in the store, which makes writing them several times cheaper than at random places.
pub(crate) fn draw(now: Timestamp) -> u128 {
    let millis = u128::from(now.0 / 1_000) & 0xffff_ffff_ffff;
    let random: u128 = rand::random();
    (millis << 80) | (random & 0x0fff_3fff_ffff_ffff_ffff) | 0x7000_8000_0000_0000_0000
}

fn with_uuid(instance: &str, id: u128) -> String {
    let mut buffer = Uuid::encode_buffer();
    let id = Uuid::from_u128(id).hyphenated().encode_lower(&mut buffer);
    let mut name = String::with_capacity(instance.len() + 1 + id.len());
    name.push_str(instance);
    name.push('/');
    name.push_str(id);
    name
}

#[cfg(test)]
mod tests {
    use berth_core::JobId;

    use super::*;

    #[test]
    fn an_operation_name_is_read_back_whatever_its_instance() {
        let id = OperationId(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);
        for instance in ["", "main", "a/b/c"] {
            let name = operation(instance, id);
            assert!(name.ends_with("/01234567-89ab-cdef-0123-456789abcdef"), "{name}");
            assert_eq!(parse_operation(&name), Some((instance, id)));
        }
        assert_eq!(parse_operation("01234567-89ab-cdef-0123-456789abcdef"), Some(("", id)));
    }

    #[test]
    fn ids_are_uuids_of_version_7_in_the_order_of_time() {
        let ids = [1_000_000, 1_001_000, u64::MAX / 2].map(|micros| draw(Timestamp(micros)));
        for (id, millis) in ids.into_iter().zip([1_000, 1_001]) {
            let id = Uuid::from_u128(id);
            assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.as_u128() >> 80, millis);
        }
        assert!(ids.is_sorted());
        assert_ne!(draw(Timestamp(1)), draw(Timestamp(1)));
    }

    #[test]
    fn what_is_no_id_is_no_name() {
        for name in ["", "main/", "main/x", "main/01234567-89ab-cdef-0123-456789abcde", "/"] {
            assert_eq!(parse_operation(name), None, "{name}");
            assert_eq!(parse_session(name), None, "{name}");
        }
    }

    #[test]
    fn a_lease_is_known_with_and_without_its_instance() {
        let id = LeaseId { job: JobId(7), attempt: 3 };
        assert_eq!(parse_lease(&lease("a/b", id)), Some(id));
        assert_eq!(parse_lease(&id.to_string()), Some(id));
        assert_eq!(parse_lease("main/nonsense"), None);
    }
}
