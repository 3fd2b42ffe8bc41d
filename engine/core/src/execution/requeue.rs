//! Operators take jobs from their bots: one job, or all that a bot has together with its session. The jobs wait again at
//! their old places. The bot is told that its leases are over, and a slot stays busy until it lets go.

use super::{
    Book, LEASES_AT_A_TIME,
    job::{JobState, Told},
};
use crate::{
    Effect, Fact, JobId, Rejection, SessionEnd, SessionId, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::JobIx,
};

impl Book {
    pub(super) fn requeue_job(
        &mut self,
        now: Timestamp,
        job: JobId,
        counts: bool,
        step: &mut Step,
    ) -> Result<(), Rejection> {
        let index = self.job_ix(job).ok_or(Rejection::UnknownJob(job))?;
        let live = match self.job(index).state {
            JobState::Leased(live) => live,
            JobState::Queued | JobState::Deciding { .. } | JobState::Delayed { .. } => {
                return Err(Rejection::NotExecuting(job));
            }
            JobState::Completed { .. } => return Err(Rejection::UnknownJob(job)),
        };
        // First, so that the bot is not given more than it has room for: the job may go to it again.
        if !broken(Mutant::RequeueFreesSlot) {
            self.leave_ghost(live.session, self.job(index).lease());
        }
        if counts {
            self.note_attempt(live.session, true);
            self.lose_bot(now, index, step);
        } else {
            self.put_back(now, index, step);
        }
        Ok(())
    }

    /// Ends a session; of very many leases some at a time, while the bot is given nothing.
    pub(super) fn kick(&mut self, now: Timestamp, session: SessionId, step: &mut Step) -> Result<(), Rejection> {
        let index = self.session_ix(session).ok_or(Rejection::UnknownSession(session))?;
        self.stop_asking(index);
        if self.session(index).jobs.len() > LEASES_AT_A_TIME {
            for job in self.leases_at_a_time(index, |_| true) {
                self.leave_ghost(index, self.job(job).lease());
                self.put_back(now, job, step);
            }
            return Ok(());
        }
        self.take_back(now, index, Told::No, step);
        for job in self.leases_at_a_time(index, |_| true) {
            if broken(Mutant::KickCounts) {
                self.lose_bot(now, job, step);
            } else {
                self.put_back(now, job, step);
            }
        }
        self.end_session(now, index, SessionEnd::Kicked, step);
        Ok(())
    }

    /// The attempt is over by an operator's doing, and was none.
    fn put_back(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        let (lease, session): (_, SessionId) = (self.job(index).lease(), self.holder(index).expect("a bot has it"));
        self.jobs.speak_of(index);
        self.emit(Fact::LeaseRequeued { lease, session, at: now }, step);
        step.effects.push(Effect::JobChanged { job: lease.job });
        self.serve_waiting(now, index, step);
    }
}
