//! How RocksDB is set up, and why.
//!
//! What the engine asks of it: many small synced batches from one thread; point reads of bodies, results and
//! operations; one long scan of what is incomplete at start-up, soon after a crash.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, Options, ReadOptions, WriteOptions};

use berth_runtime::store::Table;

use crate::keys;

/// What an operator or a test may set.
#[derive(Clone, Debug)]
pub struct RocksOptions {
    /// Whether a commit waits for the disk. Off only in the test that proves that it must.
    pub sync: bool,
    /// Memory for blocks read from disk.
    pub cache_bytes: usize,
    /// Bytes of log after which rows are moved to table files. Bounds the replay after a crash and, since the log
    /// covers what is in memory, the memory for unwritten rows too.
    pub wal_bytes_max: u64,
    /// Bytes that must be free for the store to open, beside those that the replay of its log may take.
    pub open_bytes_min: u64,
    /// Threads that flush and compact.
    pub background_threads: u32,
}

impl Default for RocksOptions {
    fn default() -> Self {
        Self {
            sync: true,
            cache_bytes: 64 << 20,
            wal_bytes_max: 128 << 20,
            open_bytes_min: 32 << 20,
            background_threads: 2,
        }
    }
}

/// A table's memory before it becomes a file. With two dozen tables, the log's bound is what usually triggers it.
const WRITE_BUFFER_BYTES: usize = 16 << 20;

/// Large reads for scans: a recovery on a slow disk waits for bandwidth, not for each block.
const READAHEAD_BYTES: usize = 4 << 20;

pub(crate) fn database(options: &RocksOptions) -> Options {
    let mut db = Options::default();
    db.create_if_missing(true);
    db.create_missing_column_families(true);
    db.set_max_total_wal_size(options.wal_bytes_max);
    db.set_max_background_jobs(i32::try_from(options.background_threads).unwrap_or(i32::MAX));
    // Gateways hold thousands of sockets; the store must not compete for all file descriptors.
    db.set_max_open_files(512);
    // Hand written pages to the disk steadily, so that a commit's sync does not wait behind a whole compaction.
    db.set_bytes_per_sync(1 << 20);
    // RocksDB's own LOG: small, because we do not read it, but kept, because a damaged store is explained there.
    db.set_max_log_file_size(8 << 20);
    db.set_keep_log_file_num(4);
    db.set_stats_dump_period_sec(0);
    db
}

/// Options of each column family, by name; the cache is shared.
pub(crate) fn families(options: &RocksOptions) -> Vec<(&'static str, Options)> {
    let cache = Cache::new_lru_cache(options.cache_bytes);
    let tables = Table::ALL.into_iter().map(|table| {
        // Two shapes of tables: those read by key one at a time, and those walked.
        let point = match table {
            Table::Bodies | Table::Results | Table::Operations | Table::FinishedJobs => true,
            Table::Meta
            | Table::Jobs
            | Table::FinishedByTime
            | Table::FinishedByQueued
            | Table::FinishedByStarted
            | Table::FinishedByCompleted
            | Table::FinishedByAction
            | Table::OperationsByInvocation
            | Table::Leases
            | Table::Sessions
            | Table::Drains
            | Table::Pauses
            | Table::Quarantines
            | Table::CoolDowns
            | Table::Limits
            | Table::Plugins
            | Table::PluginData
            | Table::WorkSpecs
            | Table::WorkUnits
            | Table::WorkStates
            | Table::Workers
            | Table::WorkLocks
            | Table::WorkReceipts => false,
        };
        (table.name(), family(&cache, point))
    });
    tables.chain([(keys::FEED, family(&cache, false)), (keys::OWN, family(&cache, false))]).collect()
}

