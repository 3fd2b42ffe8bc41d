//! How rows lie on disk: every key begins with its partition, so that a partition is one range of each table.
//!
//! Part of the format on disk: a change here needs a new [`FORMAT`].

use berth_runtime::store::PartitionId;

/// Bytes that a partition takes at the front of a key.
pub(crate) const PREFIX_BYTES: usize = 4;

/// The format that this code writes. Kept under [`FORMAT_KEY`].
pub(crate) const FORMAT: u32 = 1;

/// Column family of the event feed; the tables use their own names.
pub(crate) const FEED: &str = "feed";

/// Column family of the store's own rows. RocksDB makes it in any case, and no table has this name.
pub(crate) const OWN: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;

/// Row of [`OWN`] that holds the format.
pub(crate) const FORMAT_KEY: &[u8] = b"format";

const HELD_TAG: u8 = b'p';

/// Key of a row: partition, then the caller's key.
pub(crate) fn row<'a>(scratch: &'a mut Vec<u8>, partition: PartitionId, key: &[u8]) -> &'a [u8] {
    scratch.clear();
    scratch.extend_from_slice(&partition.0.to_be_bytes());
    scratch.extend_from_slice(key);
    scratch
}

/// Key of a feed record: partition, then position, so that the order of keys is the order of the feed.
pub(crate) fn feed(partition: PartitionId, sequence: u64) -> [u8; PREFIX_BYTES + 8] {
    let mut key = [0; PREFIX_BYTES + 8];
    key[..PREFIX_BYTES].copy_from_slice(&partition.0.to_be_bytes());
    key[PREFIX_BYTES..].copy_from_slice(&sequence.to_be_bytes());
    key
}

/// Position that a feed key stands for.
pub(crate) fn sequence(key: &[u8]) -> Option<u64> {
    key.get(PREFIX_BYTES..)?.try_into().ok().map(u64::from_be_bytes)
}

/// First key after the partition; nothing for the last one, which ends with the table.
pub(crate) fn end(partition: PartitionId) -> Option<[u8; PREFIX_BYTES]> {
    partition.0.checked_add(1).map(u32::to_be_bytes)
}

/// What the store itself keeps of a partition, as a row of [`OWN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// The epoch of the newest fence.
    pub(crate) epoch: u64,
    /// The feed's next position. On disk it may lag behind the feed, and is only needed where trimming has taken
    /// the records that show it; so trimming and acquiring write it, and appending does not.
    pub(crate) next: u64,
    /// Feed records below this are gone. Where the next trim begins, so that deleted ranges never overlap.
    pub(crate) trimmed: u64,
}

impl Held {
    pub(crate) const NEW: Held = Held { epoch: 0, next: 1, trimmed: 0 };

    pub(crate) fn key(partition: PartitionId) -> [u8; 5] {
        let [a, b, c, d] = partition.0.to_be_bytes();
        [HELD_TAG, a, b, c, d]
    }

    pub(crate) fn value(&self) -> [u8; 24] {
        let mut value = [0; 24];
        for (slot, field) in value.chunks_exact_mut(8).zip([self.epoch, self.next, self.trimmed]) {
            slot.copy_from_slice(&field.to_be_bytes());
        }
        value
    }

    /// Reads a row of [`OWN`]: nothing if the row is of another kind, or is not as this code writes it.
    pub(crate) fn parse(key: &[u8], value: &[u8]) -> Option<(PartitionId, Held)> {
        let partition = key.strip_prefix(&[HELD_TAG])?.try_into().ok().map(u32::from_be_bytes)?;
        let (fields, []) = value.as_chunks::<8>() else { return None };
        let [epoch, next, trimmed] = fields else { return None };
        let [epoch, next, trimmed] = [epoch, next, trimmed].map(|field| u64::from_be_bytes(*field));
        Some((PartitionId(partition), Held { epoch, next, trimmed }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_row_reads_back_and_others_do_not() {
        let held = Held { epoch: 3, next: 1 << 40, trimmed: 7 };
        let key = Held::key(PartitionId(256));
        assert_eq!(Held::parse(&key, &held.value()), Some((PartitionId(256), held)));
        assert_eq!(Held::parse(FORMAT_KEY, &held.value()), None);
        assert_eq!(Held::parse(&key, b"short"), None);
        assert_eq!(Held::parse(&key, &[0; 32]), None);
    }

    #[test]
    fn the_last_partition_ends_with_its_table() {
        assert_eq!(end(PartitionId(255)), Some([0, 0, 1, 0]));
        assert_eq!(end(PartitionId(u32::MAX)), None);
    }

    #[test]
    fn feed_keys_order_as_their_positions_do() {
        assert!(feed(PartitionId(1), 255) < feed(PartitionId(1), 256));
        assert!(feed(PartitionId(1), u64::MAX) < feed(PartitionId(2), 0));
        assert_eq!(sequence(&feed(PartitionId(1), 256)), Some(256));
    }
}
