//! What a bot says of a lease that it is at, in a header of its update: BuildGrid's bots tell so when they began to fetch,
//! to execute and to upload. Clients see it in their operation, as long as the attempt goes on.

use berth_core::{LeaseId, SessionId};
use berth_proto::{bots::Lease, reapi::ExecutedActionMetadata};
use bytes::Bytes;
use prost::Message;
use tonic::metadata::MetadataMap;

use crate::{error::Error, instances::Instance, names};

/// More than this is not kept.
const BYTES_MAX: usize = 4 << 10;

/// What the headers say of these leases. Nonsense counts as nothing: it must not fail a report.
pub(super) fn parse(headers: &MetadataMap, leases: &[Lease]) -> Vec<(LeaseId, Bytes)> {
    let said = |lease: &Lease| {
        let header = format!("partial-execution-metadata-{}-bin", names::split(&lease.id).1);
        let bytes = headers.get_bin(header)?.to_bytes().ok().filter(|bytes| bytes.len() <= BYTES_MAX)?;
        ExecutedActionMetadata::decode(bytes.clone()).ok()?;
        Some((names::parse_lease(&lease.id)?, bytes))
    };
    leases.iter().filter_map(said).collect()
}

/// Keeps it, of leases that the session has.
pub(super) async fn note(instance: &Instance, session: SessionId, said: Vec<(LeaseId, Bytes)>) -> Result<(), Error> {
    for (lease, bytes) in said {
        let is_its = instance.engine.peek(move |book| book.leased_job(lease, session).is_some()).await?;
        if is_its {
            instance.engine.history().note_progress(lease.job, instance.engine.now(), bytes);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use berth_core::JobId;
    use tonic::metadata::MetadataValue;

    use super::*;

    #[test]
    fn a_header_is_of_the_lease_that_it_names_or_of_none() {
        let id = |job| LeaseId { job: JobId(job), attempt: 1 };
        let leases: Vec<_> =
            [1, 2, 3].map(|job| Lease { id: names::lease("main", id(job)), ..Lease::default() }).into();
        let mut headers = MetadataMap::new();
        let mut say = |job, bytes: &[u8]| {
            let name = format!("partial-execution-metadata-{}-bin", id(job));
            headers.insert_bin(
                tonic::metadata::BinaryMetadataKey::from_bytes(name.as_bytes()).unwrap(),
                MetadataValue::from_bytes(bytes),
            );
        };
        let metadata = ExecutedActionMetadata { worker: "bot".into(), ..Default::default() }.encode_to_vec();
        say(1, &metadata);
        say(2, &[255, 255]);
        say(7, &metadata);
        assert_eq!(parse(&headers, &leases), [(id(1), Bytes::from(metadata))]);
    }
}