fn family(cache: &Cache, point: bool) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    if point {
        // Answers "no such row" without touching the disk, and picks the one file that has it.
        blocks.set_bloom_filter(10.0, false);
        blocks.set_block_size(8 << 10);
    } else {
        blocks.set_block_size(32 << 10);
    }
    let mut family = Options::default();
    family.set_block_based_table_factory(&blocks);
    family.set_write_buffer_size(WRITE_BUFFER_BYTES);
    // Room for a burst while one buffer is being written: a full set would stall commits.
    family.set_max_write_buffer_number(4);
    family.set_target_file_size_base(32 << 20);
    family.set_level_compaction_dynamic_level_bytes(true);
    // A table such as `jobs` is a queue: most rows that are flushed have been deleted already, and what is flushed is
    // their tombstones. Recovery walks over those, so they must not pile up. They go when a file is rewritten into the
    // last level; RocksDB may instead move a file down unread when it overlaps nothing, but never when compression
    // differs between the levels. So the first level is not compressed (its files are short-lived anyway) and the
    // others are: what a recovery meets is the tombstones of the newest few files. The test below holds us to it.
    family.set_compression_per_level(&[DBCompressionType::None, DBCompressionType::Lz4]);
    // Tombstones that got stuck above the last level, in a table that outgrew one level: a file that is mostly
    // tombstones is compacted further, whatever its size.
    family.add_compact_on_deletion_collector_factory(TOMBSTONE_WINDOW, TOMBSTONE_WINDOW / 2, 0.0);
    family
}

/// Rows of a file that are looked at together; if half of them are tombstones, the file is compacted soon.
const TOMBSTONE_WINDOW: usize = 128 << 10;

pub(crate) fn writes(options: &RocksOptions) -> WriteOptions {
    let mut writes = WriteOptions::default();
    writes.set_sync(options.sync);
    // A batch's rows mostly follow each other in a table: start looking where the last one went.
    writes.set_memtable_insert_hint_per_batch(true);
    writes
}

/// For a walk over rows below `end`; such a walk must not push hot blocks out of the cache.
pub(crate) fn walk(end: Option<&[u8]>) -> ReadOptions {
    let mut reads = ReadOptions::default();
    reads.fill_cache(false);
    reads.set_readahead_size(READAHEAD_BYTES);
    if let Some(end) = end {
        reads.set_iterate_upper_bound(end);
    }
    reads
}

#[cfg(test)]
mod tests {
    use rocksdb::WaitForCompactOptions;
    use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

    use super::*;
    use crate::open;

    /// Two hundred thousand jobs pass through the queue while one waits in it: far more than RocksDB keeps in
    /// memory here, and none of them may be met again at recovery.
    #[test]
    fn a_recovery_scan_does_not_crawl_over_jobs_that_are_long_gone() {
        const JOBS: u64 = 200_000;
        let folder = tempfile::TempDir::new().expect("a temporary folder is made");
        let options = RocksOptions { sync: false, wal_bytes_max: 2 << 20, ..RocksOptions::default() };
        let db = open::open(folder.path(), &options).expect("the database opens");
        let jobs = db.cf_handle(Table::Jobs.name()).expect("every table has a family");
        db.put_cf(jobs, 0_u64.to_be_bytes(), b"waits").expect("a row is written");
        for id in 1..=JOBS {
            db.put_cf(jobs, id.to_be_bytes(), [7; 100]).expect("a row is written");
            db.delete_cf(jobs, id.to_be_bytes()).expect("a row is deleted");
        }
        db.wait_for_compact(&WaitForCompactOptions::default()).expect("compaction ends");
        set_perf_stats(PerfStatsLevel::EnableCount);
        let mut perf = PerfContext::default();
        perf.reset();
        let mut rows = db.raw_iterator_cf_opt(jobs, walk(None));
        rows.seek_to_first();
        let mut live = 0;
        while rows.valid() {
            live += 1;
            rows.next();
        }
        let skipped = perf.metric(PerfMetric::InternalDeleteSkippedCount);
        assert_eq!(live, 1);
        assert!(skipped < JOBS / 4, "{skipped} of {JOBS} tombstones are still in the way");
    }
}
