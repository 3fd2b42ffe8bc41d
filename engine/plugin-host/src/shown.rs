//! Questions and answers of policies as the records of cases: the form in which people write and read them.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{Affinity, AttemptAction, AttemptReason, Limit, Property, PropertySet, Verdict};
use berth_policy_cases as cases;
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, PruneQuestion, QueueAmendments, QueueQuestion, Requester,
    UnmatchedVerdict,
};
use berth_runtime::policy::{ExecutionProperties, Fit, PlaceQuestion, Placement, PolicyError, WorkerProperties};
use serde_json::Value;

use crate::owned::{OwnedPlace, OwnedPrune, Question};

/// An answer that people can read.
pub(crate) trait Shown {
    /// As JSON: an object with `answer`, or with `refusal`; null where nothing was answered.
    fn shown(&self) -> Value;
}

fn answered(answer: cases::Answer) -> Value {
    answer.to_json()
}

fn or_refused<T>(answer: &Result<T, PolicyError>, read: impl FnOnce(&T) -> cases::Answer) -> Value {
    answered(match answer {
        Ok(answer) => read(answer),
        Err(error) => cases::Answer::Refused(refusal(error.clone())),
    })
}

impl Shown for Result<Arc<ExecutionProperties>, PolicyError> {
    fn shown(&self) -> Value {
        or_refused(self, |answer| cases::Answer::ExecutionProperties(execution_answer(answer)))
    }
}

impl Shown for Result<WorkerProperties, PolicyError> {
    fn shown(&self) -> Value {
        or_refused(self, |answer| cases::Answer::WorkerProperties(worker_answer(answer)))
    }
}

impl Shown for Vec<Placement> {
    fn shown(&self) -> Value {
        let places = self.iter().map(place).collect();
        answered(cases::Answer::Place(cases::PlaceAnswer { places }))
    }
}

impl Shown for Result<CreateAmendments, PolicyError> {
    fn shown(&self) -> Value {
        or_refused(self, |answer| cases::Answer::BeforeCreateJob(create_job_answer(answer)))
    }
}

impl Shown for Result<QueueAmendments, PolicyError> {
    fn shown(&self) -> Value {
        or_refused(self, |answer| cases::Answer::BeforeQueueJob(queue_job_answer(answer)))
    }
}

impl Shown for Option<Verdict> {
    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, |given| answered(cases::Answer::AfterAttempt(verdict(given))))
    }
}

impl Shown for Option<UnmatchedVerdict> {
    fn shown(&self) -> Value {
        self.as_ref().map_or(Value::Null, |given| answered(cases::Answer::Nobody(nobody(given))))
    }
}

impl Shown for Option<Fit> {
    fn shown(&self) -> Value {
        let scores = |fit: &Fit| cases::MatchesAnswer { scores: fit.scores.clone() };
        self.as_ref().map_or(Value::Null, |fit| answered(cases::Answer::Matches(scores(fit))))
    }
}

impl Shown for Vec<Duration> {
    fn shown(&self) -> Value {
        let keep_ms = self.iter().copied().map(as_millis).collect();
        answered(cases::Answer::BeforePrune(cases::BeforePruneAnswer { keep_ms }))
    }
}

impl Question {
    /// What was asked, in the form in which it can be asked again.
    pub(crate) fn shown(&self) -> cases::Question {
        match self {
            Self::Execution { instance, platform } => {
                let (instance, platform) = (instance.clone(), list(platform));
                cases::Question::ExecutionProperties(cases::ExecutionQuestion { instance, platform })
            }
            Self::Worker { instance, bot_id, properties } => {
                let (instance, bot_id) = (instance.clone(), bot_id.clone());
                let properties = list(properties);
                cases::Question::WorkerProperties(cases::WorkerQuestion { instance, bot_id, properties })
            }
            Self::Place(jobs) => {
                let jobs = jobs.iter().map(OwnedPlace::lend).map(|asked| job(&asked)).collect();
                cases::Question::Place(cases::PlaceQuestion { jobs })
            }
            Self::Create(asked) => cases::Question::BeforeCreateJob(create_job(&asked.lend())),
            Self::Queue(asked) => cases::Question::BeforeQueueJob(queue_job(&asked.lend())),
            Self::Attempt(asked) => cases::Question::AfterAttempt(attempt(&asked.lend())),
            Self::Unmatched { instance, label, requirements, jobs, oldest } => {
                cases::Question::Nobody(cases::NobodyQuestion {
                    instance: instance.clone(),
                    label: label.clone(),
                    requirements: properties(requirements),
                    jobs: *jobs,
                    oldest_ms: as_millis(*oldest),
                })
            }
            Self::Matches { instance, needs, offers, pairs } => {
                let pair = |(need, offer): &(u32, u32)| {
                    let (label, requirements) = &needs[*need as usize];
                    let capabilities = offers[*offer as usize].iter().map(properties).collect();
                    cases::Pair {
                        need: cases::Need { label: label.to_string(), requirements: properties(requirements) },
                        offer: cases::Offer { capabilities },
                    }
                };
                let pairs = pairs.iter().map(pair).collect();
                cases::Question::Matches(cases::MatchesQuestion { instance: instance.clone(), pairs })
            }
            Self::Prune(jobs) => {
                let jobs = jobs.iter().map(OwnedPrune::lend).map(|asked| finished_job(&asked)).collect();
                cases::Question::BeforePrune(cases::BeforePruneQuestion { jobs })
            }
        }
    }
}

