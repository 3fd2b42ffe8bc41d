//! `MemoryStore`: the process on a simulated disk. Commits can be held in flight, and made to fail.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use super::disk::{Disk, DiskError};
use super::log::{self, Record};
use super::rows::{Partition, Rows};
use crate::store::{Commit, Fence, PartitionId, Space, Store, StoreError, Table, Visit};

/// A log this long is replaced by a snapshot once most of it is history: a long simulation stays in memory.
const COMPACT_ABOVE_BYTES: usize = 4 << 20;

/// How the next commit is to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The commit and everything after it fail, as on a disk with an error, until the store is opened again.
    Failed {
        /// Whether the rows nevertheless reached the disk.
        durable: bool,
    },
    /// The outcome is not known to the caller; the store goes on.
    Unknown {
        /// Whether the rows reached the disk.
        durable: bool,
    },
}

/// A group commit between its write and its sync. Dropping it abandons the answer, not the rows: the next commit
/// or `acquire` completes them.
#[derive(Debug)]
#[must_use = "a commit is durable and visible only after finish_commit"]
pub struct InFlight {
    ticket: u64,
    failure: Option<Failure>,
    results: Vec<Result<(), StoreError>>,
}

/// The `Store` port on a simulated [`Disk`]. Each commit of a group is a log record of its own, so a crash may keep
/// the first commits of a group and lose the others: the port promises no more than that.
#[derive(Debug)]
pub struct MemoryStore {
    disk: Disk,
    life: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rows: Rows,
    /// Written groups that are not yet synced, oldest first. Filled by `begin_commit`, drained by `settle`.
    in_flight: VecDeque<(u64, Vec<Record>)>,
    /// Ticket of the latest group that began.
    begun: u64,
    /// What befalls the next commit. Set by the test, taken by `begin_commit`.
    next_failure: Option<Failure>,
    /// Why the store refuses everything, once it failed.
    broken: Option<String>,
    /// Size of the log after it was last compacted.
    compacted_bytes: usize,
}

impl MemoryStore {
    /// Starts a process on the disk: replays the log up to the first bad record, and drops what follows. A store
    /// that was open on the same disk is cut off, as if its process had been killed.
    pub fn open(disk: &Disk) -> MemoryStore {
        let (life, log) = disk.boot();
        let mut rows = Rows::default();
        let good = log::replay(&log, |record| rows.apply(&record));
        // Cutting off the torn end and compacting may meet a newer process on the disk. Then this one is dead, and
        // its first call says so.
        let _ = disk.truncate(life, good).and_then(|()| disk.replace(life, rows.snapshot()));
        let compacted_bytes = disk.used_bytes();
        let (in_flight, begun, next_failure, broken) = (VecDeque::new(), 0, None, None);
        let state = State { rows, in_flight, begun, next_failure, broken, compacted_bytes };
        MemoryStore { disk: disk.clone(), life, state: Mutex::new(state) }
    }

    /// The disk under the store.
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// Makes the next commit fail.
    pub fn fail_next(&self, failure: Failure) {
        self.lock().next_failure = Some(failure);
    }

    /// Writes a group without syncing it. The rows are neither visible nor safe until `finish_commit`; a crash in
    /// between may keep all, some or none of them.
    pub fn begin_commit(&self, group: &[Commit]) -> InFlight {
        let mut state = self.lock();
        let state = &mut *state;
        let failure = state.next_failure.take();
        let mut results = Vec::with_capacity(group.len());
        let mut records = Vec::new();
        let mut log = Vec::new();
        for Commit { fence, batch } in group {
            let partition = fence.partition;
            if fence.epoch == 0 || state.rows.epoch(partition) != fence.epoch {
                results.push(Err(StoreError::Fenced(partition)));
                continue;
            }
            log::batch(&mut log, partition, batch);
            records.push(Record::Batch { partition, batch: batch.clone() });
            results.push(Ok(()));
        }
        state.begun += 1;
        let reaches_disk =
            !matches!(failure, Some(Failure::Failed { durable: false } | Failure::Unknown { durable: false }));
        if let Some(reason) = self.refusal(state) {
            spoil(&mut results, || StoreError::Failed(reason.clone()));
        } else if reaches_disk {
            match self.disk.append(self.life, &log) {
                Ok(()) => state.in_flight.push_back((state.begun, records)),
                Err(error) => {
                    state.broken = Some(error.to_string());
                    spoil(&mut results, || error.into());
                }
            }
        }
        InFlight { ticket: state.begun, failure, results }
    }

    /// Syncs everything that is in flight up to this group, makes it visible, and answers for each of its commits.
    pub fn finish_commit(&self, commit: InFlight) -> Vec<Result<(), StoreError>> {
        let InFlight { ticket, failure, mut results } = commit;
        let mut state = self.lock();
        if let Err(error) = self.settle(&mut state, ticket) {
            spoil(&mut results, || error.into());
            return results;
        }
        match failure {
            None => {}
            Some(Failure::Unknown { .. }) => {
                spoil(&mut results, || StoreError::Unknown("the simulated store lost the answer".into()));
            }
            Some(Failure::Failed { .. }) => {
                let reason = "the simulated disk failed";
                state.broken = Some(reason.into());
                spoil(&mut results, || StoreError::Failed(reason.into()));
            }
        }
        results
    }

