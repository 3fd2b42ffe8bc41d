//! `RocksStore`: one column family a table, one synced write batch a group of commits.
//!
//! RocksDB's file lock keeps other processes out, so a fence only has to hold within this one: epochs are compared
//! in memory, and kept on disk so that they grow over restarts.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, RwLock};

use bytes::Bytes;
use rocksdb::{ColumnFamily, DB, FlushOptions, ReadOptions, WriteBatch, WriteOptions};

use berth_runtime::store::{Batch, Change, Commit, Fence, PartitionId, Space, Store, StoreError, Table, Visit};

use crate::keys::{self, Held, PREFIX_BYTES};
use crate::open::{self, OpenError};
use crate::stats::{self, StoreStats};
use crate::tuning::{self, RocksOptions};

/// The `Store` port on RocksDB.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
    writes: WriteOptions,
    /// What is held of each partition that was ever acquired, as in `keys::OWN` but never behind. `acquire` takes
    /// the lock alone, so that no commit under an older fence can still be on its way when it returns; commits
    /// share it. A partition's own lock is held for moments only.
    held: RwLock<BTreeMap<PartitionId, Mutex<Held>>>,
}

impl RocksStore {
    /// Opens the store in a folder, which is made if need be. Reads the log that an unclean end left behind.
    pub fn open(path: impl AsRef<Path>, options: &RocksOptions) -> Result<RocksStore, OpenError> {
        let path = path.as_ref();
        let db = open::open(path, options)?;
        let damaged = |reason: String| OpenError::Damaged { path: path.into(), reason };
        let held = load(&db).map_err(|error| damaged(error.into_string()))?;
        Ok(RocksStore { db, path: path.into(), writes: tuning::writes(options), held: RwLock::new(held) })
    }

    /// Sizes, for metrics. Cheap: RocksDB keeps them in memory.
    pub fn stats(&self) -> StoreStats {
        stats::read(&self.db)
    }

    fn held(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<PartitionId, Mutex<Held>>> {
        self.held.read().expect("no code panics while it holds the fences")
    }
}

impl Store for RocksStore {
    fn acquire(&self, partition: PartitionId) -> Result<Fence, StoreError> {
        let mut all = self.held.write().expect("no code panics while it holds the fences");
        let mut held = all.get(&partition).map_or(Held::NEW, copy);
        held.epoch += 1;
        self.db.put_opt(Held::key(partition), held.value(), &self.writes).map_err(failed)?;
        all.insert(partition, Mutex::new(held));
        Ok(Fence { partition, epoch: held.epoch })
    }

    fn renew(&self, fence: &Fence) -> Result<(), StoreError> {
        let held = self.held().get(&fence.partition).map(copy);
        let holds = held.is_some_and(|held| held.epoch == fence.epoch);
        if holds { Ok(()) } else { Err(StoreError::Fenced(fence.partition)) }
    }

    fn commit(&self, group: &[Commit]) -> Vec<Result<(), StoreError>> {
        let all = self.held();
        let mut write = GroupWrite::new(&self.db, group);
        let mut results: Vec<Result<(), StoreError>> = Vec::with_capacity(group.len());
        for Commit { fence, batch } in group {
            let held = write.held(fence.partition).or_else(|| all.get(&fence.partition).map(copy));
            results.push(match held {
                Some(held) if held.epoch == fence.epoch => {
                    write.add(fence.partition, held, batch);
                    Ok(())
                }
                _ => Err(StoreError::Fenced(fence.partition)),
            });
        }
        match write.finish(&self.db, &self.writes) {
            Ok(moved) => {
                for (partition, held) in moved {
                    *lock(&all[&partition]) = held;
                }
            }
            Err(error) => {
                let reason = error.into_string();
                for result in results.iter_mut().filter(|result| result.is_ok()) {
                    *result = Err(StoreError::Failed(reason.clone()));
                }
            }
        }
        results
    }

    fn scan(&self, partition: PartitionId, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let end = keys::end(partition);
        let mut rows =
            self.db.raw_iterator_cf_opt(family(&self.db, table.name()), tuning::walk(end.as_ref().map(|end| &end[..])));
        rows.seek(keys::row(&mut Vec::new(), partition, from));
        while let Some((key, value)) = rows.item() {
            if visit(&key[PREFIX_BYTES..], value) == ControlFlow::Break(()) {
                return Ok(());
            }
            rows.next();
        }
        rows.status().map_err(failed)
    }

