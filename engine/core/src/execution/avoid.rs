//! Jobs that keep away from bots that failed them, as long as another bot may take them.
//!
//! They are few, so they stand apart from the queue: whoever looks for work compares them with the best of the queue,
//! one by one. The order is that of all jobs: as if they stood in their lanes.

use std::cmp::Ordering;

use super::{Book, job::JobState};
use crate::{
    BotStatus, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, RequirementIx, SessionIx},
};

impl Book {
    /// The job begins to wait.
    pub(super) fn begin_wait(&mut self, index: JobIx) {
        let spot = self.spot(index);
        self.queue.count_queued(spot.line, true);
        if self.is_picky(index) {
            self.picky.insert(spot.place.1, index);
        } else {
            self.queue.push(spot, index);
            self.list_keys(index, true);
        }
    }

    /// The job waits no more.
    pub(super) fn end_wait(&mut self, index: JobIx) {
        self.queue.count_queued(self.job(index).line, false);
        if self.is_picky(index) {
            let (_, age) = self.spot(index).place;
            self.picky.remove(&age).expect("a job that keeps away from bots and waits stands apart");
            return;
        }
        self.list_keys(index, false);
        // Mostly it stands in front: then its details, which are far away, need not be read.
        if !self.queue.remove_from_front(self.job(index).line, index) {
            self.queue.remove(self.spot(index));
        }
    }

    /// The job that this bot should take now.
    pub(super) fn best_for(&mut self, now: Timestamp, index: SessionIx) -> Option<JobIx> {
        let first = self.first_for(index)?;
        let first = self.chosen(now, index, first);
        self.nearest(now, index, first)
    }

    /// The job that goes first among those that the bot may take, whatever policies and keys say.
    pub(super) fn first_for(&mut self, index: SessionIx) -> Option<JobIx> {
        let class = self.session(index).class;
        let best = self.queue.best(class);
        let best = if self.picky.is_empty() {
            best
        } else {
            let picky = self.picky.values().copied().filter(|job| self.may_take(index, *job));
            picky.chain(best).min_by(|one, other| self.order(*one, *other))
        };
        best.filter(|job| self.is_first(class, *job))
    }

    /// Bots went away or take no work any more: jobs that kept away from others for their sake may have to do without.
    pub(super) fn serve_picky(&mut self, now: Timestamp, step: &mut Step) {
        if !std::mem::take(&mut self.fewer_bots) || self.picky.is_empty() {
            return;
        }
        for job in self.picky.values().copied().collect::<Vec<_>>() {
            self.serve_waiting(now, job, step);
        }
    }

    /// Whether the bots that a job keeps away from are all that there are.
    pub(super) fn avoids(&self, index: JobIx, session: SessionIx) -> bool {
        let class = self.class_of(index);
        let failed_on = |session: SessionIx| {
            let bot = self.session(session).bot_id();
            self.setbacks_of(index).is_some_and(|setbacks| setbacks.failed_on.iter().any(|failed| **failed == *bot))
        };
        if !self.is_picky(index) || !failed_on(session) || broken(Mutant::AvoidedBotServed) {
            return false;
        }
        let others = (0..self.sessions.capacity()).filter(|at| self.sessions.contains(*at));
        let mut others = others.map(|at| SessionIx(at as u32)).filter(|other| !failed_on(*other));
        others.any(|other| self.queue.serves(self.session(other).class, class) && self.is_willing(other))
            || broken(Mutant::AvoidedForEver)
    }

    /// Whether the bot gets work when it asks: it is well, and nobody took it out of service.
    pub(super) fn is_willing(&self, index: SessionIx) -> bool {
        let session = self.session(index);
        (session.status == BotStatus::Ok || broken(Mutant::UnwellGetsWork))
            && (broken(Mutant::DrainIgnored) || !self.is_drained(session))
            && !self.is_quarantined(session)
    }

    /// Its requirement class.
    pub(super) fn class_of(&self, index: JobIx) -> RequirementIx {
        self.queue.line(self.job(index).line).0
    }

    /// Whether there are bots that the job keeps away from. Does not change while it waits.
    pub(super) fn is_picky(&self, index: JobIx) -> bool {
        self.setbacks_of(index).is_some_and(|setbacks| setbacks.elsewhere)
    }

    pub(super) fn may_take(&self, session: SessionIx, index: JobIx) -> bool {
        self.queue.serves(self.session(session).class, self.class_of(index))
            && !self.avoids(index, session)
            && !self.is_blocked(index)
    }

    pub(super) fn order(&self, one: JobIx, other: JobIx) -> Ordering {
        self.queue.compare(self.spot(one), self.spot(other))
    }
}

impl JobState {
    /// Whether the job waits, in whatever way.
    pub(super) fn is_waiting(self) -> bool {
        match self {
            Self::Queued | Self::Deciding { .. } | Self::Delayed { .. } => true,
            Self::Leased(_) | Self::Completed { .. } => false,
        }
    }
}
