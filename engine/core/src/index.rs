//! A table from hashes to small numbers, made for millions of entries.
//!
//! Who asks compares: the table holds 32 bits of hash and the number, eight bytes in all, and probes neighbours.
//! So a look-up reads one cache line where a map from ids reads two or three, growing reads nothing but the
//! table, and a line that will be needed soon can be asked for early. Not for a few entries: a map reads better.

use crate::prefetch::prefetch;

/// Numbers by hash. Two entries may have one hash, but no two the same hash and number.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// A power of two. An entry is in the first free slot from its home on; 0 is a free slot.
    slots: Vec<u64>,
    used: usize,
}

const FREE: u64 = 0;
const SLOTS_MIN: usize = 16;

fn entry(hash: u32, number: u32) -> u64 {
    u64::from(hash) << 32 | (u64::from(number) + 1)
}

fn hash_in(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn number_in(slot: u64) -> u32 {
    (slot as u32) - 1
}

/// Ids are drawn at random, but tests count: both spread.
pub(crate) fn hash_of_id(id: u128) -> u32 {
    let folded = (id as u64) ^ ((id >> 64) as u64);
    (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

impl Index {
    /// The number with this hash that is the one.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.position(hash, is_it).map(|at| number_in(self.slots[at]))
    }

    /// Adds what is not in it.
    pub(crate) fn insert(&mut self, hash: u32, number: u32) {
        assert!(number < u32::MAX, "fewer than 2^32 entries");
        self.reserve(1);
        self.used += 1;
        self.put(entry(hash, number));
    }

    /// Makes room for as many more.
    pub(crate) fn reserve(&mut self, more: usize) {
        // Three quarters full at most: then a neighbour or two is read.
        let needed = ((self.used + more) * 4 / 3 + 1).next_power_of_two().max(SLOTS_MIN);
        if needed > self.slots.len() {
            let old = std::mem::replace(&mut self.slots, vec![FREE; needed]);
            // Homes are in the order of hashes, so that this walks both tables from end to end.
            old.into_iter().filter(|slot| *slot != FREE).for_each(|slot| self.put(slot));
        }
    }

    /// Puts another number in the place of one; answers whether that one was there.
    pub(crate) fn replace(&mut self, hash: u32, number: u32, by: u32) -> bool {
        let found = self.position(hash, |other| other == number);
        if let Some(at) = found {
            self.slots[at] = entry(hash, by);
        }
        found.is_some()
    }

    /// Takes an entry out, if it is there.
    pub(crate) fn remove(&mut self, hash: u32, number: u32) {
        let Some(mut hole) = self.position(hash, |other| other == number) else { return };
        let mask = self.slots.len() - 1;
        let mut at = hole;
        // What follows closes up, so that no mark of the removed one stays.
        loop {
            at = (at + 1) & mask;
            let slot = self.slots[at];
            if slot == FREE {
                break;
            }
            let (from_home, from_hole) =
                (at.wrapping_sub(self.home(hash_in(slot))) & mask, at.wrapping_sub(hole) & mask);
            if from_home >= from_hole {
                self.slots[hole] = slot;
                hole = at;
            }
        }
        self.slots[hole] = FREE;
        self.used -= 1;
    }

    /// The hash will be looked for soon.
    pub(crate) fn expect(&self, hash: u32) {
        if let Some(slot) = self.slots.get(self.home(hash)) {
            prefetch(slot);
        }
    }

    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.slots.len() as u64) >> 32) as usize
    }

    fn put(&mut self, entry: u64) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash_in(entry));
        while self.slots[at] != FREE {
            at = (at + 1) & mask;
        }
        self.slots[at] = entry;
    }

    fn position(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = self.home(hash);
        loop {
            let slot = self.slots[at];
            if slot == FREE {
                return None;
            }
            if hash_in(slot) == hash && is_it(number_in(slot)) {
                return Some(at);
            }
            at = (at + 1) & mask;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn it_holds_what_a_set_holds_through_growth_and_removal() {
        let (mut index, mut set, mut random) = (Index::default(), BTreeSet::new(), 7_u64);
        for _ in 0..50_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Few hashes, of which many are neighbours at the end of the table: entries share them and wrap around.
            let (hash, number) = (u32::MAX - (random >> 60) as u32, (random >> 40) as u32 % 64);
            if set.remove(&(hash, number)) {
                index.remove(hash, number);
            } else {
                set.insert((hash, number));
                index.insert(hash, number);
            }
            let (hash, number) = (u32::MAX - (random >> 30) as u32 % 16, (random >> 20) as u32 % 64);
            let found = index.find(hash, |other| other == number);
            assert_eq!(found.is_some(), set.contains(&(hash, number)));
        }
        for (hash, number) in set {
            index.remove(hash, number);
        }
        assert!(index.slots.iter().all(|slot| *slot == FREE) && index.used == 0);
    }

    #[test]
    fn a_number_takes_the_place_of_another_under_its_hash() {
        let mut index = Index::default();
        index.insert(3, 1);
        assert!(index.replace(3, 1, 2) && !index.replace(3, 1, 2));
        assert_eq!(index.find(3, |_| true), Some(2));
        index.remove(3, 9);
        assert_eq!(index.find(3, |_| true), Some(2));
    }
}