    fn range(
        &self,
        partition: PartitionId,
        table: Table,
        range: Range<&[u8]>,
        backward: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        let (mut from, mut to) = (Vec::new(), Vec::new());
        keys::row(&mut from, partition, range.start);
        keys::row(&mut to, partition, range.end);
        if from >= to {
            return Ok(());
        }
        let mut reads = ReadOptions::default();
        reads.set_iterate_lower_bound(from);
        reads.set_iterate_upper_bound(to);
        let mut rows = self.db.raw_iterator_cf_opt(family(&self.db, table.name()), reads);
        if backward {
            rows.seek_to_last()
        } else {
            rows.seek_to_first()
        }
        while let Some((key, value)) = rows.item() {
            if visit(&key[PREFIX_BYTES..], value) == ControlFlow::Break(()) {
                return Ok(());
            }
            if backward { rows.prev() } else { rows.next() }
        }
        rows.status().map_err(failed)
    }

    fn get(&self, partition: PartitionId, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let keys: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| {
                let mut row = Vec::with_capacity(PREFIX_BYTES + key.len());
                keys::row(&mut row, partition, key);
                row
            })
            .collect();
        let found =
            self.db.batched_multi_get_cf_opt(family(&self.db, table.name()), &keys, false, &ReadOptions::default());
        found.into_iter().map(|row| Ok(row.map_err(failed)?.map(|value| Bytes::copy_from_slice(&value)))).collect()
    }

    fn feed(&self, partition: PartitionId, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let end = keys::end(partition);
        // No readahead of our own: most readers want the few newest records, and RocksDB reads ahead as a walk grows.
        let mut reads = ReadOptions::default();
        if let Some(end) = end {
            reads.set_iterate_upper_bound(end);
        }
        let mut records = self.db.raw_iterator_cf_opt(family(&self.db, keys::FEED), reads);
        // Begins above what was trimmed: not to walk over what is deleted but not yet gone.
        let trimmed = self.held().get(&partition).map_or(0, |held| copy(held).trimmed);
        records.seek(keys::feed(partition, from.max(trimmed)));
        let mut page = Vec::new();
        while page.len() < limit {
            let Some((key, record)) = records.item() else { break };
            let sequence = keys::sequence(key).ok_or_else(|| damaged_feed(partition))?;
            page.push((sequence, Bytes::copy_from_slice(record)));
            records.next();
        }
        records.status().map_err(failed)?;
        Ok(page)
    }

    fn next_sequence(&self, partition: PartitionId) -> Result<u64, StoreError> {
        Ok(self.held().get(&partition).map_or(Held::NEW.next, |held| copy(held).next))
    }

    fn space(&self) -> Result<Space, StoreError> {
        match open::free_bytes(&self.path) {
            Ok(free_bytes) => Ok(Space { free_bytes }),
            Err(error) => Err(StoreError::Failed(format!("{}: {error}", self.path.display()))),
        }
    }
}

impl Drop for RocksStore {
    /// A clean stop moves all rows to table files, so that the next start has no log to replay.
    fn drop(&mut self) {
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        let names = Table::ALL.map(Table::name).into_iter().chain([keys::FEED, keys::OWN]);
        let families: Vec<&ColumnFamily> = names.map(|name| family(&self.db, name)).collect();
        let families: Vec<&&ColumnFamily> = families.iter().collect();
        let flushed = self.db.flush_wal(true).and_then(|()| self.db.flush_cfs_opt(&families, &wait));
        if let Err(error) = flushed {
            // Nothing is lost: what was acknowledged is in the log, and the next start reads it from there.
            tracing::warn!(path = %self.path.display(), %error, "the store was not flushed at shutdown");
        }
    }
}

/// A group's write batch in the making, and how it moves the partitions' feeds.
struct GroupWrite<'a> {
    batch: WriteBatch,
    tables: [&'a ColumnFamily; Table::ALL.len()],
    feed: &'a ColumnFamily,
    moved: Vec<(PartitionId, Held)>,
    /// Reused for every key.
    scratch: [Vec<u8>; 2],
}

impl<'a> GroupWrite<'a> {
    /// What RocksDB adds to a row's bytes in a batch, roughly: only to size the buffer.
    const ROW_OVERHEAD_BYTES: usize = PREFIX_BYTES + 12;

