//! Records of cases as the engine's, and back.

use std::time::Duration;

use berth_core::{AttemptAction, AttemptReason, Property, PropertySet, Timestamp, Verdict};
use berth_policy_cases::{self as cases, Fault};
use berth_runtime::policy::{
    Fit, PlaceQuestion, Placement, PolicyError,
    hooks::{Requester, UnmatchedVerdict},
};

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn timestamp_of(millis: u64) -> Timestamp {
    Timestamp::default().after(Duration::from_millis(millis))
}

pub(super) fn pairs(properties: &[cases::Property]) -> Vec<(String, String)> {
    properties.iter().map(|property| (property.name.clone(), property.value.clone())).collect()
}

pub(super) fn list(pairs: &[(String, String)]) -> Vec<cases::Property> {
    pairs.iter().map(|(name, value)| cases::Property { name: name.clone(), value: value.clone() }).collect()
}

pub(super) fn set(properties: &[cases::Property]) -> PropertySet {
    properties.iter().map(|property| Property::new(property.name.as_str(), property.value.as_str())).collect()
}

pub(super) fn property_set(properties: &[cases::Property]) -> PropertySet {
    set(properties)
}

pub(super) fn properties(set: &PropertySet) -> Vec<cases::Property> {
    let own =
        |property: &Property| cases::Property { name: property.name.to_string(), value: property.value.to_string() };
    set.iter().map(own).collect()
}

pub(super) fn job(job: &cases::Job) -> PlaceQuestion<'_> {
    PlaceQuestion {
        instance: &job.instance,
        tenant: &job.tenant,
        priority: job.priority,
        label: &job.label,
        invocation: &job.invocation,
        correlated_invocations: &job.correlated_invocations,
        tool: &job.tool,
        mnemonic: &job.mnemonic,
        target: &job.target,
        locality_hint: &job.locality_hint,
        waited: millis(job.waited_ms),
    }
}

pub(super) fn requester(requester: &cases::Requester) -> Requester<'_> {
    Requester {
        instance: &requester.instance,
        tenant: &requester.tenant,
        invocation: &requester.invocation,
        correlated_invocations: &requester.correlated_invocations,
        tool: &requester.tool,
        mnemonic: &requester.mnemonic,
        target: &requester.target,
    }
}

pub(super) fn refusal(error: PolicyError) -> cases::Refusal {
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

pub(super) fn score_count(fit: Option<Fit>, pairs: usize) -> Result<Vec<u32>, Fault> {
    let scores = fit.map(|fit| fit.scores).unwrap_or_default();
    if scores.len() == pairs {
        Ok(scores)
    } else {
        Err(Fault::Faulted(format!("{} scores for {pairs} pairs", scores.len())))
    }
}

pub(super) fn nobody(verdict: UnmatchedVerdict) -> cases::NobodyAnswer {
    match verdict {
        UnmatchedVerdict::Wait(time) => cases::NobodyAnswer::Wait(as_millis(time)),
        UnmatchedVerdict::Refuse(text) => {
            cases::NobodyAnswer::Refuse(cases::Refusal::FailedPrecondition(text.to_string()))
        }
    }
}

pub(super) fn place(placement: Placement) -> cases::Place {
    let limit = |limit: &berth_core::Limit| cases::Limit {
        name: limit.name.to_string(),
        max_running: limit.max_running,
        max_queued: limit.max_queued,
        min_running: limit.min_running,
    };
    let affinity = |affinity: &berth_core::Affinity| cases::Affinity {
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
        history: placement.history.map_or_else(String::new, |key| key.to_string()),
        again_ms: placement.again.map_or(0, |time| u32::try_from(time.as_millis()).unwrap_or(u32::MAX)),
    }
}

pub(super) fn reason(reason: cases::Reason) -> AttemptReason {
    match reason {
        cases::Reason::Reported => AttemptReason::Reported,
        cases::Reason::BotLost => AttemptReason::BotLost,
        cases::Reason::Timeout => AttemptReason::Timeout,
        cases::Reason::CommandFailed => AttemptReason::CommandFailed,
    }
}

pub(super) fn code(code: u32) -> i32 {
    i32::try_from(code).unwrap_or(i32::MAX)
}

pub(super) fn verdict(verdict: Verdict) -> cases::AfterAttemptAnswer {
    let action = match verdict.action {
        AttemptAction::Retry { after, elsewhere, requirements, counts } => cases::Action::Retry(cases::Retry {
            after_ms: as_millis(after),
            elsewhere,
            requirements: requirements.as_ref().map(properties),
            counts,
        }),
        AttemptAction::Fail { message } => cases::Action::Fail(message.to_string()),
        AttemptAction::Complete => cases::Action::Complete,
    };
    cases::AfterAttemptAnswer { action, quarantine_bot_ms: as_millis(verdict.quarantine) }
}