/// Whole milliseconds.
pub fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A set, in its order.
pub fn properties(set: &PropertySet) -> Vec<cases::Property> {
    let own =
        |property: &Property| cases::Property { name: property.name.to_string(), value: property.value.to_string() };
    set.iter().map(own).collect()
}

/// A list, in its order.
pub fn list(pairs: &[(String, String)]) -> Vec<cases::Property> {
    pairs.iter().map(|(name, value)| cases::Property { name: name.clone(), value: value.clone() }).collect()
}

fn requester(requester: &Requester<'_>) -> cases::Requester {
    cases::Requester {
        instance: requester.instance.to_owned(),
        tenant: requester.tenant.to_owned(),
        invocation: requester.invocation.to_owned(),
        correlated_invocations: requester.correlated_invocations.to_owned(),
        tool: requester.tool.to_owned(),
        mnemonic: requester.mnemonic.to_owned(),
        target: requester.target.to_owned(),
    }
}

fn job(job: &PlaceQuestion<'_>) -> cases::Job {
    cases::Job {
        instance: job.instance.to_owned(),
        tenant: job.tenant.to_owned(),
        label: job.label.to_owned(),
        priority: job.priority,
        invocation: job.invocation.to_owned(),
        correlated_invocations: job.correlated_invocations.to_owned(),
        tool: job.tool.to_owned(),
        mnemonic: job.mnemonic.to_owned(),
        target: job.target.to_owned(),
        locality_hint: job.locality_hint.to_owned(),
        waited_ms: as_millis(job.waited),
    }
}

fn create_job(asked: &CreateQuestion<'_>) -> cases::CreateJobQuestion {
    cases::CreateJobQuestion {
        requester: requester(&asked.requester),
        action_digest: asked.action_digest.to_owned(),
        arguments: asked.arguments.to_vec(),
        environment: list(asked.environment),
        platform: list(asked.platform),
        priority: asked.priority,
        timeout_ms: asked.timeout.map(as_millis),
        do_not_cache: asked.do_not_cache,
        input_bytes: asked.input_bytes,
    }
}

fn queue_job(asked: &QueueQuestion<'_>) -> cases::QueueJobQuestion {
    cases::QueueJobQuestion {
        requester: requester(&asked.requester),
        action_digest: asked.action_digest.to_owned(),
        label: asked.label.to_owned(),
        requirements: properties(asked.requirements),
        lane: asked.lane.to_owned(),
        rank: asked.rank,
        bots: asked.bots,
    }
}

fn attempt(asked: &AttemptQuestion<'_>) -> cases::AfterAttemptQuestion {
    cases::AfterAttemptQuestion {
        requester: requester(&asked.requester),
        job: asked.job.to_owned(),
        action_digest: asked.action_digest.to_owned(),
        label: asked.label.to_owned(),
        requirements: properties(asked.requirements),
        reason: match asked.reason {
            AttemptReason::Reported => cases::Reason::Reported,
            AttemptReason::BotLost => cases::Reason::BotLost,
            AttemptReason::Timeout => cases::Reason::Timeout,
            AttemptReason::CommandFailed => cases::Reason::CommandFailed,
        },
        code: code(asked.code),
        message: asked.message.to_owned(),
        exit_code: asked.exit_code,
        attempt: asked.attempt,
        counted: asked.counted,
        counted_max: asked.counted_max,
        took_ms: as_millis(asked.took),
        peak_memory_bytes: asked.peak_memory_bytes,
        bot_id: asked.bot_id.to_owned(),
        bot_failures: asked.bot_failures,
        bot_attempts: asked.bot_attempts,
        failed_bots: asked.failed_bots,
    }
}

fn finished_job(asked: &PruneQuestion<'_>) -> cases::FinishedJob {
    cases::FinishedJob {
        requester: requester(&asked.requester),
        job: asked.job.to_owned(),
        action_digest: asked.action_digest.to_owned(),
        code: code(asked.code),
        ended_ms: as_millis(asked.ended),
    }
}

