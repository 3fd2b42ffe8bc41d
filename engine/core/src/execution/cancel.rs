//! Clients give up handles. A job ends when its last handle is cancelled; its bot learns at its next update,
//! or at once where it holds a call. The slot stays busy until the bot lets go.

use super::{Book, job::JobState};
use crate::{
    Effect, Fact, JobId, LeaseId, OperationId, Outcome, Rejection, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

impl Book {
    pub(super) fn cancel(&mut self, now: Timestamp, operation: OperationId, step: &mut Step) -> Result<(), Rejection> {
        let index = self.job_of(operation).ok_or(Rejection::UnknownOperation(operation))?;
        let job = self.job(index);
        if matches!(job.state, JobState::Completed { .. }) {
            return Ok(());
        }
        let row = self.known_handle(index, operation).expect("a known handle is in its job");
        if row.cancelled.is_some() {
            return Ok(());
        }
        let (id, last) = (job.id, self.handles(index).filter(|row| row.cancelled.is_none()).count() == 1);
        self.emit(Fact::OperationCancelled { operation, job: id, at: now }, step);
        if last {
            self.stop(now, index, Outcome::Cancelled, step);
        } else if !broken(Mutant::HandleEndNotTold) {
            step.effects.push(Effect::OperationCancelled { operation, job: id });
        }
        Ok(())
    }

    /// A handle that is over is forgotten, if by its job or because it was given up.
    pub(super) fn delete(&mut self, operation: OperationId, job: JobId, step: &mut Step) -> Result<(), Rejection> {
        let known = self.job_of(operation);
        if let Some(index) = known
            && !matches!(self.job(index).state, JobState::Completed { .. })
            && self.known_handle(index, operation).is_some_and(|row| row.cancelled.is_none())
        {
            return Err(Rejection::NotFinished(operation));
        }
        // Who asks may have looked before the operation joined another job.
        let job = known.map_or(job, |index| self.job(index).id);
        self.emit(Fact::OperationDeleted { operation, job }, step);
        Ok(())
    }

    /// Ends a job from our side, whether it waits or is with a bot.
    pub(super) fn stop(&mut self, now: Timestamp, index: JobIx, outcome: Outcome, step: &mut Step) {
        let job = self.job(index);
        let lease = LeaseId { job: job.id, attempt: job.offers };
        let holder = match job.state {
            JobState::Leased(live) => Some(live.session),
            JobState::Queued | JobState::Deciding { .. } | JobState::Delayed { .. } | JobState::Completed { .. } => {
                None
            }
        };
        self.complete(now, index, outcome, step);
        if let Some(holder) = holder {
            self.leave_ghost(holder, lease);
        }
    }

    /// The lease is over by our doing: its bot is told, and its slot stays busy until the bot lets go.
    pub(super) fn leave_ghost(&mut self, holder: SessionIx, lease: LeaseId) {
        let version = self.changed();
        let session = self.session_mut(holder);
        if !broken(Mutant::CancelFreesSlot) {
            session.ghosts.push(lease);
        }
        session.version = version;
        self.answer_soon(holder);
    }
}
