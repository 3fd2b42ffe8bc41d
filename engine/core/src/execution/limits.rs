//! Jobs and their limits: what is kept of them, and who is served when a counter that was full has room again. How the
//! queue passes jobs over is in `queue/limit.rs`.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Book;
use crate::{
    Fact, InstanceName, Limit, LimitRow, LimitState, Step, Timestamp,
    queue::{JobIx, SessionIx},
};

impl Book {
    /// Keeps the limits as they came with the job, for its row.
    pub(super) fn note_limits(&mut self, index: JobIx, limits: &[Arc<Limit>]) {
        if !limits.is_empty() {
            self.limits.insert(index, limits.into());
        }
    }

    /// The job's limits, as they came with its newest place.
    pub(super) fn limits_of(&self, index: JobIx) -> &[Arc<Limit>] {
        self.limits.get(&index).map_or(&[], |limits| limits)
    }

    /// An operator sets the numbers of a counter, or lets those of its jobs hold.
    pub(super) fn set_limit(
        &mut self,
        instance: InstanceName,
        counter: Arc<str>,
        limit: Option<Arc<Limit>>,
        step: &mut Step,
    ) {
        let name = (instance, counter);
        if self.queue.set_limit_of(&name) != limit.as_ref() {
            let (instance, counter) = name;
            self.emit(Fact::LimitSet { instance, counter, limit }, step);
        }
    }

    /// How a counter stands whose numbers an operator set; `None`: nobody set them.
    pub fn limit_state(&self, instance: &InstanceName, counter: &Arc<str>) -> Option<LimitState> {
        self.queue.set_limit_state(&(instance.clone(), counter.clone()))
    }

    /// All of them, in the order of their instances and names.
    pub fn limit_states(&self) -> Vec<(InstanceName, LimitState)> {
        let names = self.queue.set_limits().map(|(name, _)| name);
        names.filter_map(|name| Some((name.0.clone(), self.queue.set_limit_state(name)?))).collect()
    }

    /// The row of a counter whose numbers an operator set.
    pub fn limit_row(&self, instance: &InstanceName, counter: &Arc<str>) -> Option<LimitRow> {
        let limit = self.queue.set_limit_of(&(instance.clone(), counter.clone()))?;
        Some(LimitRow { instance: instance.clone(), limit: limit.clone() })
    }

    /// Whether the job may not begin to run now, whoever asks.
    pub(super) fn is_blocked(&self, index: JobIx) -> bool {
        let line = self.job(index).line;
        self.queue.is_blocked(self.queue.limits_of(line)) || self.queue.is_paused(line)
    }

    /// Counters that were full have room again: bots that ask may take what was passed over.
    pub(super) fn serve_freed(&mut self, now: Timestamp, step: &mut Step) {
        if !self.queue.take_freed() {
            return;
        }
        while let Some((session, best)) = self.find_work(now) {
            self.offer(now, best, session, step);
        }
        // Jobs that stand apart are looked at one by one.
        self.fewer_bots = true;
    }

    /// The first of the bots that ask for which there is something.
    fn find_work(&mut self, now: Timestamp) -> Option<(SessionIx, JobIx)> {
        // Where no job has a key, all of a group are as good as their first.
        let asking = if self.has_keys() { self.all_asking() } else { self.queue.first_asking() };
        let mut without = FxHashSet::default();
        for session in asking {
            let class = self.session(session).class;
            if without.contains(&class) {
                continue;
            }
            if !self.finds_work(session) {
                without.insert(class);
            } else if let Some(best) = self.best_for(now, session) {
                return Some((session, best));
            }
        }
        None
    }

    /// Whether the queue has something for the bot.
    fn finds_work(&mut self, session: SessionIx) -> bool {
        let class = self.session(session).class;
        self.queue.best(class).is_some_and(|job| self.is_first(class, job))
    }
}
