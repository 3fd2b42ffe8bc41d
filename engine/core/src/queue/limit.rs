//! Limits: named counters of an instance, to which jobs belong, with bounds on how many run or wait at a time.
//!
//! Jobs with equal counters share a *limit set*, and lines and heads are kept apart by it. So jobs whose counter is full
//! are passed over as one, while others go; and a counter costs nothing but its own numbers. Jobs without limits have no
//! set at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{LimitsIx, LineIx, Queue, cooling::CounterName};
use crate::{
    InstanceName, Limit, LimitState, Timestamp,
    mutant::{Mutant, broken},
};

/// A counter of an instance.
#[derive(Debug)]
pub(super) struct Counter {
    instance: InstanceName,
    /// The numbers of the newest job that names it.
    newest: Arc<Limit>,
    /// The numbers that an operator set: they hold whatever jobs bring.
    set: Option<Arc<Limit>>,
    /// Age of that job: recovery meets jobs in the order of their ids.
    age: u64,
    /// Jobs with a bot.
    pub(super) running: u32,
    /// Jobs that are not over and not with a bot, whatever they wait for.
    waiting: u32,
    /// Those of them that wait for a bot.
    pub(super) queued: u32,
    /// Evictions that make it smaller now.
    cooling: u32,
    /// Limit sets that name it.
    sets: u32,
    /// Lines of its jobs.
    pub(super) lines: BTreeSet<LineIx>,
    /// While it is hungry: after which time others give way, and when it is looked at.
    pub(super) look: Option<(Duration, Timestamp)>,
    /// Whether it is among those that are looked at when the event is over.
    pub(super) stirred: bool,
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
        let cooling = if broken(Mutant::CoolDownIgnored) { 0 } else { self.cooling };
        self.limit().max_while(cooling).is_some_and(|max| self.running >= max) && !broken(Mutant::LimitIgnored)
    }

    fn is_owed(&self) -> bool {
        self.running < self.limit().min_running && !broken(Mutant::ClaimIgnored)
    }

    /// The numbers that hold.
    pub(super) fn limit(&self) -> &Arc<Limit> {
        self.set.as_ref().unwrap_or(&self.newest)
    }

    pub(super) fn name(&self) -> CounterName {
        (self.instance.clone(), self.newest.name.clone())
    }

    fn state(&self) -> LimitState {
        let Self { running, waiting, cooling, .. } = *self;
        LimitState { limit: self.limit().clone(), running, waiting, cooling }
    }
}

/// Counters of which there is news.
#[derive(Debug, Default)]
pub(super) struct News {
    /// They were full and have room again, since somebody asked.
    freed: Vec<usize>,
    /// They changed in this event, and others may have to give way for them; each once.
    pub(super) stirred: Vec<usize>,
}

