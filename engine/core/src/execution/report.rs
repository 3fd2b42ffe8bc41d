//! What a bot says of a lease. The report of an older attempt, or of a lease that is not its own, changes
//! nothing.

use super::{
    Book,
    job::{JobState, Told},
    session::UNAVAILABLE,
};
use crate::{
    AttemptReason, Effect, Fact, LeaseId, LeaseReport, Outcome, ReportedState, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

/// `google.rpc.Code.INTERNAL`.
const INTERNAL: i32 = 13;

/// Failures of the bot, not of the action: tried again.
pub(super) fn is_retried(code: i32) -> bool {
    matches!(code, INTERNAL | UNAVAILABLE)
}

impl Book {
    pub(super) fn report(&mut self, now: Timestamp, from: SessionIx, report: LeaseReport, step: &mut Step) {
        let Some(index) = self.live_lease(from, report.lease) else {
            if matches!(report.state, ReportedState::Pending | ReportedState::Active) && !broken(Mutant::GhostFreesSlot)
            {
                self.session_mut(from).ghosts.push(report.lease);
            }
            return;
        };
        if !broken(Mutant::ListedTakenBack) {
            self.lease_mut(index).told = Told::MayKnow;
        }
        match report.state {
            ReportedState::Pending => {}
            ReportedState::Active => {
                if self.jobs.details(index).started_at.is_none() {
                    let session = self.session(from).id;
                    self.emit(Fact::LeaseStarted { lease: report.lease, session, at: now }, step);
                }
            }
            ReportedState::Completed { code: 0, cacheable } => {
                self.note_attempt(from, false);
                let cacheable = cacheable && !self.job(index).do_not_cache;
                self.complete(now, index, Outcome::Reported { code: 0, cacheable }, step);
            }
            ReportedState::Completed { code, cacheable } => {
                self.note_attempt(from, true);
                self.failed(now, index, code, cacheable, step);
            }
            ReportedState::CommandFailed => {
                // What the client wants to see is no failure of the bot, unless the operator has it looked at.
                self.note_attempt(from, self.settings.ask_command_failed);
                if self.asks_after(index, AttemptReason::CommandFailed, 0) {
                    self.ask_after(now, index, AttemptReason::CommandFailed, 0, step);
                } else {
                    self.complete(now, index, Outcome::Reported { code: 0, cacheable: false }, step);
                }
            }
            ReportedState::Cancelled => {
                self.note_attempt(from, true);
                self.lose_bot(now, index, step);
            }
        }
    }

    /// The bot reported an error.
    fn failed(&mut self, now: Timestamp, index: JobIx, code: i32, cacheable: bool, step: &mut Step) {
        if self.asks_after(index, AttemptReason::Reported, code) {
            self.ask_after(now, index, AttemptReason::Reported, code, step);
        } else if is_retried(code) {
            self.lose_attempt(now, index, code, step);
        } else {
            let cacheable = cacheable && !self.job(index).do_not_cache;
            self.complete(now, index, Outcome::Reported { code, cacheable }, step);
        }
    }

    /// The bot is gone, or gave the lease up.
    pub(super) fn lose_bot(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        if self.asks_after(index, AttemptReason::BotLost, UNAVAILABLE) {
            self.ask_after(now, index, AttemptReason::BotLost, UNAVAILABLE, step);
        } else {
            self.lose_attempt(now, index, UNAVAILABLE, step);
        }
    }

    /// The attempt failed and counts: the job waits again at its old place, or has used up its attempts.
    fn lose_attempt(&mut self, now: Timestamp, index: JobIx, code: i32, step: &mut Step) {
        let job = self.job(index);
        let lease = LeaseId { job: job.id, attempt: job.offers };
        let attempts = self.jobs.details(index).attempts_used + 1;
        self.jobs.speak_of(index);
        if attempts >= self.settings.attempts_max && !broken(Mutant::AttemptsUnbounded) {
            self.complete(now, index, Outcome::AttemptsExhausted { code }, step);
            return;
        }
        let session = self.holder(index).expect("an attempt that ends was a bot's");
        self.emit(Fact::AttemptLost { lease, session, code, at: now }, step);
        step.effects.push(Effect::JobChanged { job: lease.job });
        self.serve_waiting(now, index, step);
    }

    /// The job, if this very lease is live and is with this very session.
    fn live_lease(&self, from: SessionIx, lease: LeaseId) -> Option<JobIx> {
        // Nearly always it is among the few that the bot has: no need to look it up among all.
        let few = self.session(from).jobs.iter().copied().take(8).find(|index| self.job(*index).id == lease.job);
        let index = few.or_else(|| self.job_ix(lease.job))?;
        let job = self.job(index);
        if broken(Mutant::FenceIgnored) {
            return matches!(job.state, JobState::Leased(_)).then_some(index);
        }
        let live = matches!(job.state, JobState::Leased(live) if live.session == from);
        (live && job.offers == lease.attempt).then_some(index)
    }
}
