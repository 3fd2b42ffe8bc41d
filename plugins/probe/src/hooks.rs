//! A job's life, as wished.

use berth_policy_sdk::after_attempt::{self, Action, Retry, Verdict};
use berth_policy_sdk::before_prune::Job;
use berth_policy_sdk::events::{Change, Event};
use berth_policy_sdk::{
    AfterAttempt, BeforePrune, CreateJob, Events, Property, QueueJob, Refusal, create_job, kv, queue_job,
};

use crate::Probe;
use crate::misdeeds::misbehave;

impl CreateJob for Probe {
    /// The wish is the first argument.
    fn before_create_job(question: create_job::Question) -> Result<create_job::Amendments, Refusal> {
        let wish = question.arguments.first().cloned().unwrap_or_default();
        misbehave(&wish);
        let good = create_job::Amendments { priority: Some(question.priority + 1), ..Default::default() };
        Ok(match wish.as_str() {
            "refuse" => return Err(Refusal::Denied("as you wish".to_owned())),
            "platform" => create_job::Amendments { platform: Some(vec![Property::new("pool", "other")]), ..good },
            "bad-platform" => create_job::Amendments { platform: Some(vec![Property::new("", "")]), ..good },
            "no-time" => create_job::Amendments { timeout_ms: Some(0), ..good },
            "all-time" => create_job::Amendments { queue_timeout_ms: Some(u64::MAX), ..good },
            _ => good,
        })
    }
}

impl QueueJob for Probe {
    /// The wish is the label.
    fn before_queue_job(question: queue_job::Question) -> Result<queue_job::Amendments, Refusal> {
        misbehave(&question.label);
        match question.label.as_str() {
            "refuse" => Err(Refusal::exhausted("enough", 2000)),
            "no-time" => Ok(queue_job::Amendments { queue_timeout_ms: Some(0), ..Default::default() }),
            _ => Ok(queue_job::Amendments { rank: Some(question.rank * 2), ..Default::default() }),
        }
    }
}

impl AfterAttempt for Probe {
    /// The wish is the message.
    fn after_attempt(question: after_attempt::Question) -> Verdict {
        misbehave(&question.message);
        let retry = |after_ms, requirements| {
            let retry = Retry { after_ms, elsewhere: true, requirements, counts: false };
            Verdict { action: Action::Retry(retry), quarantine_bot_ms: 60_000 }
        };
        let end = |action| Verdict { action, quarantine_bot_ms: 0 };
        match question.message.as_str() {
            "complete" => end(Action::Complete),
            "fail" => end(Action::Fail("as you wish".to_owned())),
            "bad-message" => end(Action::Fail("x".repeat(1025))),
            "bad-requirement" => retry(0, Some(vec![Property::new("\n", "")])),
            "never" => retry(u64::MAX, None),
            _ => retry(1000, Some(vec![Property::new("size", "large")])),
        }
    }
}

impl BeforePrune for Probe {
    /// The wish is the first job's id.
    fn before_prune(jobs: Vec<Job>) -> Vec<u64> {
        misbehave(&jobs[0].job);
        let kept = jobs.iter().map(|job| job.ended_ms).collect::<Vec<_>>();
        match jobs[0].job.as_str() {
            "short" => kept[1..].to_vec(),
            "for-ever" => vec![u64::MAX; kept.len()],
            _ => kept,
        }
    }
}

impl Events for Probe {
    /// Counts events in `seen`, modulo 256. The wish is the name of a change without a word of its own.
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        let before = kv::get("seen").map_or(0, |value| value[0]);
        kv::set("seen", &[before.wrapping_add(events.len() as u8)]).map_err(|error| format!("{error:?}"))?;
        for event in &events {
            if let Change::Other(wish) = &event.change {
                misbehave(wish);
                match wish.as_str() {
                    "refuse" => return Err("as you wish".to_owned()),
                    "fill" => {
                        let full = (0..10_000).any(|n| kv::set(&format!("{n}"), &[0; 60_000]).is_err());
                        return if full { Ok(()) } else { Err("the table takes everything".to_owned()) };
                    }
                    _ => (),
                }
            }
        }
        Ok(())
    }
}