    /// Syncs, then applies the groups up to `ticket` in the order of the log.
    fn settle(&self, state: &mut State, ticket: u64) -> Result<(), DiskError> {
        self.disk.alive(self.life)?;
        if state.in_flight.front().is_some_and(|(first, _)| *first <= ticket) {
            self.disk.sync(self.life)?;
        }
        while state.in_flight.front().is_some_and(|(first, _)| *first <= ticket) {
            let (_, records) = state.in_flight.pop_front().expect("the loop has just seen a first group");
            records.iter().for_each(|record| state.rows.apply(record));
        }
        let used = self.disk.used_bytes();
        if state.in_flight.is_empty() && used > COMPACT_ABOVE_BYTES.max(4 * state.compacted_bytes) {
            self.disk.replace(self.life, state.rows.snapshot())?;
            state.compacted_bytes = self.disk.used_bytes();
        }
        Ok(())
    }

    fn read<T>(&self, partition: PartitionId, read: impl FnOnce(&Partition) -> T) -> Result<Option<T>, StoreError> {
        let state = self.lock();
        match self.refusal(&state) {
            Some(reason) => Err(StoreError::Failed(reason)),
            None => Ok(state.rows.partition(partition).map(read)),
        }
    }

    fn refusal(&self, state: &State) -> Option<String> {
        let dead = self.disk.alive(self.life).err().map(|error| error.to_string());
        dead.or_else(|| state.broken.clone())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the rows")
    }
}

impl Store for MemoryStore {
    fn acquire(&self, partition: PartitionId) -> Result<Fence, StoreError> {
        let mut state = self.lock();
        if let Some(reason) = self.refusal(&state) {
            return Err(StoreError::Failed(reason));
        }
        // What an older owner has in flight lies before the new fence in the log, so it counts.
        let begun = state.begun;
        self.settle(&mut state, begun)?;
        let epoch = state.rows.epoch(partition) + 1;
        let mut log = Vec::new();
        log::fence(&mut log, partition, epoch);
        self.disk.append(self.life, &log)?;
        self.disk.sync(self.life)?;
        state.rows.apply(&Record::Fence { partition, epoch });
        Ok(Fence { partition, epoch })
    }

    fn renew(&self, fence: &Fence) -> Result<(), StoreError> {
        let epoch = self.read(fence.partition, |rows| rows.epoch)?;
        if epoch == Some(fence.epoch) { Ok(()) } else { Err(StoreError::Fenced(fence.partition)) }
    }

    fn commit(&self, group: &[Commit]) -> Vec<Result<(), StoreError>> {
        self.finish_commit(self.begin_commit(group))
    }

    fn scan(&self, partition: PartitionId, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        // Taken out first: whoever visits may call the store.
        let rows: Vec<(Bytes, Bytes)> = self
            .read(partition, |rows| {
                let from = Bytes::copy_from_slice(from);
                rows.tables[table as usize].range(from..).map(|(key, value)| (key.clone(), value.clone())).collect()
            })?
            .unwrap_or_default();
        let _ = rows.iter().try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn range(
        &self,
        partition: PartitionId,
        table: Table,
        range: Range<&[u8]>,
        backward: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        if range.start >= range.end {
            return Ok(());
        }
        let mut rows: Vec<(Bytes, Bytes)> = self
            .read(partition, |rows| {
                let range = Bytes::copy_from_slice(range.start)..Bytes::copy_from_slice(range.end);
                rows.tables[table as usize].range(range).map(|(key, value)| (key.clone(), value.clone())).collect()
            })?
            .unwrap_or_default();
        if backward {
            rows.reverse();
        }
        let _ = rows.iter().try_for_each(|(key, value)| visit(key, value));
        Ok(())
    }

    fn get(&self, partition: PartitionId, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let found = self.read(partition, |rows| {
            let table = &rows.tables[table as usize];
            keys.iter().map(|key| table.get(*key).cloned()).collect()
        })?;
        Ok(found.unwrap_or_else(|| vec![None; keys.len()]))
    }

    fn feed(&self, partition: PartitionId, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        let found = self.read(partition, |rows| {
            rows.feed.range(from..).take(limit).map(|(sequence, record)| (*sequence, record.clone())).collect()
        })?;
        Ok(found.unwrap_or_default())
    }

    fn next_sequence(&self, partition: PartitionId) -> Result<u64, StoreError> {
        Ok(self.read(partition, |rows| rows.next)?.unwrap_or(1))
    }

    fn space(&self) -> Result<Space, StoreError> {
        self.disk.alive(self.life)?;
        Ok(Space { free_bytes: self.disk.free_bytes() })
    }
}

impl From<DiskError> for StoreError {
    fn from(error: DiskError) -> Self {
        StoreError::Failed(error.to_string())
    }
}

/// Turns every success into an error: the disk does not fail one commit of a group alone.
fn spoil(results: &mut [Result<(), StoreError>], error: impl Fn() -> StoreError) {
    for result in results.iter_mut().filter(|result| result.is_ok()) {
        *result = Err(error());
    }
}
