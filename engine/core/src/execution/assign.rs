//! Work meets bots: a job goes only to a bot whose call is held now, and freed capacity takes the next at once.

use super::{Book, job::JobState};
use crate::{
    Effect, Fact, LeaseId, Step, Timestamp,
    queue::{JobIx, SessionIx},
};

impl Book {
    /// A job waits: it goes to the first of the bots that ask, if one may take it.
    pub(super) fn serve_waiting(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        while self.job(index).state == JobState::Queued && !self.is_blocked(index) {
            let Some(session) = self.first_asking(index) else { return };
            if self.is_kept(now, index, session) {
                self.begin_patience(now, index);
                return;
            }
            // Certain but for a job that is not loaded yet: then the bot waits for that one, and this one for them.
            let Some(best) = self.best_for(now, session) else {
                assert!(self.loading.is_some(), "at least the job itself is there for the bot");
                return;
            };
            self.offer(now, best, session, step);
            self.offer_near(now, best, session, step);
        }
    }

    /// The bot has a key from now on that it may not have had: jobs that are kept for such a bot need not wait.
    fn offer_near(&mut self, now: Timestamp, served: JobIx, index: SessionIx, step: &mut Step) {
        while !self.affinities_of(served).is_empty()
            && self.loading.is_none()
            && self.session(index).ticket.is_some()
            && let Some(next) = self.best_for(now, index)
        {
            self.offer(now, next, index, step);
        }
    }

    /// A bot asks: it gets as much as fits. What is left of its call is held, or answered at once.
    pub(super) fn fill(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        if self.takes_work(index) {
            while self.session(index).free() > 0 {
                let Some(job) = self.best_for(now, index) else { break };
                self.offer(now, job, index, step);
            }
        }
        let session = self.session(index);
        let Some(poll) = session.poll else { return };
        let held = poll.hold_until > now && (session.free() > 0 || session.hold_when_full);
        if !held {
            self.answer_soon(index);
        } else if session.ticket.is_none() && session.free() > 0 && self.takes_work(index) {
            self.ask(index);
        }
    }

    pub(super) fn offer(&mut self, now: Timestamp, job: JobIx, index: SessionIx, step: &mut Step) {
        let (id, offers) = (self.job(job).id, self.job(job).offers);
        let lease = LeaseId { job: id, attempt: offers + 1 };
        let version = self.changed();
        let (class, line) = (self.session(index).class, self.job(job).line);
        self.jobs.speak_of(job);
        self.emit(Fact::LeaseOffered { lease, session: self.session(index).id, at: now }, step);
        self.queue.taken(class, line);
        self.note_served(index, job);
        step.effects.push(Effect::JobChanged { job: id });
        self.session_mut(index).version = version;
        // Behind the others that ask: several free slots are filled in turn, not one bot after another.
        if self.session(index).ticket.is_some() {
            self.stop_asking(index);
            if self.session(index).free() > 0 {
                self.ask(index);
            }
        }
        self.answer_soon(index);
    }

    /// The offer did not reach its bot: the job waits again at its place.
    pub(super) fn withdraw(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        let job = self.job(index);
        let lease = LeaseId { job: job.id, attempt: job.offers };
        self.jobs.speak_of(index);
        let session = self.holder(index).expect("an offer that is taken back was a bot's");
        self.emit(Fact::LeaseWithdrawn { lease, session }, step);
        step.effects.push(Effect::JobChanged { job: lease.job });
        self.serve_waiting(now, index, step);
    }

    fn ask(&mut self, index: SessionIx) {
        let (class, score) = (self.session(index).class, self.waits_with(index));
        let ticket = self.queue.wait(class, index, score);
        self.session_mut(index).ticket = Some(ticket);
    }

    pub(super) fn stop_asking(&mut self, index: SessionIx) {
        if let Some(ticket) = self.session_mut(index).ticket.take() {
            let (class, score) = (self.session(index).class, self.waits_with(index));
            self.queue.stop_waiting(class, ticket, score);
        }
    }
}