impl News {
    fn change(&mut self, index: usize, counter: &mut Counter, change: impl FnOnce(&mut Counter)) {
        let was_full = counter.is_full();
        change(counter);
        if was_full && !counter.is_full() && !broken(Mutant::FreedNotServed) {
            self.freed.push(index);
        }
        if (counter.limit().evict_after.is_some() || counter.look.is_some()) && !counter.stirred {
            counter.stirred = true;
            self.stirred.push(index);
        }
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
        let (cooling, set) = (self.cooling.of(&key), self.set_limits.get(&key).cloned());
        let counters = &mut self.counters;
        let index = *self.counter_index.entry(key).or_insert_with(|| {
            counters.insert(Counter {
                instance: instance.clone(),
                newest: limit.clone(),
                set,
                age: 0,
                running: 0,
                waiting: 0,
                queued: 0,
                cooling,
                sets: 0,
                lines: BTreeSet::new(),
                look: None,
                stirred: false,
            })
        });
        let counter = &mut counters[index];
        if age >= counter.age || broken(Mutant::LimitOfLastRow) {
            self.news.change(index, counter, |counter| (counter.newest, counter.age) = (limit.clone(), age));
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
            let Some(limit) = limits.iter().rfind(|limit| limit.name == counter.newest.name) else { continue };
            self.news.change(*index, counter, |counter| {
                (counter.newest, counter.age) = (limit.clone(), counter.age.max(age));
            });
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
                self.hunger.set(*index, counter, None);
                let counter = self.counters.remove(*index);
                self.counter_index.remove(&counter.name());
                self.news.freed.retain(|freed| freed != index);
                self.news.stirred.retain(|stirred| stirred != index);
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
        let set = self.limits_of(line);
        if set != LimitsIx::NONE {
            let counters = &self.limit_sets[set.0 as usize].counters;
            counters.iter().for_each(|index| step(&mut self.counters[*index].waiting, more));
        }
    }

    /// One more (or one less) job of the line is with a bot.
    pub(super) fn count_limits(&mut self, line: LineIx, more: bool) {
        let set = self.limits_of(line);
        if set == LimitsIx::NONE {
            return;
        }
        for index in &self.limit_sets[set.0 as usize].counters {
            self.news.change(*index, &mut self.counters[*index], |counter| step(&mut counter.running, more));
        }
    }

    /// One more (or one less) job of the line waits for a bot.
    pub(crate) fn count_queued(&mut self, line: LineIx, more: bool) {
        let set = self.limits_of(line);
        if set == LimitsIx::NONE {
            return;
        }
        for index in &self.limit_sets[set.0 as usize].counters {
            self.news.change(*index, &mut self.counters[*index], |counter| step(&mut counter.queued, more));
        }
    }

    /// The line begins, or is gone.
    pub(super) fn list_line(&mut self, line: LineIx, set: LimitsIx, there: bool) {
        if set == LimitsIx::NONE {
            return;
        }
        for index in &self.limit_sets[set.0 as usize].counters {
            let lines = &mut self.counters[*index].lines;
            if there {
                lines.insert(line);
            } else {
                lines.remove(&line);
            }
        }
    }

    /// These numbers hold for the counter from now on, or those of its jobs.
    pub(crate) fn set_limit(&mut self, name: &CounterName, limit: Option<Arc<Limit>>) {
        match &limit {
            Some(limit) => drop(self.set_limits.insert(name.clone(), limit.clone())),
            None => drop(self.set_limits.remove(name)),
        }
        if let Some(index) = self.counter_index.get(name) {
            self.news.change(*index, &mut self.counters[*index], |counter| counter.set = limit);
        }
    }

    /// Counters whose numbers an operator set.
    pub(crate) fn set_limits(&self) -> impl Iterator<Item = (&CounterName, &Arc<Limit>)> {
        self.set_limits.iter()
    }

    /// The numbers that an operator set for a counter.
    pub(crate) fn set_limit_of(&self, name: &CounterName) -> Option<&Arc<Limit>> {
        self.set_limits.get(name)
    }

    /// How a counter stands whose numbers an operator set.
    pub(crate) fn set_limit_state(&self, name: &CounterName) -> Option<LimitState> {
        let limit = self.set_limits.get(name)?;
        let counter = self.counter_index.get(name).map(|index| self.counters[*index].state());
        let cooling = self.cooling.of(name);
        Some(counter.unwrap_or_else(|| LimitState { limit: limit.clone(), running: 0, waiting: 0, cooling }))
    }

    /// As many evictions make the counter smaller from now on.
    pub(super) fn note_cooling(&mut self, name: &CounterName) {
        let cooling = self.cooling.of(name);
        if let Some(index) = self.counter_index.get(name) {
            self.news.change(*index, &mut self.counters[*index], |counter| counter.cooling = cooling);
        }
    }

    /// Whether a counter that was full has room again; asked once.
    pub(crate) fn take_freed(&mut self) -> bool {
        if self.news.freed.is_empty() {
            return false;
        }
        let freed = std::mem::take(&mut self.news.freed);
        freed.into_iter().any(|index| !self.counters[index].is_full())
    }

    /// The first of these limits that one more job that waits would break, as it stands.
    pub(crate) fn too_many(&self, instance: &InstanceName, limits: &[Arc<Limit>]) -> Option<LimitState> {
        limits.iter().find_map(|limit| {
            let name = (instance.clone(), limit.name.clone());
            let counter = self.counter_index.get(&name).map(|index| &self.counters[*index]);
            let (running, waiting) = counter.map_or((0, 0), |counter| (counter.running, counter.waiting));
            let broken_now = limit.max_queued.is_some_and(|max| waiting >= max) && !broken(Mutant::QueueLimitIgnored);
            let cooling = self.cooling.of(&name);
            broken_now.then(|| LimitState { limit: limit.clone(), running, waiting, cooling })
        })
    }

    /// How the counters of a set stand, those that are full first.
    pub(crate) fn limit_states(&self, set: LimitsIx) -> Vec<LimitState> {
        if set == LimitsIx::NONE {
            return Vec::new();
        }
        let mut counters: Vec<_> = self.counters_of(set).collect();
        counters.sort_by_key(|counter| (!counter.is_full(), counter.limit().name.clone()));
        counters.into_iter().map(Counter::state).collect()
    }

    /// Nothing of a set that is gone: groups still name it until they look.
    pub(super) fn counters_of(&self, set: LimitsIx) -> impl Iterator<Item = &Counter> {
        let set = self.limit_sets.get(set.0 as usize);
        set.into_iter().flat_map(|set| &set.counters).map(|index| &self.counters[*index])
    }
}

fn step(number: &mut u32, more: bool) {
    *number = number.checked_add_signed(if more { 1 } else { -1 }).expect("it was counted");
}
