//! Bounds: how much may be kept, how much must stay free, and who leaves to make room.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use super::blobs::{Blobs, Place, Victim};
use super::{Storage, lock};
use crate::error::Error;

/// The free space of the disk, asked at most once a second.
pub(crate) struct Space {
    path: PathBuf,
    asked_ms: AtomicU64,
    free_bytes: AtomicU64,
}

/// Room that is promised to a write in progress; given back when dropped.
pub(crate) struct Reservation {
    /// Weak: the storage holds uploads, which hold these.
    storage: Weak<Storage>,
    bytes: u64,
}

impl Space {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.into(), asked_ms: AtomicU64::new(0), free_bytes: AtomicU64::new(0) }
    }
}

/// What a process may still write on this disk.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(path)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

impl Storage {
    /// Reserves room for a write, evicting if needed. Blocks.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation, Error> {
        if bytes > self.bytes_max {
            let max = self.bytes_max;
            return Err(Error::Full(format!("{bytes} bytes are more than it may ever hold ({max} bytes)")));
        }
        let now_ms = self.clock.now_ms();
        self.check_reserve(bytes, now_ms)?;
        let victims = {
            let mut blobs = lock(&self.blobs);
            let excess = (blobs.used_bytes + blobs.reserved_bytes + bytes).saturating_sub(self.bytes_max);
            let victims = if excess == 0 {
                Vec::new()
            } else {
                blobs.make_room(excess, now_ms, self.ages).map_err(|freed| {
                    Error::Full(format!(
                        "{bytes} bytes do not fit: blobs of jobs in flight, uploads in progress and blobs used within \
                         the last {} s stay, only {freed} bytes could be evicted",
                        self.options.min_age.as_secs()
                    ))
                })?
            };
            blobs.reserved_bytes += bytes;
            victims
        };
        let reservation = Reservation { storage: Arc::downgrade(self), bytes };
        self.delete(&victims)?;
        Ok(reservation)
    }

    /// Deletes blobs that were taken out of the index, rows first: a file without a row is swept at start. Blocks.
    /// Whatever happens, nobody is left waiting for them.
    pub(crate) fn delete(&self, victims: &[Victim]) -> Result<(), Error> {
        if victims.is_empty() {
            return Ok(());
        }
        let hashes: Vec<_> = victims.iter().map(|victim| victim.hash).collect();
        let done = self.rows.delete(&hashes).and_then(|()| {
            let mut files = victims.iter().filter(|victim| victim.place == Place::File);
            files.try_for_each(|victim| self.files.remove(&victim.hash)).map_err(Error::from)
        });
        let mut hot = lock(&self.hot);
        hashes.iter().for_each(|hash| hot.remove(hash));
        drop(hot);
        let mut blobs = lock(&self.blobs);
        for hash in &hashes {
            blobs.moving.remove(hash);
        }
        drop(blobs);
        self.settled.notify_all();
        tracing::debug!(blobs = victims.len(), "evicted");
        done
    }

    /// Refuses a write that would eat into what is kept free on the disk. May block, once a second.
    fn check_reserve(&self, bytes: u64, now_ms: u64) -> Result<(), Error> {
        let promised = lock(&self.blobs).reserved_bytes;
        let left = self.free_bytes(now_ms)?.saturating_sub(promised);
        let reserve = self.options.reserve_bytes;
        if left < reserve.saturating_add(bytes) {
            return Err(Error::Full(format!("the disk has {left} bytes left, {reserve} of them are kept free")));
        }
        Ok(())
    }

    fn free_bytes(&self, now_ms: u64) -> Result<u64, Error> {
        let asked_ms = self.space.asked_ms.load(Ordering::Relaxed);
        if asked_ms == 0 || now_ms.saturating_sub(asked_ms) >= 1000 {
            self.space.free_bytes.store(free_bytes(&self.space.path)?, Ordering::Relaxed);
            self.space.asked_ms.store(now_ms.max(1), Ordering::Relaxed);
        }
        Ok(self.space.free_bytes.load(Ordering::Relaxed))
    }
}

impl Reservation {
    /// The room is used now: the blob that was added to the index counts for it.
    pub(crate) fn used(mut self, blobs: &mut Blobs) {
        blobs.reserved_bytes -= self.bytes;
        self.bytes = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.bytes > 0
            && let Some(storage) = self.storage.upgrade()
        {
            lock(&storage.blobs).reserved_bytes -= self.bytes;
        }
    }
}
