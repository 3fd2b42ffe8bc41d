//! Limits: named counters of an instance, to which jobs belong, with bounds on how many run or wait at a time.
//!
//! Jobs with equal counters share a *limit set*, and lines and heads are kept apart by it. So jobs whose counter is full
//! are passed over as one, while others go; and a counter costs nothing but its own numbers. Jobs without limits have no
//! set at all.

use std::sync::Arc;

use super::{LimitsIx, LineIx, Queue};
use crate::{
    InstanceName, Limit, LimitState,
    mutant::{Mutant, broken},
};

/// A counter of an instance.
#[derive(Debug)]
pub(super) struct Counter {
    instance: InstanceName,
    /// The numbers of the newest job that names it.
    limit: Arc<Limit>,
    /// Age of that job: recovery meets jobs in the order of their ids.
    age: u64,
    /// Jobs with a bot.
    running: u32,
    /// Jobs that are not over and not with a bot, whatever they wait for.
    waiting: u32,
    /// Limit sets that name it.
    sets: u32,
}

/// Counters that jobs have in common.
#[derive(Debug)]
pub(super) struct LimitSet {
    counters: Box<[usize]>,
    /// Lines, and who is about to make one: it is gone with the last.
    holders: u32,
}

impl Counter {
    fn is_full(&self) -> bool {
        self.limit.max_running.is_some_and(|max| self.running >= max) && !broken(Mutant::LimitIgnored)
    }

    fn is_owed(&self) -> bool {
        self.running < self.limit.min_running && !broken(Mutant::ClaimIgnored)
    }
}

impl Queue {
    /// Finds or makes the limit set for one more job. The numbers of the newest job hold for a counter.
    pub(crate) fn enter_limits(&mut self, instance: &InstanceName, limits: &[Arc<Limit>], age: u64) -> LimitsIx {
        if limits.is_empty() {
            return LimitsIx::NONE;
        }
        let mut counters: Vec<_> = limits.iter().map(|limit| self.enter_counter(instance, limit, age)).collect();
        counters.sort_unstable();
        counters.dedup();
        let counters: Box<[usize]> = counters.into();
        if let Some(index) = self.limit_index.get(&counters) {
            self.limit_sets[index.0 as usize].holders += 1;
            return *index;
        }
        counters.iter().for_each(|counter| self.counters[*counter].sets += 1);
        let set = LimitSet { counters: counters.clone(), holders: 1 };
        let index = LimitsIx(u32::try_from(self.limit_sets.insert(set)).expect("fewer than 2^32 limit sets"));
        self.limit_index.insert(counters, index);
        index
    }

    fn enter_counter(&mut self, instance: &InstanceName, limit: &Arc<Limit>, age: u64) -> usize {
        let key = (instance.clone(), limit.name.clone());
        let counters = &mut self.counters;
        let index = *self.counter_index.entry(key).or_insert_with(|| {
            let (instance, limit) = (instance.clone(), limit.clone());
            counters.insert(Counter { instance, limit, age: 0, running: 0, waiting: 0, sets: 0 })
        });
        let counter = &mut counters[index];
        if age >= counter.age || broken(Mutant::LimitOfLastRow) {
            let was_full = counter.is_full();
            (counter.limit, counter.age) = (limit.clone(), age);
            if was_full && !counter.is_full() {
                self.freed.push(index);
            }
        }
        index
    }

    /// A policy was asked again about a job of the line: the newest numbers hold for its counters.
    pub(crate) fn bound(&mut self, line: LineIx, limits: &[Arc<Limit>], age: u64) {
        let set = self.limits_of(line);
        if set == LimitsIx::NONE {
            return;
        }
        for index in &self.limit_sets[set.0 as usize].counters {
            let counter = &mut self.counters[*index];
            // The last of the name, as where a job comes in.
            let Some(limit) = limits.iter().rfind(|limit| limit.name == counter.limit.name) else { continue };
            let was_full = counter.is_full();
            (counter.limit, counter.age) = (limit.clone(), counter.age.max(age));
            if was_full && !counter.is_full() {
                self.freed.push(*index);
            }
        }
    }

    /// Keeps the set; to be left like one that was entered.
    pub(crate) fn hold_limits(&mut self, index: LimitsIx) {
        if index != LimitsIx::NONE {
            self.limit_sets[index.0 as usize].holders += 1;
        }
    }

