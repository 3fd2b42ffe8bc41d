//! The index of blobs in memory: what is here, where, when it was last touched, and what may be evicted.
//!
//! Pure bookkeeping under one lock; it never touches the disk. A blob that is being written or deleted stands in
//! `moving`: it counts as absent, and whoever wants to write it waits until the disk is settled.

use std::collections::HashSet;

use berth_core::Digest;

use super::lru::Lru;
use super::pins::Pins;

/// A blob's key. The size is checked against the entry: a digest with the right hash and a wrong size names nothing.
pub(crate) type Hash = [u8; 32];

/// Where the content lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a row of the database.
    Row,
    /// In a file of its own.
    File,
}

struct Blob {
    size_bytes: u64,
    place: Place,
    /// Set by every touch; what is on disk may be older, see `dirty`.
    touched_ms: u64,
    /// The touch time is newer than the stored one, and the hash stands in `Blobs::dirty`.
    dirty: bool,
}

/// How old is old.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ages {
    /// A touch sooner than this after the last one is not recorded: most touches then cost a look-up.
    pub(crate) slack_ms: u64,
    /// A blob is evicted only when its recorded touch is older than this: the promised age, and the slack twice
    /// (once for the touch that was not recorded, once for a tree walk that was not repeated).
    pub(crate) guard_ms: u64,
}

impl Ages {
    pub(crate) fn new(min_age_ms: u64) -> Self {
        let slack_ms = (min_age_ms / 10).min(60_000);
        Self { slack_ms, guard_ms: min_age_ms + 2 * slack_ms }
    }
}

/// A blob that leaves.
pub(crate) struct Victim {
    pub(crate) hash: Hash,
    pub(crate) place: Place,
}

pub(crate) struct Blobs {
    present: Lru<Hash, Blob>,
    /// Being written or deleted, in either direction.
    pub(crate) moving: HashSet<Hash>,
    pub(crate) pins: Pins,
    /// What `present` costs on disk.
    pub(crate) used_bytes: u64,
    /// Promised to uploads and batches in progress.
    pub(crate) reserved_bytes: u64,
    dirty: Vec<Hash>,
}

/// What a blob costs on disk: rows have an overhead, files fill blocks. Counting it bounds the index too.
pub(crate) fn cost(size_bytes: u64, place: Place) -> u64 {
    match place {
        Place::Row => size_bytes.saturating_add(256),
        Place::File => size_bytes.saturating_add(4096 + 4095) / 4096 * 4096,
    }
}

impl Blobs {
    pub(crate) fn new() -> Self {
        Self {
            present: Lru::new(),
            moving: HashSet::new(),
            pins: Pins::default(),
            used_bytes: 0,
            reserved_bytes: 0,
            dirty: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.present.len()
    }

    /// Is it here? Then it is touched.
    pub(crate) fn touch(&mut self, digest: &Digest, now_ms: u64, ages: Ages) -> Option<Place> {
        let blob = self.present.get_mut(&digest.hash).filter(|blob| blob.size_bytes == digest.size_bytes)?;
        let place = blob.place;
        if now_ms.saturating_sub(blob.touched_ms) >= ages.slack_ms {
            blob.touched_ms = now_ms.max(blob.touched_ms);
            if !std::mem::replace(&mut blob.dirty, true) {
                self.dirty.push(digest.hash);
            }
            self.present.touch(&digest.hash);
        }
        Some(place)
    }

    /// Adds a blob that is on disk, as the newest.
    pub(crate) fn add(&mut self, digest: &Digest, place: Place, touched_ms: u64) {
        self.used_bytes += cost(digest.size_bytes, place);
        let blob = Blob { size_bytes: digest.size_bytes, place, touched_ms, dirty: false };
        let before = self.present.insert(digest.hash, blob);
        debug_assert!(before.is_none(), "only absent blobs are claimed and added");
    }

    /// Takes a blob out, into `moving`.
    pub(crate) fn take(&mut self, hash: Hash) -> Option<Victim> {
        let blob = self.present.remove(&hash)?;
        self.used_bytes -= cost(blob.size_bytes, blob.place);
        self.moving.insert(hash);
        Some(Victim { hash, place: blob.place })
    }

    /// Takes out the least recently touched blobs that may go until `needed` bytes are free; `Err` says how many
    /// could be freed, and then nothing changed.
    pub(crate) fn make_room(&mut self, needed: u64, now_ms: u64, ages: Ages) -> Result<Vec<Victim>, u64> {
        let (mut freed, mut victims, mut in_use) = (0, Vec::new(), Vec::new());
        for (hash, blob) in self.present.iter_oldest_first() {
            if freed >= needed || now_ms.saturating_sub(blob.touched_ms) < ages.guard_ms {
                break;
            }
            if self.pins.holds(hash) {
                in_use.push(*hash);
                continue;
            }
            freed += cost(blob.size_bytes, blob.place);
            victims.push(*hash);
        }
        // A job in flight uses these: that is a touch, and the next search need not step over them again.
        for hash in in_use {
            if let Some(blob) = self.present.touch(&hash) {
                blob.touched_ms = now_ms.max(blob.touched_ms);
            }
        }
        if freed < needed {
            return Err(freed);
        }
        Ok(victims.into_iter().filter_map(|hash| self.take(hash)).collect())
    }

    /// The touch times that are not on disk yet.
    pub(crate) fn take_dirty(&mut self) -> Vec<(Hash, u64)> {
        let hashes = std::mem::take(&mut self.dirty);
        let row = |hash: Hash| {
            let blob = self.present.get_mut(&hash)?;
            blob.dirty = false;
            Some((hash, blob.touched_ms))
        };
        hashes.into_iter().filter_map(row).collect()
    }
}
