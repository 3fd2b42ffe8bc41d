//! Pins: what jobs in flight need, counted so that shared subtrees are held once.
//!
//! A pinned directory holds its children with one count, however many jobs share it: pinning a tree whose parts
//! are pinned already costs its root. Pins are not stored: the engine pins again what it recovers.

use std::collections::HashMap;
use std::sync::Arc;

use berth_core::Digest;

use super::blobs::Hash;
use crate::tree::TreeNode;

/// At most so many counts are given back in one go; the rest waits for the next call, so that no caller stalls on a
/// huge tree.
const RELEASE_STEPS_MAX: usize = 4096;

#[derive(Default)]
pub(crate) struct Pins {
    held: HashMap<Hash, Pin>,
    by_key: HashMap<u128, Vec<Digest>>,
    /// Counts to give back: what `release` did not get to.
    releasing: Vec<Hash>,
}

struct Pin {
    count: u32,
    /// Set for a directory: its children carry one count of it.
    node: Option<Arc<TreeNode>>,
}

/// What planning a pin has learnt of blobs that are not held yet: a directory, or anything else.
pub(crate) type Known = HashMap<Hash, Option<Arc<TreeNode>>>;

impl Pins {
    pub(crate) fn holds(&self, hash: &Hash) -> bool {
        self.held.contains_key(hash)
    }

    /// The blobs that must be looked into before `digests` can be pinned.
    pub(crate) fn unknown(&self, digests: &[Digest], known: &Known) -> Vec<Digest> {
        let mut seen = std::collections::HashSet::new();
        let mut stack: Vec<Digest> = digests.to_vec();
        let mut unknown = Vec::new();
        while let Some(digest) = stack.pop() {
            if !seen.insert(digest.hash) || self.held.get(&digest.hash).is_some_and(|pin| pin.node.is_some()) {
                continue;
            }
            match known.get(&digest.hash) {
                Some(Some(node)) => stack.extend(node.directories.iter()),
                Some(None) => {}
                None => unknown.push(digest),
            }
        }
        unknown
    }

    /// Pins; `known` must have answers for all that `unknown` lists.
    pub(crate) fn pin(&mut self, key: u128, digests: &[Digest], known: &Known) {
        self.by_key.entry(key).or_default().extend_from_slice(digests);
        let mut stack: Vec<Digest> = digests.to_vec();
        while let Some(digest) = stack.pop() {
            let pin = self.held.entry(digest.hash).or_insert(Pin { count: 0, node: None });
            pin.count += 1;
            // Held as a plain blob before, now known as a directory: from here on it holds its children too.
            if pin.node.is_none()
                && let Some(Some(node)) = known.get(&digest.hash)
            {
                pin.node = Some(node.clone());
                stack.extend(node.children());
            }
        }
        self.release(RELEASE_STEPS_MAX);
    }

    pub(crate) fn unpin(&mut self, key: u128) {
        let digests = self.by_key.remove(&key).unwrap_or_default();
        self.releasing.extend(digests.iter().map(|digest| digest.hash));
        self.release(RELEASE_STEPS_MAX);
    }

    /// Goes on giving back counts.
    pub(crate) fn step(&mut self) {
        self.release(16 * RELEASE_STEPS_MAX);
    }

    fn release(&mut self, steps: usize) {
        for _ in 0..steps {
            let Some(hash) = self.releasing.pop() else { return };
            let pin = self.held.get_mut(&hash).expect("a count is given back by who took it");
            pin.count -= 1;
            if pin.count == 0 {
                let node = self.held.remove(&hash).and_then(|pin| pin.node);
                if let Some(node) = node {
                    self.releasing.extend(node.children().map(|child| child.hash));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(n: u8) -> Digest {
        Digest { hash: [n; 32], size_bytes: 1 }
    }

    fn directory(files: &[u8], directories: &[u8]) -> Option<Arc<TreeNode>> {
        let all = |numbers: &[u8]| numbers.iter().map(|n| digest(*n)).collect();
        Some(Arc::new(TreeNode::new(all(files), all(directories))))
    }

    #[test]
    fn a_shared_subtree_is_held_until_its_last_holder_lets_go() {
        let known = Known::from([
            ([1; 32], directory(&[10], &[3])),
            ([2; 32], directory(&[11], &[3])),
            ([3; 32], directory(&[12], &[])),
        ]);
        let mut pins = Pins::default();
        assert_eq!(pins.unknown(&[digest(1)], &Known::new()), [digest(1)]);
        pins.pin(1, &[digest(1)], &known);
        // The part that is held already is not looked into again.
        assert_eq!(pins.unknown(&[digest(3)], &Known::new()), []);
        pins.pin(2, &[digest(2)], &known);
        pins.unpin(1);
        assert!(!pins.holds(&[10; 32]) && pins.holds(&[12; 32]) && pins.holds(&[3; 32]));
        pins.unpin(2);
        pins.unpin(2);
        assert!(pins.held.is_empty());
    }
}
