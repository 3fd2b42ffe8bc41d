//! The `Store` port: fenced, atomic, durable batches of rows; a scan for recovery; reads for queries.
//!
//! The port knows rows, not rules: keys and values are bytes, and what they mean is in `codec`. Values are
//! absolute after-images, so that replaying a batch is harmless. Methods block: the runtime calls them from
//! threads of its own. `berth-store` implements it on RocksDB, `memory` here on a simulated disk, and both
//! pass the suite in `contract`.

use std::ops::{ControlFlow, Range};

use bytes::Bytes;

/// A configured group of instances that one driver serves. Everything durable is kept per partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// The right to write a partition. Each `acquire` yields a higher epoch and makes every older fence useless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The partition that may be written.
    pub partition: PartitionId,
    /// Grows by at least one with each acquisition; never reused.
    pub epoch: u64,
}

/// A kind of rows. Each is one column family (or one SQL table). Keys are unique within partition and table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Small facts about the partition itself.
    Meta,
    /// Jobs that are not completed: what recovery reads.
    Jobs,
    /// Completed jobs, until retention deletes them.
    FinishedJobs,
    /// Time of completion, or later where a policy keeps it, and job: the order in which retention deletes.
    FinishedByTime,
    /// Operation to job: for queries.
    Operations,
    /// Finished operations of an instance by the time at which their job was accepted: for lists.
    FinishedByQueued,
    /// The same by the time at which their last attempt began.
    FinishedByStarted,
    /// The same by the time at which they ended.
    FinishedByCompleted,
    /// The same by the digest of their action.
    FinishedByAction,
    /// Operations of an instance, finished or not, by the invocation that asked for them.
    OperationsByInvocation,
    /// Live leases.
    Leases,
    /// Bot sessions.
    Sessions,
    /// What a job runs: written once when it is created.
    Bodies,
    /// What a job gave: written when it completes, and before if a policy is asked about its last attempt.
    Results,
    /// Drains that an operator has set.
    Drains,
    /// Pauses that an operator has set.
    Pauses,
    /// Quarantines that a policy has set.
    Quarantines,
    /// Counters that are smaller for a while, because jobs of them were evicted.
    CoolDowns,
    /// Counters whose numbers an operator set.
    Limits,
    /// Plugin versions and active sets.
    Plugins,
    /// Plugins' own key-value rows, each beside the plugin's cursor in the feed.
    PluginData,
    /// Coordinate's work specs.
    WorkSpecs,
    /// Dictionaries and priorities of their work units.
    WorkUnits,
    /// Where those work units stand that were ever handed out, or wait.
    WorkStates,
    /// Coordinate's workers.
    Workers,
    /// Coordinate's locks.
    WorkLocks,
    /// What calls of Coordinate's clients were answered that are not to be done again.
    WorkReceipts,
}

impl Table {
    /// Every table, in a fixed order.
    pub const ALL: [Table; 27] = [
        Table::Meta,
        Table::Jobs,
        Table::FinishedJobs,
        Table::FinishedByTime,
        Table::Operations,
        Table::FinishedByQueued,
        Table::FinishedByStarted,
        Table::FinishedByCompleted,
        Table::FinishedByAction,
        Table::OperationsByInvocation,
        Table::Leases,
        Table::Sessions,
        Table::Bodies,
        Table::Results,
        Table::Drains,
        Table::Pauses,
        Table::Quarantines,
        Table::CoolDowns,
        Table::Limits,
        Table::Plugins,
        Table::PluginData,
        Table::WorkSpecs,
        Table::WorkUnits,
        Table::WorkStates,
        Table::Workers,
        Table::WorkLocks,
        Table::WorkReceipts,
    ];

    /// The table's stable name: part of the format on disk, so never changed.
    pub const fn name(self) -> &'static str {
        match self {
            Table::Meta => "meta",
            Table::Jobs => "jobs",
            Table::FinishedJobs => "finished_jobs",
            Table::FinishedByTime => "finished_by_time",
            Table::Operations => "operations",
            Table::FinishedByQueued => "finished_by_queued",
            Table::FinishedByStarted => "finished_by_started",
            Table::FinishedByCompleted => "finished_by_completed",
            Table::FinishedByAction => "finished_by_action",
            Table::OperationsByInvocation => "operations_by_invocation",
            Table::Leases => "leases",
            Table::Sessions => "sessions",
            Table::Bodies => "bodies",
            Table::Results => "results",
            Table::Drains => "drains",
            Table::Pauses => "pauses",
            Table::Quarantines => "quarantines",
            Table::CoolDowns => "cool_downs",
            Table::Limits => "limits",
            Table::Plugins => "plugins",
            Table::PluginData => "plugin_data",
            Table::WorkSpecs => "work_specs",
            Table::WorkUnits => "work_units",
            Table::WorkStates => "work_states",
            Table::Workers => "workers",
            Table::WorkLocks => "work_locks",
            Table::WorkReceipts => "work_receipts",
        }
    }
}

