//! What an operator can set of the embedded storage.

use std::time::Duration;

/// Settings of the embedded storage. `Default` is good for a laptop or a small team.
#[derive(Clone, Debug)]
pub struct StorageOptions {
    /// The most bytes of blobs to keep. `None`: three quarters of what the disk has left at start, the reserve aside.
    pub max_bytes: Option<u64>,
    /// New uploads are refused while the disk has less free space than this.
    pub reserve_bytes: u64,
    /// A touched blob is safe from eviction for at least this long.
    pub min_age: Duration,
    /// The most bytes of action cache entries to keep.
    pub actions_bytes_max: u64,
    /// An unfinished upload that nobody continues is dropped after this long.
    pub upload_idle: Duration,
    /// The most uploads that may be unfinished at a time.
    pub uploads_max: usize,
    /// Memory for parsed directories.
    pub tree_cache_bytes: usize,
    /// Memory for small blobs that were just used.
    pub hot_cache_bytes: usize,
    /// How often touch times are written and idle uploads dropped.
    pub upkeep_every: Duration,
}

impl Default for StorageOptions {
    fn default() -> Self {
        Self {
            max_bytes: None,
            reserve_bytes: 1 << 30,
            min_age: Duration::from_secs(600),
            actions_bytes_max: 256 << 20,
            upload_idle: Duration::from_secs(900),
            uploads_max: 10_000,
            tree_cache_bytes: 64 << 20,
            hot_cache_bytes: 32 << 20,
            upkeep_every: Duration::from_secs(10),
        }
    }
}
