//! Pinning: finds out which digests are directories, then holds everything below them.

use std::sync::Arc;

use berth_core::Digest;

use super::pins::Known;
use super::walk::{Effort, Lookup};
use super::{Storage, lock};
use crate::error::Error;
use crate::tree::Kind;

/// The most blobs that a pin of `Effort::Memory` looks into.
const QUICK_LOOKS_MAX: usize = 256;

impl Storage {
    /// Keeps these blobs, and everything below those that are directories, until `unpin`. `false`: this needs more
    /// effort, nothing is pinned. A blob that is absent is held too, for when it comes.
    pub(crate) fn pin(self: &Arc<Self>, key: u128, digests: &[Digest], effort: Effort) -> Result<bool, Error> {
        let mut known = Known::new();
        loop {
            let unknown = {
                let mut blobs = lock(&self.blobs);
                let unknown = blobs.pins.unknown(digests, &known);
                if unknown.is_empty() {
                    blobs.pins.pin(key, digests, &known);
                    return Ok(true);
                }
                unknown
            };
            if effort == Effort::Memory && known.len() + unknown.len() > QUICK_LOOKS_MAX {
                return Ok(false);
            }
            for digest in unknown {
                let node = match self.node(Kind::Directory, &digest, effort) {
                    Ok(Lookup::Node(node)) => Some(node),
                    // Actions and commands are pinned as well; nothing but a Directory parses as one.
                    Ok(Lookup::Absent) | Err(Error::Malformed { .. }) => None,
                    Ok(Lookup::NeedsDisk) => return Ok(false),
                    Err(error) => return Err(error),
                };
                known.insert(digest.hash, node);
            }
        }
    }

    /// Ends a pin. Answered from memory.
    pub(crate) fn unpin(&self, key: u128) {
        lock(&self.blobs).pins.unpin(key);
    }
}
