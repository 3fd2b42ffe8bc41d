//! A map in the order of last use, with constant cost per touch. The base of the blob index and of the caches.

use std::collections::HashMap;
use std::hash::Hash;

const NONE: u32 = u32::MAX;

/// Entries in a slab, chained from the newest to the oldest.
pub(crate) struct Lru<K, V> {
    slots: HashMap<K, u32>,
    nodes: Vec<Node<K, V>>,
    free: Vec<u32>,
    newest: u32,
    oldest: u32,
}

struct Node<K, V> {
    key: K,
    /// `None` while the slot is in `free`.
    value: Option<V>,
    newer: u32,
    older: u32,
}

impl<K: Copy + Eq + Hash, V> Lru<K, V> {
    pub(crate) fn new() -> Self {
        Self { slots: HashMap::new(), nodes: Vec::new(), free: Vec::new(), newest: NONE, oldest: NONE }
    }

    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }

    /// Looks without making it newer.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let slot = *self.slots.get(key)?;
        self.node(slot).value.as_mut()
    }

    /// Makes an entry the newest.
    pub(crate) fn touch(&mut self, key: &K) -> Option<&mut V> {
        let slot = *self.slots.get(key)?;
        if self.newest != slot {
            self.unlink(slot);
            self.link_newest(slot);
        }
        self.node(slot).value.as_mut()
    }

    /// Adds or replaces an entry, as the newest.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        let before = self.remove(&key);
        let node = Node { key, value: Some(value), newer: NONE, older: NONE };
        let slot = match self.free.pop() {
            Some(slot) => {
                *self.node(slot) = node;
                slot
            }
            None => {
                self.nodes.push(node);
                u32::try_from(self.nodes.len() - 1).expect("an index in memory has fewer than 2^32 entries")
            }
        };
        self.link_newest(slot);
        self.slots.insert(key, slot);
        before
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let slot = self.slots.remove(key)?;
        self.unlink(slot);
        self.free.push(slot);
        self.node(slot).value.take()
    }

    pub(crate) fn pop_oldest(&mut self) -> Option<(K, V)> {
        if self.oldest == NONE {
            return None;
        }
        let slot = self.oldest;
        let key = self.node(slot).key;
        self.remove(&key).map(|value| (key, value))
    }

    pub(crate) fn iter_oldest_first(&self) -> impl Iterator<Item = (&K, &V)> {
        let mut slot = self.oldest;
        std::iter::from_fn(move || {
            let node = self.nodes.get(slot as usize)?;
            slot = node.newer;
            node.value.as_ref().map(|value| (&node.key, value))
        })
    }

    fn node(&mut self, slot: u32) -> &mut Node<K, V> {
        &mut self.nodes[slot as usize]
    }

    fn unlink(&mut self, slot: u32) {
        let (newer, older) = (self.node(slot).newer, self.node(slot).older);
        match newer {
            NONE => self.newest = older,
            newer => self.node(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => self.node(older).newer = newer,
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let before = self.newest;
        let node = self.node(slot);
        (node.newer, node.older) = (NONE, before);
        match before {
            NONE => self.oldest = slot,
            before => self.node(before).newer = slot,
        }
        self.newest = slot;
    }
}

/// A cache of at most so many bytes: the least recently used entries go first.
pub(crate) struct Cache<K, V> {
    entries: Lru<K, (V, usize)>,
    bytes: usize,
    bytes_max: usize,
}

impl<K: Copy + Eq + Hash, V: Clone> Cache<K, V> {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { entries: Lru::new(), bytes: 0, bytes_max }
    }

    pub(crate) fn get(&mut self, key: &K) -> Option<V> {
        self.entries.touch(key).map(|(value, _)| value.clone())
    }

    /// An entry that is larger than a quarter of the cache is not kept: it would push everything else out.
    pub(crate) fn insert(&mut self, key: K, value: V, bytes: usize) {
        if bytes > self.bytes_max / 4 {
            return;
        }
        if let Some((_, replaced)) = self.entries.insert(key, (value, bytes)) {
            self.bytes -= replaced;
        }
        self.bytes += bytes;
        while self.bytes > self.bytes_max {
            let Some((_, (_, gone))) = self.entries.pop_oldest() else { break };
            self.bytes -= gone;
        }
    }

    pub(crate) fn remove(&mut self, key: &K) {
        if let Some((_, gone)) = self.entries.remove(key) {
            self.bytes -= gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(lru: &Lru<u8, ()>) -> Vec<u8> {
        lru.iter_oldest_first().map(|(key, ())| *key).collect()
    }

    #[test]
    fn a_touch_makes_an_entry_the_newest_and_removal_keeps_the_order() {
        let mut lru = Lru::new();
        for key in 0..5 {
            lru.insert(key, ());
        }
        lru.touch(&0);
        lru.touch(&4);
        assert_eq!(keys(&lru), [1, 2, 3, 0, 4]);
        lru.remove(&2);
        lru.remove(&1);
        lru.insert(9, ());
        assert_eq!(keys(&lru), [3, 0, 4, 9]);
        assert_eq!(lru.pop_oldest().map(|(key, ())| key), Some(3));
        assert_eq!(lru.len(), 3);
    }

    #[test]
    fn a_cache_drops_the_least_recently_used_to_stay_within_its_bytes() {
        let mut cache = Cache::new(40);
        for key in 0..4u8 {
            cache.insert(key, key, 10);
        }
        cache.get(&0);
        cache.insert(4, 4, 10);
        assert_eq!((cache.get(&0), cache.get(&1)), (Some(0), None));
        cache.insert(5, 5, 11);
        assert_eq!(cache.get(&5), None);
    }
}
