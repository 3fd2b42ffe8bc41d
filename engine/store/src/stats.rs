//! Sizes of the store, for metrics and for `berth` commands that show them.

use rocksdb::{DB, properties};

use berth_runtime::store::Table;

use crate::keys;

/// What the store takes, by table and as a whole. All numbers are RocksDB's own estimates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// Every table, in the order of [`Table::ALL`], and the feed at the end.
    pub tables: Vec<TableStats>,
    /// Bytes of rows in memory that are in the log but not yet in table files.
    pub memory_bytes: u64,
    /// Bytes that compactions still have to rewrite; commits are slowed when it grows without end.
    pub pending_compaction_bytes: u64,
}

/// What one table takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The table's stable name, or `feed`.
    pub name: &'static str,
    /// Rows, tombstones subtracted as far as they are known.
    pub rows: u64,
    /// Bytes of table files.
    pub bytes: u64,
}

pub(crate) fn read(db: &DB) -> StoreStats {
    let names = || Table::ALL.map(Table::name).into_iter().chain([keys::FEED]);
    let number = |name: &str, property| {
        let family = db.cf_handle(name).expect("opening makes every family");
        // A property that RocksDB does not know counts as zero: this is for graphs.
        db.property_int_value_cf(family, property).ok().flatten().unwrap_or(0)
    };
    let sum = |property| names().map(|name| number(name, property)).sum();
    StoreStats {
        tables: names()
            .map(|name| TableStats {
                name,
                rows: number(name, properties::ESTIMATE_NUM_KEYS),
                bytes: number(name, properties::LIVE_SST_FILES_SIZE),
            })
            .collect(),
        memory_bytes: sum(properties::CUR_SIZE_ALL_MEM_TABLES),
        pending_compaction_bytes: sum(properties::ESTIMATE_PENDING_COMPACTION_BYTES),
    }
}
