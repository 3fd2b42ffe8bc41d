//! Counters that have less than they were promised: a counter is *hungry* while fewer of its jobs run than its
//! `min_running`, some stand in the queue, and it says after how long others are to give way.
//!
//! Each event ends with a look at the counters that it touched, and sets when they are looked at for jobs that have
//! waited for too long. What happens then is in `execution/evict.rs`. Counters without `evict_after` cost nothing.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{JobIx, LineIx, Queue, cooling::CounterName, limit::Counter};
use crate::{
    Timestamp,
    mutant::{Mutant, broken},
};

/// No counter is looked at more often, and nobody gives way sooner.
const LOOK_MIN: Duration = Duration::from_secs(1);

/// Of the jobs of a counter so many lines are looked at, and so many jobs of each: a look has a bounded cost.
const LINES_MAX: usize = 64;
const JOBS_MAX: usize = 64;

/// When counters are looked at.
#[derive(Debug, Default)]
pub(super) struct Hunger {
    looks: BTreeSet<(Timestamp, CounterName, usize)>,
}

impl Hunger {
    pub(super) fn set(&mut self, index: usize, counter: &mut Counter, look: Option<(Duration, Timestamp)>) {
        if let Some((_, at)) = std::mem::replace(&mut counter.look, look) {
            self.looks.remove(&(at, counter.name(), index));
        }
        self.looks.extend(look.map(|(_, at)| (at, counter.name(), index)));
    }
}

impl Counter {
    /// How long its jobs wait before others give way; `None`: it is not hungry.
    fn hungry_after(&self) -> Option<Duration> {
        let hungry = self.queued > 0 && self.running < self.limit().min_running;
        let wait = self.limit().evict_after.filter(|_| hungry && !broken(Mutant::EvictsNobody))?.max(LOOK_MIN);
        Some(if broken(Mutant::EvictsEarly) { wait / 2 } else { wait })
    }
}

impl Queue {
    /// The event is over: sets when the counters that it touched are looked at, if they are hungry, counted from then.
    pub(crate) fn settle_hunger(&mut self, from: Timestamp) {
        for index in std::mem::take(&mut self.news.stirred) {
            let counter = &mut self.counters[index];
            counter.stirred = false;
            let wait = counter.hungry_after();
            if counter.look.map(|(wait, _)| wait) != wait {
                self.hunger.set(index, counter, wait.map(|wait| (wait, from.after(wait))));
            }
        }
    }

    /// The counter that is looked at next, and when.
    pub(crate) fn next_hungry(&self) -> Option<(Timestamp, usize)> {
        self.hunger.looks.first().map(|(at, _, index)| (*at, *index))
    }

    /// The counter was looked at: so it is again soon, if it stays hungry.
    pub(crate) fn look_again(&mut self, index: usize, now: Timestamp) {
        let counter = &mut self.counters[index];
        let again = counter.look.map(|(wait, _)| (wait, now.after((wait / 4).max(LOOK_MIN))));
        self.hunger.set(index, counter, again);
    }

    /// The counter's name, how many more of its jobs should run, and how long a job waits before others give way.
    pub(crate) fn hunger_of(&self, index: usize) -> (CounterName, u32, Duration) {
        let counter = &self.counters[index];
        let wait = counter.look.map_or(LOOK_MIN, |(wait, _)| wait);
        (counter.name(), counter.limit().min_running.saturating_sub(counter.running), wait)
    }

    /// Jobs of the counter that stand in the queue and are held back neither by a limit nor by an operator, line by line, the first of each
    /// first.
    pub(crate) fn hungry_lines(&self, index: usize) -> impl Iterator<Item = impl Iterator<Item = JobIx>> {
        let lines = self.counters[index].lines.iter().map(|line: &LineIx| &self.lines[line.0 as usize]);
        let free = lines.filter(|line| line.waiting.len() > 0 && !line.paused && !self.is_blocked(line.limits));
        free.take(LINES_MAX).map(|line| line.waiting.iter().take(JOBS_MAX))
    }

    /// Whether a job of the line belongs to the counter.
    pub(crate) fn names(&self, line: LineIx, index: usize) -> bool {
        self.counters[index].lines.contains(&line)
    }

    /// Whether a job of the line that runs may give way to one of the counter: it is of other counters, and each of
    /// those has more than it was promised.
    pub(crate) fn may_give_way(&self, line: LineIx, index: usize) -> bool {
        let has_more = |counter: &Counter| {
            counter.limit().min_running == 0
                || counter.running > counter.limit().min_running
                || broken(Mutant::EvictsAtMinimum)
        };
        (!self.names(line, index) || broken(Mutant::EvictsOwn)) && self.counters_of(self.limits_of(line)).all(has_more)
    }

    /// Counters of the line that an eviction makes smaller, and for how long: not those that the job belongs to for
    /// which it is done.
    pub(crate) fn cooled_by(&self, line: LineIx, by: LineIx) -> Vec<(Arc<str>, Duration)> {
        let own = |counter: &&Counter| counter.lines.contains(&by);
        let cooled = self.counters_of(self.limits_of(line)).filter(|counter| !own(counter));
        let cooled = cooled.filter(|counter| !counter.limit().cool_down.is_zero());
        let mut cooled: Vec<_> =
            cooled.map(|counter| (counter.limit().name.clone(), counter.limit().cool_down)).collect();
        cooled.sort();
        cooled
    }
}
