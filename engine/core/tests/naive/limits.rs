//! Counters with bounds: counted anew each time.

use super::*;
use berth_core::{LimitState, Submit};

/// Instance and name of a counter.
pub(super) type Name = (InstanceName, Arc<str>);

pub(super) type Counter = (Name, Arc<Limit>);

impl Naive {
    pub(super) fn set_limits(&mut self, instance: &InstanceName, limits: &[Arc<Limit>]) {
        for limit in limits {
            let key = (instance.clone(), limit.name.clone());
            let was_full = self.is_full(&key);
            self.limits.retain(|(known, _)| *known != key);
            self.limits.push((key.clone(), limit.clone()));
            if was_full && !self.is_full(&key) {
                self.freed.push(key);
            }
        }
    }

    /// Jobs of the counter that run, and that are not over and do not.
    pub(super) fn counts(&self, (instance, name): &(InstanceName, Arc<str>)) -> (u32, u32) {
        let mine = |job: &&Job| job.instance == *instance && job.limits.iter().any(|limit| limit.name == *name);
        let live = self.jobs.iter().filter(mine).filter(|job| !matches!(job.state, State::Completed { .. }));
        let (running, waiting): (Vec<_>, Vec<_>) = live.partition(|job| matches!(job.state, State::Leased { .. }));
        (running.len() as u32, waiting.len() as u32)
    }

    pub(super) fn numbers(&self, key: &(InstanceName, Arc<str>)) -> Option<&Limit> {
        let mut known = self.set_limits.iter().chain(&self.limits);
        known.find(|(known, _)| known == key).map(|(_, limit)| &**limit)
    }

    /// An operator sets the numbers of a counter, or lets those of its jobs hold.
    pub(super) fn set_limit(&mut self, instance: &InstanceName, counter: &Arc<str>, limit: Option<&Arc<Limit>>) {
        let key = (instance.clone(), counter.clone());
        if self.set_limits.iter().find(|(known, _)| *known == key).map(|(_, limit)| limit) == limit {
            return;
        }
        let was_full = self.is_full(&key);
        self.set_limits.retain(|(known, _)| *known != key);
        self.set_limits.extend(limit.map(|limit| (key.clone(), limit.clone())));
        if was_full && !self.is_full(&key) {
            self.freed.push(key.clone());
        }
        let (instance, counter) = key;
        self.facts.push(Fact::LimitSet { instance, counter, limit: limit.cloned() });
    }

    pub(super) fn limit_rows(&self) -> Vec<LimitRow> {
        let row = |((instance, _), limit): &Counter| LimitRow { instance: instance.clone(), limit: limit.clone() };
        self.set_limits.iter().map(row).collect()
    }

    fn is_full(&self, key: &(InstanceName, Arc<str>)) -> bool {
        self.max_of(key).is_some_and(|max| self.counts(key).0 >= max)
    }

    /// The most that may run, less what was evicted lately.
    fn max_of(&self, key: &Name) -> Option<u32> {
        let limit = self.numbers(key)?;
        let max = limit.max_running?;
        Some(max.saturating_sub(self.cooling(key)).max(limit.min_running.min(max)))
    }

    pub(super) fn cooling(&self, key: &Name) -> u32 {
        self.cooling.iter().filter(|(of, _)| of == key).count() as u32
    }

    /// No eviction that ended by then counts any more.
    pub(super) fn end_cooling(&mut self, key: &Name, at: Timestamp) {
        let was_full = self.is_full(key);
        self.cooling.retain(|(of, until)| of != key || *until > at);
        if was_full && !self.is_full(key) {
            self.freed.push(key.clone());
        }
    }

    /// Whether a job belongs to the counter: one that waits, runs, or is remembered.
    fn is_named(&self, (instance, name): &(InstanceName, Arc<str>)) -> bool {
        self.jobs.iter().any(|job| job.instance == *instance && job.limits.iter().any(|limit| limit.name == *name))
    }

    pub(super) fn keys(job: &Job) -> impl Iterator<Item = (InstanceName, Arc<str>)> + '_ {
        job.limits.iter().map(|limit| (job.instance.clone(), limit.name.clone()))
    }

    pub fn is_blocked(&self, job: &Job) -> bool {
        Self::keys(job).any(|key| self.is_full(&key)) || self.is_paused(job)
    }

    pub(super) fn is_owed(&self, job: &Job) -> bool {
        Self::keys(job).any(|key| self.numbers(&key).is_some_and(|limit| self.counts(&key).0 < limit.min_running))
    }

    pub(super) fn too_many(&self, submit: &Submit) -> Option<LimitState> {
        submit.limits.iter().find_map(|limit| {
            let (running, waiting) = self.counts(&(submit.instance.clone(), limit.name.clone()));
            let reached = limit.max_queued.is_some_and(|max| waiting >= max);
            let cooling = self.cooling(&(submit.instance.clone(), limit.name.clone()));
            reached.then(|| LimitState { limit: limit.clone(), running, waiting, cooling })
        })
    }

    /// The job runs, and is about to run no more.
    pub(super) fn note_freed(&mut self, job: JobId) {
        let job = self.job(job).expect("the model names jobs that it has");
        let would_free = |key: &(InstanceName, Arc<str>)| {
            self.is_full(key) && self.max_of(key).is_some_and(|max| self.counts(key).0 - 1 < max)
        };
        let freed: Vec<_> = Self::keys(job).filter(would_free).collect();
        self.freed.extend(freed);
    }

    /// A counter that its last job has left is gone, whoever names it later: nothing was passed over for it, and it has
    /// waited for nothing.
    pub(super) fn forget_unnamed(&mut self) {
        let freed = std::mem::take(&mut self.freed);
        self.freed = freed.into_iter().filter(|key| self.is_named(key)).collect();
        let hungry = std::mem::take(&mut self.hungry);
        self.hungry = hungry.into_iter().filter(|hungry| self.is_named(&hungry.name)).collect();
    }

    /// After each event: where a counter has room again, bots that ask are served as they came.
    pub(super) fn serve_freed(&mut self, now: Timestamp) {
        self.forget_unnamed();
        let freed = std::mem::take(&mut self.freed);
        if !freed.iter().any(|key| !self.is_full(key)) {
            return;
        }
        loop {
            let mut asking: Vec<_> =
                self.sessions.iter().filter_map(|s| Some((Reverse(s.score), s.ticket?, s.id))).collect();
            asking.sort();
            let plain = |job: &Job| job.setbacks.as_ref().is_none_or(|setbacks| !setbacks.elsewhere);
            let served = asking.into_iter().find_map(|(_, _, id)| {
                self.best_of(id, plain)?;
                Some((id, self.best(now, id)?))
            });
            let Some((id, best)) = served else { return };
            self.offer(now, best, id);
        }
    }
}
