//! The rows that a log adds up to, and the shortest log that gives them again.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::log::{self, Record};
use crate::store::{Batch, Change, PartitionId, Table};

/// All partitions. Changed by `apply` only, live and at replay alike.
#[derive(Debug, Default)]
pub(super) struct Rows {
    partitions: BTreeMap<u32, Partition>,
}

/// One partition's rows. Ordered maps throughout: what is walked must not depend on a hash.
#[derive(Debug)]
pub(super) struct Partition {
    /// Raised by each `acquire`; 0 while nobody ever owned the partition.
    pub(super) epoch: u64,
    /// Position of the next feed record; trimming leaves it alone.
    pub(super) next: u64,
    pub(super) tables: [BTreeMap<Bytes, Bytes>; Table::ALL.len()],
    pub(super) feed: BTreeMap<u64, Bytes>,
}

impl Default for Partition {
    fn default() -> Self {
        Self { epoch: 0, next: 1, tables: Default::default(), feed: BTreeMap::new() }
    }
}

impl Rows {
    pub(super) fn partition(&self, partition: PartitionId) -> Option<&Partition> {
        self.partitions.get(&partition.0)
    }

    pub(super) fn epoch(&self, partition: PartitionId) -> u64 {
        self.partition(partition).map_or(0, |rows| rows.epoch)
    }

    pub(super) fn apply(&mut self, record: &Record) {
        match record {
            Record::Fence { partition, epoch } => self.entry(*partition).epoch = *epoch,
            Record::Position { partition, next } => self.entry(*partition).next = *next,
            Record::Batch { partition, batch } => self.entry(*partition).apply(batch),
        }
    }

    /// A log that gives these rows: what replaces one that has grown long.
    pub(super) fn snapshot(&self) -> Vec<u8> {
        let mut log = Vec::new();
        for (id, rows) in &self.partitions {
            let id = PartitionId(*id);
            let mut batch = Batch::default();
            for (table, kept) in Table::ALL.into_iter().zip(&rows.tables) {
                for (key, value) in kept {
                    batch.put(table, key, |buffer| buffer.extend_from_slice(value));
                }
            }
            for (sequence, record) in &rows.feed {
                batch.feed(*sequence, |buffer| buffer.extend_from_slice(record));
            }
            log::fence(&mut log, id, rows.epoch);
            log::batch(&mut log, id, &batch);
            log::position(&mut log, id, rows.next);
        }
        log
    }

    fn entry(&mut self, partition: PartitionId) -> &mut Partition {
        self.partitions.entry(partition.0).or_default()
    }
}

impl Partition {
    fn apply(&mut self, batch: &Batch) {
        for change in batch.changes() {
            match change {
                Change::Put { table, key, value } => {
                    self.tables[*table as usize].insert(own(batch.bytes(key)), own(batch.bytes(value)));
                }
                Change::Delete { table, key } => {
                    self.tables[*table as usize].remove(batch.bytes(key));
                }
                Change::DeleteRange { table, from, to } => {
                    let (from, to) = (batch.bytes(from), batch.bytes(to));
                    self.tables[*table as usize].retain(|key, _| !(from <= &key[..] && &key[..] < to));
                }
                Change::Feed { sequence, record } => {
                    self.feed.insert(*sequence, own(batch.bytes(record)));
                    self.next = self.next.max(sequence + 1);
                }
                Change::TrimFeed { below } => self.feed = self.feed.split_off(below),
            }
        }
    }
}

fn own(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}
