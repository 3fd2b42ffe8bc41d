//! Writing: content is checked, made durable, then visible. One writer per blob; others wait and share its result.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use berth_core::Digest;
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::blobs::{Hash, Place, cost};
use super::rows::NewBlob;
use super::space::Reservation;
use super::{EMPTY, ROW_BYTES_MAX, Storage, lock};
use crate::error::Error;

/// Larger content would push too much out of the cache of small blobs.
const HOT_BYTES_MAX: usize = 8 * 1024;

/// The right to write one absent blob. Dropped without `Storage::show`, the blob stays absent.
struct Claim {
    storage: Arc<Storage>,
    digest: Digest,
    /// Cleared when the blob became visible.
    open: bool,
}

/// Where content of this size goes.
pub(crate) fn place(size_bytes: u64) -> Place {
    if size_bytes <= ROW_BYTES_MAX { Place::Row } else { Place::File }
}

/// Is the content what the digest says?
pub(crate) fn verify(digest: &Digest, content: &[u8]) -> Result<(), Error> {
    check_size(digest, content.len() as u64)?;
    check_hash(digest, Sha256::digest(content).into())
}

pub(crate) fn check_size(digest: &Digest, size_bytes: u64) -> Result<(), Error> {
    if size_bytes == digest.size_bytes {
        return Ok(());
    }
    Err(Error::Mismatch { expected: *digest, problem: format!("it has {size_bytes} bytes") })
}

pub(crate) fn check_hash(digest: &Digest, hash: Hash) -> Result<(), Error> {
    if hash == digest.hash {
        return Ok(());
    }
    let found = Digest { hash, size_bytes: digest.size_bytes };
    Err(Error::Mismatch { expected: *digest, problem: format!("its SHA-256 is {}", found.hex()) })
}

impl Storage {
    /// Stores blobs that are in memory with one sync for all rows. Each has its own result, in order. Blocks.
    pub(crate) fn put_many(self: &Arc<Self>, blobs: &[(Digest, Bytes)]) -> Vec<Result<(), Error>> {
        let mut results: Vec<Result<(), Error>> =
            blobs.iter().map(|(digest, content)| verify(digest, content)).collect();
        // Claimed in the order of their hashes: two batches that wait for each other's blobs would never end.
        let mut first: HashMap<Hash, usize> = HashMap::new();
        let mut order: Vec<usize> = (0..blobs.len()).filter(|at| results[*at].is_ok()).collect();
        order.sort_by_key(|at| blobs[*at].0.hash);
        let mut claims = Vec::new();
        for at in order {
            let digest = blobs[at].0;
            if *first.entry(digest.hash).or_insert(at) == at
                && let Some(claim) = self.claim(&digest)
            {
                match self.prepare(&digest, &blobs[at].1) {
                    Ok(reservation) => claims.push((at, claim, reservation)),
                    Err(error) => results[at] = Err(error),
                }
            }
        }
        let new: Vec<NewBlob<'_>> = claims
            .iter()
            .map(|(at, ..)| {
                let (digest, content) = &blobs[*at];
                let content = (place(digest.size_bytes) == Place::Row).then_some(content.as_ref());
                NewBlob { digest: *digest, content }
            })
            .collect();
        let written = if new.is_empty() { Ok(()) } else { self.rows.add(&new, self.clock.now_ms()) };
        for (at, claim, reservation) in claims {
            match &written {
                Ok(()) => {
                    self.show(claim, reservation);
                    self.warm(&blobs[at].0, &blobs[at].1);
                }
                Err(error) => results[at] = Err(error.clone()),
            }
        }
        for (at, (digest, _)) in blobs.iter().enumerate() {
            if let Some(leader) = first.get(&digest.hash).filter(|leader| **leader != at && results[at].is_ok()) {
                results[at] = results[*leader].clone();
            }
        }
        results
    }

    /// Stores one blob that is in memory. Blocks.
    pub(crate) fn put(self: &Arc<Self>, digest: &Digest, content: Bytes) -> Result<(), Error> {
        self.put_many(&[(*digest, content)]).pop().expect("one result for each blob")
    }

    /// Stores content that was written aside and checked. Blocks.
    pub(crate) fn put_file(
        self: &Arc<Self>,
        digest: &Digest,
        written: NamedTempFile,
        reservation: Reservation,
    ) -> Result<(), Error> {
        let Some(claim) = self.claim(digest) else { return Ok(()) };
        self.files.publish(written, &digest.hash)?;
        self.rows.add(&[NewBlob { digest: *digest, content: None }], self.clock.now_ms())?;
        self.show(claim, reservation);
        Ok(())
    }

    /// Keeps a small blob in memory. Copied: the bytes at hand may be a slice of a whole network message.
    pub(crate) fn warm(&self, digest: &Digest, content: &[u8]) {
        if content.len() <= HOT_BYTES_MAX {
            let content = Bytes::copy_from_slice(content);
            let bytes = content.len() + 160;
            lock(&self.hot).insert(digest.hash, content, bytes);
        }
    }

    /// Reserves room and, for a large blob, puts the file in place.
    fn prepare(self: &Arc<Self>, digest: &Digest, content: &[u8]) -> Result<Reservation, Error> {
        let place = place(digest.size_bytes);
        let reservation = self.reserve(cost(digest.size_bytes, place))?;
        if place == Place::File {
            let mut file = self.files.create()?;
            std::io::Write::write_all(&mut file, content)?;
            self.files.publish(file, &digest.hash)?;
        }
        Ok(reservation)
    }

    /// Waits until nobody else moves this blob. `None`: it is here, nothing is to be written. Blocks.
    fn claim(self: &Arc<Self>, digest: &Digest) -> Option<Claim> {
        if *digest == EMPTY {
            return None;
        }
        let mut blobs = lock(&self.blobs);
        while blobs.moving.contains(&digest.hash) {
            blobs = self.settled.wait(blobs).unwrap_or_else(PoisonError::into_inner);
        }
        if blobs.touch(digest, self.clock.now_ms(), self.ages).is_some() {
            return None;
        }
        blobs.moving.insert(digest.hash);
        Some(Claim { storage: self.clone(), digest: *digest, open: true })
    }

    /// Makes a durable blob visible.
    fn show(&self, mut claim: Claim, reservation: Reservation) {
        let mut blobs = lock(&self.blobs);
        blobs.add(&claim.digest, place(claim.digest.size_bytes), self.clock.now_ms());
        // In the same step: once visible it may be evicted, and then it moves again, but not in our name.
        blobs.moving.remove(&claim.digest.hash);
        claim.open = false;
        reservation.used(&mut blobs);
        drop(blobs);
        self.settled.notify_all();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.open {
            lock(&self.storage.blobs).moving.remove(&self.digest.hash);
            self.storage.settled.notify_all();
        }
    }
}
