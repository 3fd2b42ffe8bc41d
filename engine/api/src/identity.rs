//! Who a client is: the one place where that comes from.
//!
//! Nothing is decided by it: operations keep it, so that lists can be filtered by it. Whoever sets these headers must be
//! trusted to say the truth, such as a proxy that removes what clients send.

use berth_proto::store::ClientIdentity;
use tonic::metadata::MetadataMap;

/// Headers of BuildGrid's clients, or of a proxy before them.
const WORKFLOW: &str = "x-request-workflow";
const ACTOR: &str = "x-request-actor";
const SUBJECT: &str = "x-request-subject";

/// As much of a part as is kept.
const PART_BYTES_MAX: usize = 256;

/// All three parts, or nothing: as BuildGrid has it.
pub(crate) fn client(headers: &MetadataMap) -> Option<ClientIdentity> {
    let part = |name: &str| {
        let value = headers.get(name)?.to_str().ok()?.trim();
        (!value.is_empty() && value.len() <= PART_BYTES_MAX).then(|| value.to_owned())
    };
    Some(ClientIdentity { workflow: part(WORKFLOW)?, actor: part(ACTOR)?, subject: part(SUBJECT)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_three_parts_or_is_none() {
        let mut headers = MetadataMap::new();
        for (name, value) in [(WORKFLOW, " ci "), (ACTOR, "robot"), (SUBJECT, "alice")] {
            assert_eq!(client(&headers), None);
            headers.insert(name, value.parse().unwrap());
        }
        let all = ClientIdentity { workflow: "ci".into(), actor: "robot".into(), subject: "alice".into() };
        assert_eq!(client(&headers), Some(all));
        headers.insert(ACTOR, "".parse().unwrap());
        assert_eq!(client(&headers), None);
    }
}