/// Codes are small numbers; what is not one is unknown to everybody.
fn code(code: i32) -> u32 {
    u32::try_from(code).unwrap_or(2)
}

/// What a policy says instead of an answer.
pub fn refusal(error: PolicyError) -> cases::Refusal {
    match error {
        PolicyError::UnknownProperty { name, known } => {
            cases::Refusal::UnknownProperty(cases::UnknownProperty { name, known })
        }
        PolicyError::DuplicateProperty { name } => cases::Refusal::DuplicateProperty(name),
        PolicyError::MalformedProperty { name, expected } => {
            cases::Refusal::MalformedProperty(cases::MalformedProperty { name, expected })
        }
        PolicyError::Denied { reason } => cases::Refusal::Denied(reason),
        PolicyError::FailedPrecondition { reason } => cases::Refusal::FailedPrecondition(reason),
        PolicyError::Exhausted { reason, retry_after } => {
            cases::Refusal::Exhausted(cases::Exhausted { reason, retry_after_ms: retry_after.map_or(0, as_millis) })
        }
        PolicyError::Fault { plugin } => cases::Refusal::Denied(format!("{plugin} could not answer")),
    }
}

/// An answer of `execution-properties`.
pub fn execution_answer(answer: &ExecutionProperties) -> cases::ExecutionAnswer {
    cases::ExecutionAnswer {
        label: answer.label.to_string(),
        requirements: properties(&answer.requirements),
        preferred: answer.preferred.as_ref().map(properties),
    }
}

/// An answer of `worker-properties`.
pub fn worker_answer(answer: &WorkerProperties) -> cases::WorkerAnswer {
    cases::WorkerAnswer {
        labels: answer.labels.iter().map(|label| label.to_string()).collect(),
        capabilities: answer.capabilities.iter().map(properties).collect(),
        score: answer.score,
    }
}

/// An answer of `nobody`.
pub fn nobody(verdict: &UnmatchedVerdict) -> cases::NobodyAnswer {
    match verdict {
        UnmatchedVerdict::Wait(time) => cases::NobodyAnswer::Wait(as_millis(*time)),
        UnmatchedVerdict::Refuse(text) => {
            cases::NobodyAnswer::Refuse(cases::Refusal::FailedPrecondition(text.to_string()))
        }
    }
}

/// One job's part of an answer of `place`.
pub fn place(placement: &Placement) -> cases::Place {
    let limit = |limit: &Limit| cases::Limit {
        name: limit.name.to_string(),
        max_running: limit.max_running,
        max_queued: limit.max_queued,
        min_running: limit.min_running,
        evict_after_ms: limit.evict_after.map(|time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
        cool_down_ms: u32::try_from(limit.cool_down.as_millis()).unwrap_or(u32::MAX),
    };
    let affinity = |affinity: &Affinity| cases::Affinity {
        key: affinity.key.to_string(),
        weight: affinity.weight,
        wait_ms: u32::try_from(affinity.wait.as_millis()).unwrap_or(u32::MAX),
    };
    cases::Place {
        lane: placement.lane.0.to_string(),
        weight: placement.weight,
        rank: placement.rank,
        limits: placement.limits.iter().map(|own| limit(own)).collect(),
        affinities: placement.affinities.iter().map(|own| affinity(own)).collect(),
        history: placement.history.as_ref().map_or_else(String::new, |key| key.to_string()),
        again_ms: placement.again.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
    }
}

/// An answer of `before-create-job`.
pub fn create_job_answer(answer: &CreateAmendments) -> cases::CreateJobAnswer {
    cases::CreateJobAnswer {
        platform: answer.platform.as_deref().map(list),
        priority: answer.priority,
        timeout_ms: answer.timeout.map(as_millis),
        queue_timeout_ms: answer.queue_timeout.map(as_millis),
    }
}

/// An answer of `before-queue-job`.
pub fn queue_job_answer(answer: &QueueAmendments) -> cases::QueueJobAnswer {
    cases::QueueJobAnswer { rank: answer.rank, queue_timeout_ms: answer.queue_timeout.map(as_millis) }
}

/// An answer of `after-attempt`.
pub fn verdict(verdict: &Verdict) -> cases::AfterAttemptAnswer {
    let action = match &verdict.action {
        AttemptAction::Retry { after, elsewhere, requirements, counts } => cases::Action::Retry(cases::Retry {
            after_ms: as_millis(*after),
            elsewhere: *elsewhere,
            requirements: requirements.as_ref().map(properties),
            counts: *counts,
        }),
        AttemptAction::Fail { message } => cases::Action::Fail(message.to_string()),
        AttemptAction::Complete => cases::Action::Complete,
    };
    cases::AfterAttemptAnswer { action, quarantine_bot_ms: as_millis(verdict.quarantine) }
}
