//! Directory and Tree messages reduced to what walks need: the digests inside.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use berth_core::Digest;
use berth_proto::reapi;
use prost::Message;

use crate::error::Error;

/// Which message a blob is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// One directory; its subdirectories are blobs of their own.
    Directory,
    /// A whole tree in one message; only its files are blobs of their own.
    Tree,
}

/// The digests inside a Directory or Tree.
#[derive(Debug)]
pub(crate) struct TreeNode {
    pub(crate) files: Box<[Digest]>,
    pub(crate) directories: Box<[Digest]>,
    /// When everything below was last seen complete and touched; 0 is never. A note of the storage's walk.
    complete_ms: AtomicU64,
}

impl TreeNode {
    pub(crate) fn new(files: Box<[Digest]>, directories: Box<[Digest]>) -> Self {
        Self { files, directories, complete_ms: AtomicU64::new(0) }
    }

    /// Parses strictly: a message with a missing or bad digest is refused.
    pub(crate) fn parse(kind: Kind, digest: &Digest, content: &[u8]) -> Result<Self, Error> {
        let malformed = |detail: String| Error::Malformed {
            digest: *digest,
            expected: match kind {
                Kind::Directory => "Directory",
                Kind::Tree => "Tree",
            },
            detail,
        };
        match kind {
            Kind::Directory => {
                let directory = reapi::Directory::decode(content).map_err(|error| malformed(error.to_string()))?;
                let node = |wire: Option<&reapi::Digest>| child(wire).map_err(malformed);
                let files = directory.files.iter().map(|file| node(file.digest.as_ref()));
                let directories = directory.directories.iter().map(|directory| node(directory.digest.as_ref()));
                Ok(Self::new(distinct(files)?, distinct(directories)?))
            }
            Kind::Tree => {
                let tree = reapi::Tree::decode(content).map_err(|error| malformed(error.to_string()))?;
                let directories = tree.root.iter().chain(&tree.children);
                let files = directories.flat_map(|directory| &directory.files);
                let files = files.map(|file| child(file.digest.as_ref()).map_err(malformed));
                Ok(Self::new(distinct(files)?, Box::default()))
            }
        }
    }

    pub(crate) fn children(&self) -> impl Iterator<Item = Digest> {
        self.files.iter().chain(&self.directories).copied()
    }

    /// What it takes in memory, roughly.
    pub(crate) fn bytes(&self) -> usize {
        192 + size_of::<Digest>() * (self.files.len() + self.directories.len())
    }

    pub(crate) fn complete_ms(&self) -> u64 {
        self.complete_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_complete(&self, now_ms: u64) {
        self.complete_ms.store(now_ms, Ordering::Relaxed);
    }
}

fn child(wire: Option<&reapi::Digest>) -> Result<Digest, String> {
    let wire = wire.ok_or("a node has no digest")?;
    Digest::parse(&wire.hash, wire.size_bytes).map_err(|error| error.to_string())
}

fn distinct(digests: impl Iterator<Item = Result<Digest, Error>>) -> Result<Box<[Digest]>, Error> {
    let mut seen = HashSet::new();
    digests.filter(|digest| digest.as_ref().map_or(true, |digest| seen.insert(*digest))).collect()
}
