//! Asking a plugin about a job's life: may it come in, may it be queued, what after a failure, how long is it kept.

use std::time::Duration;

use berth_core::{AttemptAction, AttemptReason, Verdict};
use berth_runtime::policy::PolicyError;
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, PruneQuestion, QueueAmendments, QueueQuestion,
};

use crate::bindings::v1::types::{PropertyParam, PropertyResult};
use crate::bindings::v1::{after_attempt, before_prune, create_job, queue_job};
use crate::convert::{
    canonical, checked_properties, checked_refusal, checked_set, checked_text, checked_wait, millis, pairs_for_guest,
    requester_for_guest, set_for_guest, texts_for_guest,
};
use crate::fault::Fault;
use crate::instance::cut;
use crate::plugin::{Call, EXPORTED, Plugin, Unanswered};
use crate::stats::Function;

/// Jobs in one call of `before-prune`.
pub(crate) const PRUNE_JOBS_MAX: usize = 256;
/// What the contract says of texts about an attempt.
const MESSAGE_BYTES_MAX: usize = 1024;

impl Plugin {
    /// May this come in?
    pub(crate) fn before_create_job(
        &self,
        question: &CreateQuestion<'_>,
    ) -> Result<Result<CreateAmendments, PolicyError>, Unanswered> {
        self.count_questions(Function::BeforeCreateJob, 1);
        let platform = match canonical(question.platform) {
            Ok(platform) => pairs_for_guest(&platform),
            Err(refused) => return Ok(Err(refused)),
        };
        let arguments = texts_for_guest(question.arguments.iter().map(String::as_str));
        // A name without its value, or the reverse, does not occur: a pair is cut off as one.
        let variables = question.environment.iter().map(|(name, _)| name.as_str());
        let environment: Vec<PropertyParam<'_>> = texts_for_guest(variables)
            .into_iter()
            .zip(texts_for_guest(question.environment.iter().map(|(_, value)| value.as_str())))
            .map(|(name, value)| PropertyParam { name, value })
            .collect();
        self.call(
            Call::of(Function::BeforeCreateJob, question.requester.instance),
            |live| {
                let guest = live.guests.create_job.as_ref().expect(EXPORTED);
                let question = create_job::Question {
                    requester: requester_for_guest(&question.requester),
                    action_digest: question.action_digest,
                    arguments: &arguments,
                    environment: &environment,
                    platform: &platform,
                    priority: question.priority,
                    timeout_ms: question.timeout.map(millis),
                    do_not_cache: question.do_not_cache,
                    input_bytes: question.input_bytes,
                };
                guest.call_before_create_job(&mut live.store, question)
            },
            |answer| match answer {
                Ok(amendments) => Ok(Ok(checked_create(amendments)?)),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        )
    }

    /// May it be queued?
    pub(crate) fn before_queue_job(
        &self,
        question: &QueueQuestion<'_>,
    ) -> Result<Result<QueueAmendments, PolicyError>, Unanswered> {
        self.count_questions(Function::BeforeQueueJob, 1);
        let requirements = set_for_guest(question.requirements);
        self.call(
            Call::of(Function::BeforeQueueJob, question.requester.instance),
            |live| {
                let guest = live.guests.queue_job.as_ref().expect(EXPORTED);
                let question = queue_job::Question {
                    requester: requester_for_guest(&question.requester),
                    action_digest: question.action_digest,
                    label: question.label,
                    requirements: &requirements,
                    lane: question.lane,
                    rank: question.rank,
                    bots: question.bots,
                };
                guest.call_before_queue_job(&mut live.store, question)
            },
            |answer| match answer {
                Ok(amendments) => Ok(Ok(QueueAmendments {
                    rank: amendments.rank,
                    queue_timeout: queue_timeout(amendments.queue_timeout_ms)?,
                })),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        )
    }

    /// What now?
    pub(crate) fn after_attempt(&self, question: &AttemptQuestion<'_>) -> Result<Verdict, Unanswered> {
        self.count_questions(Function::AfterAttempt, 1);
        let requirements = set_for_guest(question.requirements);
        self.call(
            Call::of(Function::AfterAttempt, question.requester.instance),
            |live| {
                let guest = live.guests.after_attempt.as_ref().expect(EXPORTED);
                let question = after_attempt::Question {
                    requester: requester_for_guest(&question.requester),
                    job: question.job,
                    action_digest: question.action_digest,
                    label: question.label,
                    requirements: &requirements,
                    reason: reason(question.reason),
                    // Codes are small numbers; what is not one is unknown to everybody.
                    code: u32::try_from(question.code).unwrap_or(2),
                    message: cut(question.message, MESSAGE_BYTES_MAX),
                    exit_code: question.exit_code,
                    attempt: question.attempt,
                    counted: question.counted,
                    counted_max: question.counted_max,
                    took_ms: millis(question.took),
                    peak_memory_bytes: question.peak_memory_bytes,
                    bot_id: question.bot_id,
                    bot_failures: question.bot_failures,
                    bot_attempts: question.bot_attempts,
                    failed_bots: question.failed_bots,
                };
                guest.call_after_attempt(&mut live.store, question)
            },
            checked_verdict,
        )
    }

    /// How much longer each is kept; at most [`PRUNE_JOBS_MAX`] of them.
    pub(crate) fn before_prune(&self, questions: &[PruneQuestion<'_>]) -> Result<Vec<Duration>, Unanswered> {
        self.count_questions(Function::BeforePrune, questions.len());
        // Owned records, so that they can be lent as a list.
        let jobs: Vec<before_prune::Job<'_>> = questions.iter().map(finished_for_guest).collect();
        let instance = questions.first().map_or("", |question| question.requester.instance);
        self.call(
            Call::of(Function::BeforePrune, instance),
            |live| {
                let guest = live.guests.before_prune.as_ref().expect(EXPORTED);
                guest.call_before_prune(&mut live.store, &jobs)
            },
            |kept| {
                if kept.len() != questions.len() {
                    return Err(Fault::nonsense(format!("{} answers for {} jobs", kept.len(), questions.len())));
                }
                kept.into_iter().map(|ms| checked_wait("the time to keep a job", ms, 0)).collect()
            },
        )
    }
}

fn finished_for_guest<'a>(question: &'a PruneQuestion<'_>) -> before_prune::Job<'a> {
    before_prune::Job {
        requester: requester_for_guest(&question.requester),
        job: question.job,
        action_digest: question.action_digest,
        code: u32::try_from(question.code).unwrap_or(2),
        ended_ms: millis(question.ended),
    }
}

fn checked_create(amendments: create_job::Amendments) -> Result<CreateAmendments, Fault> {
    let pairs = |platform: Vec<PropertyResult>| -> Result<Vec<(String, String)>, Fault> {
        checked_properties(&platform)?;
        Ok(platform.into_iter().map(|property| (property.name, property.value)).collect())
    };
    Ok(CreateAmendments {
        platform: amendments.platform.map(pairs).transpose()?,
        priority: amendments.priority,
        timeout: amendments.timeout_ms.map(|ms| checked_wait("the timeout of the action", ms, 1)).transpose()?,
        queue_timeout: queue_timeout(amendments.queue_timeout_ms)?,
    })
}

fn queue_timeout(ms: Option<u64>) -> Result<Option<Duration>, Fault> {
    ms.map(|ms| checked_wait("the time that a job may wait for a bot", ms, 1)).transpose()
}

fn reason(reason: AttemptReason) -> after_attempt::Reason {
    match reason {
        AttemptReason::Reported => after_attempt::Reason::Reported,
        AttemptReason::BotLost => after_attempt::Reason::BotLost,
        AttemptReason::Timeout => after_attempt::Reason::Timeout,
        AttemptReason::CommandFailed => after_attempt::Reason::CommandFailed,
    }
}

fn checked_verdict(verdict: after_attempt::Verdict) -> Result<Verdict, Fault> {
    let action = match verdict.action {
        after_attempt::Action::Retry(retry) => AttemptAction::Retry {
            after: checked_wait("the wait before a retry", retry.after_ms, 0)?,
            elsewhere: retry.elsewhere,
            requirements: retry.requirements.map(checked_set).transpose()?,
            counts: retry.counts,
        },
        after_attempt::Action::Fail(message) => AttemptAction::Fail {
            message: checked_text("the message of a failure", message, MESSAGE_BYTES_MAX)?.into(),
        },
        after_attempt::Action::Complete => AttemptAction::Complete,
    };
    Ok(Verdict { action, quarantine: checked_wait("a quarantine", verdict.quarantine_bot_ms, 0)? })
}