    fn new(db: &'a DB, group: &[Commit]) -> Self {
        let bytes =
            |commit: &Commit| commit.batch.size_bytes() + commit.batch.changes().len() * Self::ROW_OVERHEAD_BYTES;
        GroupWrite {
            batch: WriteBatch::with_capacity_bytes(group.iter().map(bytes).sum()),
            tables: Table::ALL.map(|table| family(db, table.name())),
            feed: family(db, keys::FEED),
            moved: Vec::new(),
            scratch: Default::default(),
        }
    }

    /// What an earlier commit of this group made of the partition.
    fn held(&self, partition: PartitionId) -> Option<Held> {
        self.moved.iter().find(|(moved, _)| *moved == partition).map(|(_, held)| *held)
    }

    fn add(&mut self, partition: PartitionId, before: Held, batch: &Batch) {
        let mut held = before;
        let [key_bytes, to_bytes] = &mut self.scratch;
        for change in batch.changes() {
            match change {
                Change::Put { table, key, value } => {
                    let key = keys::row(key_bytes, partition, batch.bytes(key));
                    self.batch.put_cf(&self.tables[*table as usize], key, batch.bytes(value));
                }
                Change::Delete { table, key } => {
                    let key = keys::row(key_bytes, partition, batch.bytes(key));
                    self.batch.delete_cf(&self.tables[*table as usize], key);
                }
                Change::DeleteRange { table, from, to } => {
                    let from = keys::row(key_bytes, partition, batch.bytes(from));
                    let to = keys::row(to_bytes, partition, batch.bytes(to));
                    // RocksDB would refuse the whole batch for a range that ends before it begins.
                    if from < to {
                        self.batch.delete_range_cf(&self.tables[*table as usize], from, to);
                    }
                }
                Change::Feed { sequence, record } => {
                    self.batch.put_cf(&self.feed, keys::feed(partition, *sequence), batch.bytes(record));
                    held.next = held.next.max(sequence + 1);
                }
                Change::TrimFeed { below } => {
                    // Not beyond the end: a record that is appended later must not count as trimmed.
                    let below = held.next.min(*below);
                    if held.trimmed < below {
                        let (from, to) = (keys::feed(partition, held.trimmed), keys::feed(partition, below));
                        self.batch.delete_range_cf(&self.feed, from, to);
                        held.trimmed = below;
                    }
                }
            }
        }
        if held.trimmed != before.trimmed {
            self.batch.put(Held::key(partition), held.value());
        }
        if held != before {
            self.moved.retain(|(moved, _)| *moved != partition);
            self.moved.push((partition, held));
        }
    }

    fn finish(self, db: &DB, writes: &WriteOptions) -> Result<Vec<(PartitionId, Held)>, rocksdb::Error> {
        if !self.batch.is_empty() {
            db.write_opt(self.batch, writes)?;
        }
        Ok(self.moved)
    }
}

/// Reads what is held of every partition, and where its feed really ends.
fn load(db: &DB) -> Result<BTreeMap<PartitionId, Mutex<Held>>, rocksdb::Error> {
    let mut all = BTreeMap::new();
    let mut rows = db.raw_iterator();
    rows.seek_to_first();
    while let Some((key, value)) = rows.item() {
        if let Some((partition, mut held)) = Held::parse(key, value) {
            let last = last_in_feed(db, partition)?;
            held.next = last.map_or(held.next, |last| held.next.max(last + 1));
            all.insert(partition, Mutex::new(held));
        }
        rows.next();
    }
    rows.status()?;
    Ok(all)
}

fn last_in_feed(db: &DB, partition: PartitionId) -> Result<Option<u64>, rocksdb::Error> {
    let mut reads = ReadOptions::default();
    reads.set_iterate_lower_bound(keys::feed(partition, 0));
    let mut records = db.raw_iterator_cf_opt(family(db, keys::FEED), reads);
    records.seek_for_prev(keys::feed(partition, u64::MAX));
    let last = records.key().and_then(keys::sequence);
    records.status().map(|()| last)
}

fn family<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("opening makes every family")
}

fn lock(held: &Mutex<Held>) -> std::sync::MutexGuard<'_, Held> {
    held.lock().expect("no code panics while it holds a partition")
}

fn copy(held: &Mutex<Held>) -> Held {
    *lock(held)
}

/// Every error is final: RocksDB retries what can be retried, and after a failed write accepts no other.
fn failed(error: rocksdb::Error) -> StoreError {
    StoreError::Failed(error.into_string())
}

fn damaged_feed(partition: PartitionId) -> StoreError {
    StoreError::Failed(format!("the feed of partition {} has a key that is no position", partition.0))
}
