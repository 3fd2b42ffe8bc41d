//! A sorted map whose first few entries stand in the map itself, the others in a tree behind them.
//!
//! Of a line of jobs the first is taken and looked at far more often than any other; and there are so many lines that a
//! tree's way down to its first entry would be read from memory each time. Not for maps that are walked.

use std::collections::BTreeMap;

use super::Place;

/// Values by place; up to `N` in front, which move up that many at a time.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Front<T, const N: usize> {
    in_front: u32,
    /// Each goes after all in front. Empty if nothing stands in front.
    behind: BTreeMap<Place, T>,
    /// The first `in_front` count, best last.
    front: [(Place, T); N],
}

impl<T: Copy + Default, const N: usize> Default for Front<T, N> {
    fn default() -> Self {
        Self { in_front: 0, behind: BTreeMap::new(), front: [((0, 0), T::default()); N] }
    }
}

impl<T: Copy, const N: usize> Front<T, N> {
    /// What stands in front, best last.
    pub(super) fn front(&self) -> &[(Place, T)] {
        &self.front[..self.in_front as usize]
    }

    pub(super) fn first(&self) -> Option<(Place, T)> {
        self.front().last().copied()
    }

    pub(super) fn len(&self) -> usize {
        self.in_front as usize + self.behind.len()
    }

    /// Inserts a value, in place of one that has its place; answers whether it is the first now.
    pub(super) fn insert(&mut self, place: Place, value: T) -> bool {
        let last_in_front = self.front().first().map(|(last, _)| *last);
        let full = self.in_front as usize == N;
        if last_in_front.is_some_and(|last| place > last) && (full || !self.behind.is_empty()) {
            self.behind.insert(place, value);
            return false;
        }
        let at = self.front().partition_point(|(other, _)| *other > place);
        if self.front().get(at).is_some_and(|(other, _)| *other == place) {
            self.front[at].1 = value;
            return at + 1 == self.in_front as usize;
        }
        if full {
            let (last, value) = self.front[0];
            self.behind.insert(last, value);
            self.front.copy_within(1..at, 0);
        } else {
            self.front.copy_within(at..self.in_front as usize, at + 1);
            self.in_front += 1;
        }
        let at = at - usize::from(full);
        self.front[at] = (place, value);
        at + 1 == self.in_front as usize
    }

    /// Takes out what stands at the place; answers whether anything did.
    pub(super) fn remove(&mut self, place: Place) -> bool {
        self.remove_from_front(|other, _| other == place) || self.behind.remove(&place).is_some()
    }

    /// Takes out the one in front that is meant; answers whether it stood there.
    pub(super) fn remove_from_front(&mut self, is_it: impl Fn(Place, T) -> bool) -> bool {
        let Some(at) = self.front().iter().rposition(|(place, value)| is_it(*place, *value)) else { return false };
        self.front.copy_within(at + 1..self.in_front as usize, at);
        self.in_front -= 1;
        if self.in_front == 0 {
            self.move_up();
        }
        true
    }

    pub(super) fn pop_first(&mut self) {
        self.remove_from_front(|_, _| true);
    }

    fn move_up(&mut self) {
        let count = self.behind.len().min(N);
        let places = self.front[..count].iter_mut().rev();
        places.zip(self.behind.extract_if(.., |_, _| true)).for_each(|(place, next)| *place = next);
        self.in_front = count as u32;
    }

    /// All values, best first. Off the hot path.
    pub(super) fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.front().iter().rev().map(|(_, value)| *value).chain(self.behind.values().copied())
    }

    /// How many stand before a place. Walks.
    pub(super) fn ahead(&self, place: Place) -> usize {
        self.front().iter().filter(|(other, _)| *other < place).count() + self.behind.range(..place).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_order_of_a_sorted_map() {
        let (mut front, mut map, mut random) = (Front::<u64, 8>::default(), BTreeMap::new(), 1_u64);
        for step in 0..20_000_u64 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let grows = step / 500 % 2 == 0;
            if map.is_empty() || random >> 60 < if grows { 11 } else { 5 } {
                let place = ((random >> 50 & 3) as i64, random >> 33 & 0xfff);
                map.insert(place, step);
                assert_eq!(front.insert(place, step), map.first_key_value() == Some((&place, &step)));
            } else {
                let nth = if random >> 40 & 1 == 0 { 0 } else { (random >> 20) as usize % map.len() };
                let place = *map.keys().nth(nth).expect("the number is within the map");
                assert_eq!(front.ahead(place), nth);
                map.remove(&place);
                assert!(front.remove(place) && !front.remove(place));
            }
            assert_eq!(front.first(), map.first_key_value().map(|(place, value)| (*place, *value)));
            assert_eq!(front.len(), map.len());
        }
    }
}
