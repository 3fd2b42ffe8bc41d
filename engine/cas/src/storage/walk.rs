//! Walking trees: is everything there? What is, is touched.
//!
//! Executes of one build share most of their trees, so two things are remembered: parsed directories, and that a
//! subtree was complete a moment ago. The second is safe because nothing that was just touched is evicted
//! (`Ages::guard_ms` counts the moment in).

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use berth_core::Digest;

use super::blobs::Hash;
use super::{EMPTY, Storage, lock};
use crate::error::Error;
use crate::limits::{DIRECTORY_BYTES_MAX, MISSING_MAX};
use crate::tree::{Kind, TreeNode};

/// How far a call may go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effort {
    /// Only what memory answers, and quickly: for threads that serve connections.
    Memory,
    /// Whatever it takes. Blocks.
    Disk,
}

/// The most digests that a walk of `Effort::Memory` looks at.
const QUICK_DIGESTS_MAX: usize = 4096;

/// What is known of a blob that should be a directory.
pub(crate) enum Lookup {
    Node(Arc<TreeNode>),
    Absent,
    NeedsDisk,
}

/// What a walk did not find, each once, in the order of the walk.
#[derive(Default)]
struct Missing {
    list: Vec<Digest>,
    seen: HashSet<Digest>,
}

impl Storage {
    /// Checks and touches blobs and trees, and says what is missing. `None`: this needs more effort.
    pub(crate) fn walk(
        self: &Arc<Self>,
        blobs: &[Digest],
        trees: &[(Kind, Digest)],
        effort: Effort,
    ) -> Result<Option<Vec<Digest>>, Error> {
        let now_ms = self.clock.now_ms();
        let mut missing = Missing::default();
        let (mut seen, mut visited, mut looked_at) = (HashSet::<(Kind, Hash)>::new(), Vec::new(), blobs.len());
        self.note_missing(blobs, &mut missing);
        let mut level = trees.to_vec();
        self.note_missing(&level.iter().map(|(_, digest)| *digest).collect::<Vec<_>>(), &mut missing);
        while !level.is_empty() && missing.list.len() < MISSING_MAX {
            let mut below = Vec::new();
            for (kind, digest) in level {
                if !seen.insert((kind, digest.hash)) {
                    continue;
                }
                let node = match self.node(kind, &digest, effort)? {
                    Lookup::Node(node) => node,
                    Lookup::Absent => continue,
                    Lookup::NeedsDisk => return Ok(None),
                };
                if self.still_complete(&node, now_ms) {
                    continue;
                }
                looked_at += node.files.len() + node.directories.len();
                if effort == Effort::Memory && looked_at > QUICK_DIGESTS_MAX {
                    return Ok(None);
                }
                self.note_missing(&node.files, &mut missing);
                self.note_missing(&node.directories, &mut missing);
                below.extend(node.directories.iter().map(|digest| (Kind::Directory, *digest)));
                visited.push(node);
            }
            level = below;
        }
        if missing.list.is_empty() {
            visited.iter().for_each(|node| node.set_complete(now_ms));
        }
        missing.list.truncate(MISSING_MAX);
        Ok(Some(missing.list))
    }

    /// A parsed directory, from memory if possible.
    pub(crate) fn node(self: &Arc<Self>, kind: Kind, digest: &Digest, effort: Effort) -> Result<Lookup, Error> {
        if *digest == EMPTY {
            return Ok(Lookup::Node(Arc::new(TreeNode::new(Box::default(), Box::default()))));
        }
        if let Some(node) = lock(&self.trees).get(&(kind, digest.hash)) {
            return Ok(Lookup::Node(node));
        }
        let content = match (self.hot(digest), effort) {
            (Some(content), _) => content,
            (None, Effort::Memory) if self.contains(digest) => return Ok(Lookup::NeedsDisk),
            (None, Effort::Memory) => return Ok(Lookup::Absent),
            (None, Effort::Disk) => match self.read(digest, DIRECTORY_BYTES_MAX) {
                Ok(Some(content)) => content,
                Ok(None) => return Ok(Lookup::Absent),
                Err(Error::TooLarge { digest, limit_bytes }) => {
                    let detail = format!("it is larger than {limit_bytes} bytes");
                    return Err(Error::Malformed { digest, expected: "Directory", detail });
                }
                Err(error) => return Err(error),
            },
        };
        let node = Arc::new(TreeNode::parse(kind, digest, &content)?);
        lock(&self.trees).insert((kind, digest.hash), node.clone(), node.bytes());
        Ok(Lookup::Node(node))
    }

    fn still_complete(&self, node: &TreeNode, now_ms: u64) -> bool {
        let complete_ms = node.complete_ms();
        complete_ms > self.doubt_ms.load(Ordering::Relaxed) && now_ms.saturating_sub(complete_ms) < self.ages.slack_ms
    }

    fn note_missing(&self, digests: &[Digest], missing: &mut Missing) {
        for (digest, present) in digests.iter().zip(self.present(digests)) {
            if !present && missing.seen.insert(*digest) {
                missing.list.push(*digest);
            }
        }
    }
}
