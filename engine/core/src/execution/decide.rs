//! After an attempt that failed: where a policy wants to be asked, the job waits for its answer and holds no bot; the
//! answer, or the built-in rule if there is none in time, says what becomes of the job.
//!
//! That a job keeps away from bots that failed it is in `avoid`, what becomes of a bot that is to blame is in
//! `quarantine`.

use std::time::Duration;

use super::{Book, TICK_MAX, job::JobState, report::is_retried};
use crate::{
    Asking, AttemptAction, AttemptAsked, AttemptDecided, AttemptFailed, AttemptReason, Decided, Effect, Fact,
    FailedAttempt, InstanceName, Outcome, PropertySet, Question, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

/// A policy has this long to answer; then the built-in rule decides.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// The longest time for which a policy may put a job off.
const DELAY_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// `google.rpc.Code.FAILED_PRECONDITION`: the client must do something, so that no policy is asked.
const FAILED_PRECONDITION: i32 = 9;

/// `google.rpc.Code.DEADLINE_EXCEEDED`.
const DEADLINE_EXCEEDED: i32 = 4;

/// What another attempt is to be like.
struct Retry {
    after: Duration,
    elsewhere: bool,
    requirements: Option<PropertySet>,
    counts: bool,
}

impl Book {
    /// Which questions of the instance somebody answers from now on. Open ones stay open.
    pub(super) fn set_asking(&mut self, now: Timestamp, instance: InstanceName, asking: Asking, step: &mut Step) {
        self.set_unmatched_asking(now, &instance, asking.unmatched);
        if asking == Asking::default() {
            self.asking.remove(&instance);
        } else {
            self.asking.insert(instance.clone(), asking);
        }
        self.set_matching(now, &instance, asking.matching, step);
    }

    /// Whether a policy is asked after such an end.
    pub(super) fn asks_after(&self, index: JobIx, reason: AttemptReason, code: i32) -> bool {
        if self.asking.is_empty() {
            return false;
        }
        let wanted = match reason {
            AttemptReason::Reported => code != FAILED_PRECONDITION,
            AttemptReason::CommandFailed => self.settings.ask_command_failed,
            AttemptReason::BotLost | AttemptReason::Timeout => true,
        };
        wanted && self.asking.get(self.instance_of(index)).is_some_and(|asking| asking.attempts)
    }

    /// The attempt is over; the job waits for a decision, and its bot is free of it.
    pub(super) fn ask_after(
        &mut self,
        now: Timestamp,
        index: JobIx,
        reason: AttemptReason,
        code: i32,
        step: &mut Step,
    ) {
        let job = self.job(index);
        let JobState::Leased(live) = job.state else { panic!("an attempt that fails has a lease") };
        let lease = job.lease();
        let (bot, record) = (self.session(live.session), self.records.of(live.session));
        let since = self.jobs.details(index).started_at.unwrap_or(live.offered_at);
        let failed = FailedAttempt {
            reason,
            code,
            bot_id: bot.bot_id().into(),
            took: now.since(since),
            bot_failures: record.failures(),
            bot_attempts: record.attempts(),
            at: now,
        };
        let session = bot.id;
        self.emit(Fact::AttemptFailed(Box::new(AttemptFailed { lease, session, failed })), step);
        if broken(Mutant::DecidingKeepsSlot) {
            self.session_mut(live.session).ghosts.push(lease);
        }
        step.effects.push(Effect::JobChanged { job: lease.job });
        self.pose(now, index, step);
    }

    /// The attempt took longer than it may. Its bot learns that the lease is over, and is busy until it lets go.
    pub(super) fn time_out(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        let job = self.job(index);
        let JobState::Leased(live) = job.state else { panic!("what runs too long has a lease") };
        let lease = job.lease();
        self.note_attempt(live.session, true);
        if self.asks_after(index, AttemptReason::Timeout, DEADLINE_EXCEEDED) {
            self.ask_after(now, index, AttemptReason::Timeout, DEADLINE_EXCEEDED, step);
            self.leave_ghost(live.session, lease);
        } else {
            self.stop(now, index, Outcome::ExecutionTimeout, step);
        }
    }

    /// Deadlines of jobs that wait, but not for a bot.
    pub(super) fn look_at_pending(&mut self, now: Timestamp, step: &mut Step) {
        for _ in 0..TICK_MAX {
            let Some((at, index)) = self.pending.first().copied() else { return };
            if at > now {
                return;
            }
            match self.job(index).state {
                JobState::Deciding { asked } => self.question_due(now, index, asked, step),
                JobState::Delayed { until } if until <= now => self.end_delay(now, index, step),
                JobState::Delayed { .. } => self.stop(now, index, Outcome::QueueTimeout, step),
                JobState::Queued | JobState::Leased(_) | JobState::Completed { .. } => {
                    panic!("only a job that is decided or delayed has such a deadline")
                }
            }
        }
    }

    /// The deadline of a question. After a restart nobody has been asked yet: then it is time to ask.
    fn question_due(&mut self, now: Timestamp, index: JobIx, asked: bool, step: &mut Step) {
        if !asked {
            self.pose(now, index, step);
        } else if broken(Mutant::NoAnswerDeadline) {
            self.set_due(index, None);
        } else {
            self.decide_built_in(now, index, step);
        }
    }

    /// Asks, and waits for the answer no longer than it may take.
    fn pose(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        self.job_mut(index).state = JobState::Deciding { asked: true };
        self.set_due(index, Some(now.after(ANSWER_WITHIN)));
        let asked = self.attempt_asked(index);
        step.effects.push(Effect::Ask(Question::Attempt(Box::new(asked))));
    }

    /// A policy answered. An answer to a question that is not the open one comes too late.
    pub(super) fn decided(&mut self, now: Timestamp, decided: Decided, step: &mut Step) {
        let Some(index) = self.job_ix(decided.job) else { return };
        let job = self.job(index);
        let open = matches!(job.state, JobState::Deciding { .. })
            && self.setbacks_of(index).is_some_and(|setbacks| setbacks.revision == decided.revision);
        let stale_taken = broken(Mutant::StaleVerdictTaken) && matches!(job.state, JobState::Deciding { .. });
        if !open && !stale_taken {
            return;
        }
        let Some(verdict) = decided.verdict else { return self.decide_built_in(now, index, step) };
        let failed = self.open_question(index);
        let (bot_id, code) = (failed.bot_id.clone(), failed.code);
        let instance = self.instance_of_bot(index, &bot_id);
        let outcome = ended_as_reported(failed);
        // First, so that the job does not go straight back to the bot that is to blame.
        if !verdict.quarantine.is_zero() {
            self.quarantine(now, instance, bot_id, verdict.quarantine, step);
        }
        match verdict.action {
            AttemptAction::Retry { after, elsewhere, requirements, counts } => {
                self.retry(now, index, Retry { after, elsewhere, requirements, counts }, step);
            }
            AttemptAction::Fail { .. } => self.complete(now, index, Outcome::Failed { code }, step),
            AttemptAction::Complete => self.complete(now, index, outcome, step),
        }
    }

    /// As where no policy is asked.
    fn decide_built_in(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        let failed = self.open_question(index);
        let again = match failed.reason {
            AttemptReason::BotLost => true,
            AttemptReason::Reported => is_retried(failed.code),
            AttemptReason::Timeout | AttemptReason::CommandFailed => false,
        };
        if again {
            let retry = Retry { after: Duration::ZERO, elsewhere: false, requirements: None, counts: true };
            self.retry(now, index, retry, step);
        } else {
            let outcome = ended_as_reported(failed);
            self.complete(now, index, outcome, step);
        }
    }

    /// Another attempt, unless there were too many: of those that count, or of all, so that nothing goes on for ever.
    fn retry(&mut self, now: Timestamp, index: JobIx, retry: Retry, step: &mut Step) {
        let code = self.open_question(index).code;
        let job = self.job(index);
        let used = self.jobs.details(index).attempts_used + u32::from(retry.counts);
        let failures = self.setbacks_of(index).map_or(0, |setbacks| setbacks.failures);
        let too_many = failures >= self.settings.failures_max && !broken(Mutant::FailuresUnbounded);
        if used >= self.settings.attempts_max || too_many {
            self.complete(now, index, Outcome::AttemptsExhausted { code }, step);
            return;
        }
        let until = (!retry.after.is_zero()).then(|| now.after(retry.after.min(DELAY_MAX)));
        let (needed, _) = self.queue.requirements(job.line);
        let requirements = retry.requirements.filter(|amended| amended != needed);
        let decided = AttemptDecided {
            job: job.id,
            at: now,
            counts: retry.counts || broken(Mutant::UncountedCounts),
            until: until.filter(|_| !broken(Mutant::DelayIgnored)),
            elsewhere: retry.elsewhere,
            requirements,
        };
        self.emit(Fact::AttemptDecided(Box::new(decided)), step);
        self.serve_waiting(now, index, step);
    }

    /// A job that was put off stands in the queue again.
    fn end_delay(&mut self, now: Timestamp, index: JobIx, step: &mut Step) {
        let job = self.job(index).id;
        self.emit(Fact::DelayEnded { job, at: now }, step);
        self.serve_waiting(now, index, step);
    }

    /// A bot's attempt is over, for better or worse.
    pub(super) fn note_attempt(&mut self, session: SessionIx, failed: bool) {
        // Only a policy wants to know.
        if !self.asking.is_empty() {
            self.records.note(session, failed);
        }
    }

    pub(super) fn open_question(&self, index: JobIx) -> &FailedAttempt {
        let setbacks = self.setbacks_of(index);
        setbacks.and_then(|setbacks| setbacks.question.as_ref()).expect("a job that is being decided has a question")
    }

    fn attempt_asked(&self, index: JobIx) -> AttemptAsked {
        let job = self.job(index);
        let setbacks = self.setbacks_of(index).expect("a job that is being decided has setbacks");
        let details = self.jobs.details(index);
        let (requirements, label) = self.queue.requirements(job.line);
        AttemptAsked {
            lease: job.lease(),
            revision: setbacks.revision,
            instance: self.instance_of(index).clone(),
            action: details.action,
            label: label.clone(),
            requirements: requirements.clone(),
            failed: self.open_question(index).clone(),
            counted: details.attempts_used + 1,
            counted_max: self.settings.attempts_max,
            failed_bots: u32::try_from(setbacks.failed_on.len()).expect("no more than are remembered"),
        }
    }
}

/// How the job ends if it ends with this attempt.
fn ended_as_reported(failed: &FailedAttempt) -> Outcome {
    match failed.reason {
        AttemptReason::Reported => Outcome::Reported { code: failed.code, cacheable: false },
        AttemptReason::CommandFailed => Outcome::Reported { code: 0, cacheable: false },
        AttemptReason::BotLost => Outcome::AttemptsExhausted { code: failed.code },
        AttemptReason::Timeout => Outcome::ExecutionTimeout,
    }
}
