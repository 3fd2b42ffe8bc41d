//! Bad answers of `create-job`, `queue-job`, `after-attempt`, `before-prune` and `events`. A good answer is the last arm.

use berth_policy_sdk::after_attempt::{self, Action, Retry, Verdict};
use berth_policy_sdk::before_prune;
use berth_policy_sdk::create_job;
use berth_policy_sdk::events::{Change, Event};
use berth_policy_sdk::queue_job;
use berth_policy_sdk::{AfterAttempt, BeforePrune, CreateJob, Events, QueueJob, Refusal, kv};

use crate::answers::{bad_length, bad_properties, refuse};
use crate::arbitrary::Dice;
use crate::misdeeds::not_a_text;
use crate::{Faulty, misbehave};

impl CreateJob for Faulty {
    fn before_create_job(question: create_job::Question) -> Result<create_job::Amendments, Refusal> {
        let fault = misbehave("before-create-job", &question.requester.mnemonic);
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.create();
        }
        refuse(&fault)?;
        let mut amendments = create_job::Amendments { platform: bad_properties(&fault), ..Default::default() };
        match fault.as_str() {
            "for-ever" => (amendments.timeout_ms, amendments.queue_timeout_ms) = (Some(u64::MAX), Some(u64::MAX)),
            "no-time" => (amendments.timeout_ms, amendments.queue_timeout_ms) = (Some(0), Some(0)),
            // No fault.
            "urgent" => amendments.priority = Some(i32::MIN),
            _ => (),
        }
        Ok(amendments)
    }
}

impl QueueJob for Faulty {
    fn before_queue_job(question: queue_job::Question) -> Result<queue_job::Amendments, Refusal> {
        let fault = misbehave("before-queue-job", &question.requester.mnemonic);
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.queue();
        }
        refuse(&fault)?;
        let mut amendments = queue_job::Amendments::default();
        match fault.as_str() {
            "for-ever" => amendments.queue_timeout_ms = Some(u64::MAX),
            "no-time" => amendments.queue_timeout_ms = Some(0),
            // No fault.
            "urgent" => amendments.rank = Some(i64::MIN),
            _ => (),
        }
        Ok(amendments)
    }
}

impl AfterAttempt for Faulty {
    fn after_attempt(question: after_attempt::Question) -> Verdict {
        let fault = misbehave("after-attempt", &question.requester.mnemonic);
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.verdict();
        }
        let retry = |retry: Retry| Verdict::from(Action::Retry(retry));
        match fault.as_str() {
            "long-text" => Action::Fail("x".repeat(2000)).into(),
            "invalid-utf8" => Action::Fail(not_a_text()).into(),
            "late" => retry(Retry { after_ms: u64::MAX, ..Retry::default() }),
            // At once, and no attempt counts: the host must see to it that this ends.
            "endless" => retry(Retry { counts: false, ..Retry::default() }),
            "quarantine-for-ever" => Verdict { action: Action::Complete, quarantine_bot_ms: u64::MAX },
            _ => match bad_properties(&fault) {
                Some(bad) => retry(Retry { requirements: Some(bad), ..Retry::default() }),
                None if question.counted < question.counted_max => retry(Retry::default()),
                None => Action::Complete.into(),
            },
        }
    }
}

impl BeforePrune for Faulty {
    fn before_prune(jobs: Vec<before_prune::Job>) -> Vec<u64> {
        let fault = misbehave("before-prune", jobs.first().map_or("", |job| &job.requester.mnemonic));
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.keep(jobs.len());
        }
        let mut keep_ms = vec![0; jobs.len()];
        bad_length(&fault, &mut keep_ms);
        if fault == "for-ever" {
            keep_ms.fill(u64::MAX);
        }
        keep_ms
    }
}

/// Counts the events in the row `events`.
impl Events for Faulty {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        for event in &events {
            let spoken = if let Change::Other(name) = &event.change { name } else { "" };
            kv::add("events", 1)?;
            match misbehave("on-events", spoken).as_str() {
                "error" => return Err("as you wish".to_owned()),
                "long-error" => return Err("x".repeat(1 << 19)),
                "huge" => return Err("x".repeat(4 << 20)),
                "invalid-utf8" => return Err(not_a_text()),
                _ => (),
            }
        }
        Ok(())
    }
}