/// One change of a batch, as ranges of the batch's arena.
#[derive(Clone, Debug)]
pub enum Change {
    /// Write a row, replacing what was there.
    Put {
        /// Where the row lives.
        table: Table,
        /// Key bytes in the arena.
        key: Range<usize>,
        /// Value bytes in the arena.
        value: Range<usize>,
    },
    /// Delete a row; deleting what is not there is no error.
    Delete {
        /// Where the row lives.
        table: Table,
        /// Key bytes in the arena.
        key: Range<usize>,
    },
    /// Delete every row with `from <= key < to`.
    DeleteRange {
        /// Where the rows live.
        table: Table,
        /// First key, in the arena.
        from: Range<usize>,
        /// First key that stays, in the arena.
        to: Range<usize>,
    },
    /// Append a record to the partition's event feed.
    Feed {
        /// Position; the feed is dense and grows by one.
        sequence: u64,
        /// Record bytes in the arena.
        record: Range<usize>,
    },
    /// Drop every feed record below this position.
    TrimFeed {
        /// First position that stays.
        below: u64,
    },
}

/// Changes that become durable together or not at all, in their order. One allocation for all bytes.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    arena: Vec<u8>,
    changes: Vec<Change>,
}

impl Batch {
    /// Writes a row; `fill` appends the value's bytes to the buffer that it is given.
    pub fn put(&mut self, table: Table, key: &[u8], fill: impl FnOnce(&mut Vec<u8>)) {
        let key = self.keep(key);
        let start = self.arena.len();
        fill(&mut self.arena);
        self.changes.push(Change::Put { table, key, value: start..self.arena.len() });
    }

    /// Deletes a row.
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        let key = self.keep(key);
        self.changes.push(Change::Delete { table, key });
    }

    /// Deletes the rows with `from <= key < to`.
    pub fn delete_range(&mut self, table: Table, from: &[u8], to: &[u8]) {
        let (from, to) = (self.keep(from), self.keep(to));
        self.changes.push(Change::DeleteRange { table, from, to });
    }

    /// Appends to the event feed; `fill` appends the record's bytes.
    pub fn feed(&mut self, sequence: u64, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.arena.len();
        fill(&mut self.arena);
        self.changes.push(Change::Feed { sequence, record: start..self.arena.len() });
    }

    /// Drops every feed record below a position.
    pub fn trim_feed(&mut self, below: u64) {
        self.changes.push(Change::TrimFeed { below });
    }

    /// Takes over the changes of another batch, after its own.
    pub fn append(&mut self, other: Batch) {
        let base = self.arena.len();
        self.arena.extend_from_slice(&other.arena);
        let moved = |range: Range<usize>| range.start + base..range.end + base;
        self.changes.extend(other.changes.into_iter().map(|change| match change {
            Change::Put { table, key, value } => Change::Put { table, key: moved(key), value: moved(value) },
            Change::Delete { table, key } => Change::Delete { table, key: moved(key) },
            Change::DeleteRange { table, from, to } => Change::DeleteRange { table, from: moved(from), to: moved(to) },
            Change::Feed { sequence, record } => Change::Feed { sequence, record: moved(record) },
            Change::TrimFeed { below } => Change::TrimFeed { below },
        }));
    }

    /// The changes in order; resolve their ranges with [`Batch::bytes`].
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The bytes of a range of the arena.
    pub fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.arena[range.clone()]
    }

    /// Whether the batch would change nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Size in bytes of keys, values and records.
    pub fn size_bytes(&self) -> usize {
        self.arena.len()
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        start..self.arena.len()
    }
}

/// One partition's part of a group commit.
#[derive(Debug)]
pub struct Commit {
    /// The right under which it is written; checked by the store in the same step.
    pub fence: Fence,
    /// What is written.
    pub batch: Batch,
}

/// What the disk has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Bytes that may still be written.
    pub free_bytes: u64,
}

/// Why the store did not do as asked. Each variant is something the runtime acts on.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A newer fence exists: stop serving this partition.
    #[error("partition {} was taken over by a newer owner", .0.0)]
    Fenced(PartitionId),
    /// It is not known whether the batch became durable: acquire again and reload.
    #[error("the outcome of a commit is unknown: {0}")]
    Unknown(String),
    /// The store cannot go on: the process must stop, because memory must not run ahead of the disk.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// What recovery and queries call for each row: key, value; `Break` ends the scan.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// The durable side of the engine. All methods block and may be called from several threads.
pub trait Store: Send + Sync + 'static {
    /// Takes the partition over: every older fence of it is refused from now on.
    fn acquire(&self, partition: PartitionId) -> Result<Fence, StoreError>;

    /// Confirms that the fence still holds (where ownership is a lease in time, extends it).
    fn renew(&self, fence: &Fence) -> Result<(), StoreError>;

    /// Makes every batch durable, with one sync for all of them where the store can. On `Ok` the batch is on
    /// disk. Answers one result a commit, in order; a fenced batch does not hinder the others.
    fn commit(&self, group: &[Commit]) -> Vec<Result<(), StoreError>>;

    /// Visits the rows of a table with `from <= key`, in order of their keys.
    fn scan(&self, partition: PartitionId, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError>;

    /// Visits the rows of a table with `from <= key < to`, in order of their keys or, `backward`, against it. For pages
    /// of a list: reads no further ahead than it is asked to go.
    fn range(
        &self,
        partition: PartitionId,
        table: Table,
        range: Range<&[u8]>,
        backward: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError>;

    /// Reads rows; the answer has one entry a key, in order.
    fn get(&self, partition: PartitionId, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError>;

    /// Feed records with `sequence >= from`, at most `limit` of them, in order.
    fn feed(&self, partition: PartitionId, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError>;

    /// The position that the next feed record will have; 1 for a new partition. Trimming does not lower it.
    fn next_sequence(&self, partition: PartitionId) -> Result<u64, StoreError>;

    /// What the disk has left.
    fn space(&self) -> Result<Space, StoreError>;
}
