//! What a result tells of the resources that its command took. REAPI has no field for it: workers put messages of their
//! own into the auxiliary metadata, and of those the widest known is read.

use berth_proto::{any, reapi::ActionResult};
use prost::Message;

/// The name under which workers report what `getrusage` told them.
const RUSAGE: &str = "buildbarn.resourceusage.POSIXResourceUsage";

/// As much of that message as is of use here.
#[derive(Clone, PartialEq, Message)]
struct Rusage {
    #[prost(int64, tag = "3")]
    maximum_resident_set_bytes: i64,
}

/// The most memory that the command was seen to use; 0 if nobody said.
pub fn peak_memory_bytes(result: &ActionResult) -> u64 {
    let metadata = result.execution_metadata.as_ref();
    let messages = metadata.into_iter().flat_map(|metadata| &metadata.auxiliary_metadata);
    let usages = messages.filter(|message| any::type_name(message) == RUSAGE);
    let peaks = usages.filter_map(|message| Rusage::decode(message.value.as_slice()).ok());
    peaks.filter_map(|usage| u64::try_from(usage.maximum_resident_set_bytes).ok()).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use berth_proto::reapi::ExecutedActionMetadata;
    use prost_types::Any;

    use super::*;

    #[test]
    fn the_peak_is_found_among_other_metadata() {
        let usage = Rusage { maximum_resident_set_bytes: 7 << 20 };
        let any = |name: &str, value| Any { type_url: format!("type.googleapis.com/{name}"), value };
        let metadata = ExecutedActionMetadata {
            auxiliary_metadata: vec![any("other.Usage", vec![255]), any(RUSAGE, usage.encode_to_vec())],
            ..ExecutedActionMetadata::default()
        };
        let result = ActionResult { execution_metadata: Some(metadata), ..ActionResult::default() };
        assert_eq!(peak_memory_bytes(&result), 7 << 20);
        assert_eq!(peak_memory_bytes(&ActionResult::default()), 0);
    }
}
