//! Records of cases as the engine's. The way back is that of the plugin host.

use std::time::Duration;

use berth_core::{AttemptReason, Property, PropertySet, Timestamp};
use berth_policy_cases::{self as cases, Fault};
use berth_runtime::policy::{Fit, PlaceQuestion, hooks::Requester};

pub(super) fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(super) fn timestamp_of(millis: u64) -> Timestamp {
    Timestamp::default().after(Duration::from_millis(millis))
}

pub(super) fn pairs(properties: &[cases::Property]) -> Vec<(String, String)> {
    properties.iter().map(|property| (property.name.clone(), property.value.clone())).collect()
}

pub(super) fn set(properties: &[cases::Property]) -> PropertySet {
    properties.iter().map(|property| Property::new(property.name.as_str(), property.value.as_str())).collect()
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

pub(super) fn score_count(fit: Option<Fit>, pairs: usize) -> Result<Vec<u32>, Fault> {
    let scores = fit.map(|fit| fit.scores).unwrap_or_default();
    if scores.len() == pairs {
        Ok(scores)
    } else {
        Err(Fault::Faulted(format!("{} scores for {pairs} pairs", scores.len())))
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
