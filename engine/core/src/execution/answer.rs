//! Answers to bots: at the end of a batch, each call once, with all that the batch gave it.

use super::{
    Book,
    job::{JobState, Told},
};
use crate::{
    Answer, Effect, LeaseId, PollId, SessionId, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::SessionIx,
};

impl Book {
    /// The held call of the session has something to hear.
    pub(super) fn answer_soon(&mut self, index: SessionIx) {
        if let Some(poll) = &mut self.session_mut(index).poll
            && !poll.due
        {
            poll.due = true;
            self.due.push(index);
        }
    }

    pub(super) fn answer_due(&mut self, now: Timestamp) -> Vec<Answer> {
        let mut due = std::mem::take(&mut self.due);
        let answers = due.drain(..).filter_map(|index| self.answer(now, index)).collect();
        // Its room is used again.
        self.due = due;
        answers
    }

    /// A newer call takes the place of the one that is held: that one hears only what it could have heard
    /// before, so that an offer is never lost on a call that nobody listens to.
    pub(super) fn supersede(&mut self, now: Timestamp, index: SessionIx, step: &mut Step) {
        self.stop_asking(index);
        let Some(poll) = self.session_mut(index).poll.take() else { return };
        let leases = self.leases_of(index, |told| told != Told::No || broken(Mutant::SupersededHearsAll));
        let expires = now.after(self.settings.session_timeout);
        let session = self.session(index);
        let (session, version) = (session.id, session.version);
        step.effects.push(Effect::Answer(Answer { session, poll: poll.id, leases, expires, version }));
    }

    /// An answer did not reach the bot: what only that answer offered is taken back.
    pub(super) fn undelivered(&mut self, now: Timestamp, session: SessionId, poll: PollId, step: &mut Step) {
        if let Some(index) = self.session_ix(session)
            && self.session(index).answered == Some(poll)
            && !broken(Mutant::UndeliveredIgnored)
        {
            self.take_back(now, index, Told::Once, step);
        }
    }

    /// Withdraws the session's leases of which the bot was told as much as this.
    pub(super) fn take_back(&mut self, now: Timestamp, index: SessionIx, told: Told, step: &mut Step) {
        for job in self.session(index).jobs.clone() {
            let JobState::Leased(lease) = self.job(job).state else { panic!("a session holds leased jobs") };
            if lease.told == told {
                self.withdraw(now, job, step);
            }
        }
    }

    fn answer(&mut self, now: Timestamp, index: SessionIx) -> Option<Answer> {
        // The session may have ended in the same batch, and its call with it.
        let session = self.sessions.get_mut(index.0 as usize)?;
        let poll = session.poll.take_if(|poll| poll.due)?;
        session.contact = now;
        session.answered = Some(poll.id);
        for job in &session.jobs {
            if let JobState::Leased(lease) = &mut self.jobs.get_mut(*job).state {
                let first = lease.told == Told::No || broken(Mutant::ListedTakenBack);
                lease.told = if first { Told::Once } else { Told::MayKnow };
            }
        }
        self.stop_asking(index);
        self.arm(index);
        let leases = self.leases_of(index, |_| true);
        let session = self.session(index);
        let (session, version) = (session.id, session.version);
        Some(Answer { session, poll: poll.id, leases, expires: now.after(self.settings.session_timeout), version })
    }

    fn leases_of(&self, index: SessionIx, wanted: impl Fn(Told) -> bool) -> Vec<LeaseId> {
        let jobs = self.session(index).jobs.iter().map(|job| self.job(*job));
        jobs.filter(|job| matches!(job.state, JobState::Leased(lease) if wanted(lease.told)))
            .map(|job| LeaseId { job: job.id, attempt: job.offers })
            .collect()
    }
}
