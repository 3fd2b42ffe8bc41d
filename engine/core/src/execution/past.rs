//! Attempts that ended and gave no result, for those who ask how a job fared. Most jobs have none and pay nothing; what an
//! attempt with a result did is in the job's row and in the result.

use super::{Book, job::JobState};
use crate::{
    AttemptEnd, Outcome, PastAttempt, Timestamp,
    mutant::{Mutant, broken},
    queue::JobIx,
};

/// So many attempts of a job are remembered, the newest: a job that a policy has tried for ever has a row of bounded size.
pub const PAST_ATTEMPTS_MAX: usize = 16;

impl Book {
    /// The job's live attempt ends now. To be called while its lease is still there.
    pub(super) fn note_past(&mut self, index: JobIx, ended_at: Timestamp, end: AttemptEnd) {
        let job = self.job(index);
        let JobState::Leased(live) = job.state else { return };
        if broken(Mutant::PastForgotten) {
            return;
        }
        let bot_id = self.session(live.session).bot_id().into();
        let attempt = PastAttempt { attempt: job.offers, bot_id, offered_at: live.offered_at, ended_at, end };
        let past = self.past.entry(index).or_default();
        if past.len() == PAST_ATTEMPTS_MAX {
            past.remove(0);
        }
        past.push(attempt);
    }

    /// The same where the job ends with it: a result speaks for itself.
    pub(super) fn note_last(&mut self, index: JobIx, at: Timestamp, outcome: Outcome) {
        let end = match outcome {
            Outcome::Reported { .. } | Outcome::Cached => return,
            Outcome::AttemptsExhausted { code } | Outcome::Failed { code } => AttemptEnd::Failed { code },
            Outcome::Cancelled | Outcome::QueueTimeout | Outcome::ExecutionTimeout | Outcome::Refused => {
                AttemptEnd::Stopped
            }
        };
        self.note_past(index, at, end);
    }

    /// The job's attempts that gave no result, oldest first.
    pub(super) fn past_of(&self, index: JobIx) -> Vec<PastAttempt> {
        if self.past.is_empty() {
            return Vec::new();
        }
        self.past.get(&index).cloned().unwrap_or_default()
    }

    pub(super) fn restore_past(&mut self, index: JobIx, past: Vec<PastAttempt>) {
        if !past.is_empty() && !broken(Mutant::RestoreForgetsPast) {
            self.past.insert(index, past);
        }
    }
}
