//! Jobs and their limits: what is kept of them, and who is served when a counter that was full has room again. How the
//! queue passes jobs over is in `queue/limit.rs`.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::Book;
use crate::{
    Limit, Step, Timestamp,
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
