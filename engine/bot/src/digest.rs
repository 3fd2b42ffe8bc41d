//! Digests between the wire and the engine's own type, and how content gets one.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use berth_core::Digest;
use berth_proto::reapi;
use sha2::{Digest as _, Sha256};

use crate::error::Failure;

/// Parses the digest that an action names as its `what`; absent counts as malformed.
pub(crate) fn parse(digest: Option<&reapi::Digest>, what: &str) -> Result<Digest, Failure> {
    let digest = digest.ok_or_else(|| Failure::BadAction(format!("{what} has no digest")))?;
    Digest::parse(&digest.hash, digest.size_bytes).map_err(|error| Failure::BadAction(format!("{what}: {error}")))
}

/// The digest as it goes over the wire.
pub(crate) fn wire(digest: &Digest) -> reapi::Digest {
    let size_bytes = i64::try_from(digest.size_bytes).expect("sizes come from an i64 or from a file");
    reapi::Digest { hash: digest.hex(), size_bytes }
}

/// Computes a digest piece by piece.
#[derive(Default)]
pub(crate) struct Hasher {
    sha: Sha256,
    size_bytes: u64,
}

impl Hasher {
    pub(crate) fn update(&mut self, data: &[u8]) {
        self.sha.update(data);
        self.size_bytes += data.len() as u64;
    }

    /// How many bytes there have been so far.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    pub(crate) fn finish(self) -> Digest {
        Digest { hash: self.sha.finalize().into(), size_bytes: self.size_bytes }
    }
}

/// The digest of a piece of memory.
pub(crate) fn of_bytes(data: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(data);
    hasher.finish()
}

/// The digest of a file, read in pieces. Blocks.
pub(crate) fn of_file(path: &Path) -> io::Result<Digest> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::default();
    let mut piece = vec![0; 256 << 10];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(read) => hasher.update(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