    /// Who entered it lets go.
    pub(crate) fn leave_limits(&mut self, index: LimitsIx) {
        if index == LimitsIx::NONE {
            return;
        }
        let set = &mut self.limit_sets[index.0 as usize];
        set.holders -= 1;
        if set.holders > 0 {
            return;
        }
        let set = self.limit_sets.remove(index.0 as usize);
        for index in &set.counters {
            let counter = &mut self.counters[*index];
            counter.sets -= 1;
            if counter.sets == 0 {
                let counter = self.counters.remove(*index);
                self.counter_index.remove(&(counter.instance, counter.limit.name.clone()));
                self.freed.retain(|freed| freed != index);
            }
        }
        self.limit_index.remove(&set.counters);
    }

    /// The limit set of a line.
    pub(crate) fn limits_of(&self, line: LineIx) -> LimitsIx {
        self.lines[line.0 as usize].limits
    }

    /// Whether no job of the set may begin to run now.
    pub(crate) fn is_blocked(&self, set: LimitsIx) -> bool {
        set != LimitsIx::NONE && self.counters_of(set).any(Counter::is_full)
    }

    /// Whether jobs of the set go before those without such a claim: fewer run than are promised.
    pub(crate) fn is_owed(&self, set: LimitsIx) -> bool {
        set != LimitsIx::NONE && self.counters_of(set).any(Counter::is_owed)
    }

    /// One more (or one less) job of the line waits.
    pub(crate) fn count_waiting(&mut self, line: LineIx, more: bool) {
        self.count(line, |counter| {
            counter.waiting = counter.waiting.checked_add_signed(if more { 1 } else { -1 }).expect("it was counted");
        });
    }

    /// One more (or one less) job of the line is with a bot.
    pub(super) fn count_limits(&mut self, line: LineIx, more: bool) {
        let set = self.limits_of(line);
        if set == LimitsIx::NONE {
            return;
        }
        for index in &self.limit_sets[set.0 as usize].counters {
            let counter = &mut self.counters[*index];
            let was_full = counter.is_full();
            counter.running = counter.running.checked_add_signed(if more { 1 } else { -1 }).expect("it was counted");
            if was_full && !counter.is_full() && !broken(Mutant::FreedNotServed) {
                self.freed.push(*index);
            }
        }
    }

    /// Whether a counter that was full has room again; asked once.
    pub(crate) fn take_freed(&mut self) -> bool {
        if self.freed.is_empty() {
            return false;
        }
        let freed = std::mem::take(&mut self.freed);
        freed.into_iter().any(|index| !self.counters[index].is_full())
    }

    /// The first of these limits that one more job that waits would break, as it stands.
    pub(crate) fn too_many(&self, instance: &InstanceName, limits: &[Arc<Limit>]) -> Option<LimitState> {
        let waiting = |limit: &Limit| {
            let index = self.counter_index.get(&(instance.clone(), limit.name.clone()))?;
            let counter = &self.counters[*index];
            Some((counter.running, counter.waiting))
        };
        limits.iter().find_map(|limit| {
            let (running, waiting) = waiting(limit).unwrap_or((0, 0));
            let broken_now = limit.max_queued.is_some_and(|max| waiting >= max) && !broken(Mutant::QueueLimitIgnored);
            broken_now.then(|| LimitState { limit: limit.clone(), running, waiting })
        })
    }

    /// How the counters of a set stand, those that are full first.
    pub(crate) fn limit_states(&self, set: LimitsIx) -> Vec<LimitState> {
        if set == LimitsIx::NONE {
            return Vec::new();
        }
        let mut counters: Vec<_> = self.counters_of(set).collect();
        counters.sort_by_key(|counter| (!counter.is_full(), counter.limit.name.clone()));
        let state = |counter: &Counter| LimitState {
            limit: counter.limit.clone(),
            running: counter.running,
            waiting: counter.waiting,
        };
        counters.into_iter().map(state).collect()
    }

    /// Nothing of a set that is gone: groups still name it until they look.
    fn counters_of(&self, set: LimitsIx) -> impl Iterator<Item = &Counter> {
        let set = self.limit_sets.get(set.0 as usize);
        set.into_iter().flat_map(|set| &set.counters).map(|index| &self.counters[*index])
    }

    fn count(&mut self, line: LineIx, change: impl Fn(&mut Counter)) {
        let set = self.limits_of(line);
        if set != LimitsIx::NONE {
            let counters = &self.limit_sets[set.0 as usize].counters;
            counters.iter().for_each(|index| change(&mut self.counters[*index]));
        }
    }
}
