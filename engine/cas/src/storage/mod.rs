//! The embedded storage: a folder, an index in memory, and calls that may block.
//!
//! Small blobs are rows of RocksDB, larger ones files. All that a client was told is stored is on disk: content
//! first, then its index row, then it becomes visible. Calls that read or write the disk say so ("blocks"); they
//! are for blocking threads. All others are answered from memory.
//!
//! `open.rs` start and repair, `put.rs` and `upload.rs` writing, `read.rs` reading, `space.rs` bounds and
//! eviction, `walk.rs` trees, `hold.rs` pins, `actions.rs` the action cache, `upkeep.rs` what runs now and then.

mod actions;
mod blobs;
mod files;
mod hold;
mod lru;
mod open;
mod options;
mod pins;
mod put;
mod read;
mod rows;
mod space;
mod upkeep;
mod upload;
mod walk;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_core::Digest;
use bytes::Bytes;

use crate::clock::Clock;
use crate::tree::{Kind, TreeNode};

use actions::Actions;
use blobs::{Ages, Blobs, Hash};
use files::Files;
use lru::Cache;
use rows::Rows;
use space::Space;
use upload::Uploads;

pub(crate) use lru::Cache as BoundedCache;
pub use options::StorageOptions;
pub(crate) use read::Source;
pub(crate) use upload::{Attached, UploadKey};
pub(crate) use walk::Effort;

/// Blobs up to this many bytes are rows; larger ones are files. A row costs one write to the log that many callers
/// share, a file costs two syncs of its own.
const ROW_BYTES_MAX: u64 = 64 * 1024;

/// Content and action results in one folder. See the module.
pub struct Storage {
    options: StorageOptions,
    /// From the options, or from the size of the disk.
    bytes_max: u64,
    ages: Ages,
    clock: Arc<dyn Clock>,
    rows: Rows,
    files: Files,
    space: Space,
    blobs: Mutex<Blobs>,
    /// Notified when a blob leaves `Blobs::moving`.
    settled: Condvar,
    actions: Mutex<Actions>,
    /// Notified when an action leaves `Actions::moving`.
    actions_settled: Condvar,
    uploads: Mutex<Uploads>,
    /// Parsed directories. The content of a digest never changes, so an entry is never wrong.
    trees: Mutex<Cache<(Kind, Hash), Arc<TreeNode>>>,
    /// Small blobs that were just written or read: a client uploads an action and executes it at once.
    hot: Mutex<Cache<Hash, Bytes>>,
    /// Notes of complete subtrees made at this time or before do not count: a blob was found broken then.
    doubt_ms: AtomicU64,
}

/// The empty blob is always there, and never stored.
pub(crate) const EMPTY: Digest = Digest {
    hash: [
        0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae,
        0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
    ],
    size_bytes: 0,
};

impl Storage {
    /// How many bytes of blobs may be kept.
    pub fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// How many bytes of blobs are kept, overhead included.
    pub fn used_bytes(&self) -> u64 {
        lock(&self.blobs).used_bytes
    }

    /// How many blobs are kept.
    pub fn blob_count(&self) -> usize {
        lock(&self.blobs).len()
    }

    /// How long a touched blob is safe from eviction.
    pub fn min_age(&self) -> Duration {
        self.options.min_age
    }

    /// Which of these are here, in order; those are touched. Answered from memory.
    pub(crate) fn present(&self, digests: &[Digest]) -> Vec<bool> {
        let now_ms = self.clock.now_ms();
        let mut present = Vec::with_capacity(digests.len());
        // Not all under one lock: a question about a huge tree should not hold up everybody else.
        for part in digests.chunks(1024) {
            let mut blobs = lock(&self.blobs);
            present
                .extend(part.iter().map(|digest| *digest == EMPTY || blobs.touch(digest, now_ms, self.ages).is_some()));
        }
        present
    }

    /// Is it here? Then it is touched.
    pub(crate) fn contains(&self, digest: &Digest) -> bool {
        *digest == EMPTY || lock(&self.blobs).touch(digest, self.clock.now_ms(), self.ages).is_some()
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Storage").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

/// A panic while a lock was held leaves bookkeeping that is whole: every change under these locks is small and
/// does not call out. So one failed request must not take the storage down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
