//! Counters that are smaller for a while, because jobs of them were evicted. Kept by name: it outlasts the counter's jobs.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::Queue;
use crate::{
    InstanceName, Timestamp,
    mutant::{Mutant, broken},
};

/// An instance, and the name of a counter there.
pub(crate) type CounterName = (InstanceName, Arc<str>);

/// So many evictions of a counter count at a time: the oldest of more are forgotten.
const EVICTIONS_MAX: usize = 1_024;

/// Evictions that count.
#[derive(Debug, Default)]
pub(super) struct Cooling {
    /// Until when each counts, the first to end first.
    until: BTreeMap<CounterName, Vec<Timestamp>>,
    /// For each counter the first end.
    ends: BTreeSet<(Timestamp, CounterName)>,
}

impl Cooling {
    /// How many count against a counter.
    pub(super) fn of(&self, name: &CounterName) -> u32 {
        if self.until.is_empty() {
            return 0;
        }
        self.until.get(name).map_or(0, |until| until.len() as u32)
    }

    fn change(&mut self, name: &CounterName, change: impl FnOnce(&mut Vec<Timestamp>)) {
        let until = self.until.entry(name.clone()).or_default();
        if let Some(first) = until.first() {
            self.ends.remove(&(*first, name.clone()));
        }
        change(until);
        match until.first() {
            Some(first) => drop(self.ends.insert((*first, name.clone()))),
            None => drop(self.until.remove(name)),
        }
    }
}

impl Queue {
    /// A job of the counter was evicted: it is smaller until then.
    pub(crate) fn cool(&mut self, name: &CounterName, until: Timestamp) {
        self.cooling.change(name, |all| {
            let at = all.partition_point(|other| *other <= until);
            all.insert(at, until);
            if all.len() > EVICTIONS_MAX {
                all.remove(0);
            }
        });
        self.note_cooling(name);
    }

    /// What ended by then counts no more.
    pub(crate) fn end_cooling(&mut self, name: &CounterName, at: Timestamp) {
        self.cooling.change(name, |all| all.retain(|until| *until > at));
        self.note_cooling(name);
    }

    /// The counter for which the first eviction will have been long enough ago, and when.
    pub(crate) fn next_cooled(&self) -> Option<&(Timestamp, CounterName)> {
        self.cooling.ends.first().filter(|_| !broken(Mutant::CoolDownEndless))
    }

    /// All counters that are smaller for a while, and until when each eviction counts.
    pub(crate) fn all_cooling(&self) -> impl Iterator<Item = (&CounterName, &[Timestamp])> {
        self.cooling.until.iter().map(|(name, until)| (name, until.as_slice()))
    }

    /// Until when each eviction of the counter's jobs counts.
    pub(crate) fn cooling_of(&self, name: &CounterName) -> &[Timestamp] {
        self.cooling.until.get(name).map_or(&[], |until| until)
    }
}
