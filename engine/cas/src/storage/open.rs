//! Start: read the index, mend what a crash left, and come up with the order of last use.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::actions::Actions;
use super::blobs::{Ages, Blobs, Hash, Place};
use super::files::Files;
use super::lru::Cache;
use super::rows::Rows;
use super::space::{self, Space};
use super::upload::Uploads;
use super::{Storage, StorageOptions, upkeep};
use crate::clock::Clock;
use crate::error::Error;

/// RocksDB needs room for its own files before anything can be deleted.
const START_BYTES: u64 = 32 << 20;

impl Storage {
    /// Opens or makes the storage in a folder. Blocks. One process at a time: a second one is refused.
    ///
    /// `instances` are the names whose action cache entries are kept apart; content is shared by all.
    pub fn open(
        path: &Path,
        instances: &[String],
        options: StorageOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, Error> {
        fs::create_dir_all(path)?;
        let free_bytes = space::free_bytes(path)?;
        if free_bytes < START_BYTES {
            return Err(Error::DiskFull { path: path.into(), free_bytes, needed_bytes: START_BYTES });
        }
        let rows = Rows::open(&path.join("db"))?;
        let files = Files::open(path)?;
        let blobs = load(&rows, &files, clock.now_ms(), touch_lag_ms(&options))?;
        let actions = Actions::load(&rows, instances)?;
        let bytes_max = options
            .max_bytes
            .unwrap_or_else(|| (blobs.used_bytes + free_bytes).saturating_sub(options.reserve_bytes) / 4 * 3);
        tracing::info!(blobs = blobs.len(), used_bytes = blobs.used_bytes, bytes_max, "storage opened");
        let min_age_ms = u64::try_from(options.min_age.as_millis()).unwrap_or(u64::MAX / 4);
        let storage = Arc::new(Self {
            bytes_max,
            ages: Ages::new(min_age_ms),
            rows,
            files,
            space: Space::new(path),
            blobs: Mutex::new(blobs),
            settled: Condvar::new(),
            actions: Mutex::new(actions),
            actions_settled: Condvar::new(),
            uploads: Mutex::new(Uploads::default()),
            trees: Mutex::new(Cache::new(options.tree_cache_bytes)),
            hot: Mutex::new(Cache::new(options.hot_cache_bytes)),
            doubt_ms: AtomicU64::new(0),
            clock,
            options,
        });
        upkeep::start(&storage);
        Ok(storage)
    }
}

/// Touch times are written late and unsynced: what the disk says may lack this much of the truth. A blob is taken
/// for younger rather than older, so that the promised age holds across a crash.
fn touch_lag_ms(options: &StorageOptions) -> u64 {
    const KERNEL_WRITE_BACK: Duration = Duration::from_secs(30);
    u64::try_from((options.upkeep_every + KERNEL_WRITE_BACK).as_millis()).unwrap_or(u64::MAX / 4)
}

/// A row without its file and a file without its row are dropped: both come from a crash between two steps, and
/// neither was ever promised to a client. Sizes are not looked at: a file is whole before it gets its name.
fn load(rows: &Rows, files: &Files, now_ms: u64, lag_ms: u64) -> Result<Blobs, Error> {
    let mut touched: HashMap<Hash, u64> = HashMap::new();
    rows.scan_touched(|hash, at_ms| {
        touched.insert(hash, at_ms);
    })?;
    let mut on_disk = files.list()?;
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    rows.scan_index(|digest, place, written_ms| {
        if place == Place::File && !on_disk.remove(&digest.hash) {
            lost.push(digest.hash);
        } else {
            let touched_ms = touched.remove(&digest.hash).unwrap_or(0).max(written_ms);
            found.push((touched_ms, digest, place));
        }
    })?;
    if !lost.is_empty() || !on_disk.is_empty() {
        tracing::warn!(rows_without_file = lost.len(), files_without_row = on_disk.len(), "storage repaired at start");
    }
    rows.delete(&lost)?;
    for hash in &on_disk {
        files.remove(hash)?;
    }
    rows.drop_touched(&touched.into_keys().collect::<Vec<_>>())?;

    found.sort_unstable_by_key(|(touched_ms, ..)| *touched_ms);
    let mut blobs = Blobs::new();
    for (touched_ms, digest, place) in found {
        // A time ahead of the clock would keep a blob for ever.
        blobs.add(&digest, place, touched_ms.saturating_add(lag_ms).min(now_ms));
    }
    Ok(blobs)
}
