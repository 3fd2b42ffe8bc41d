//! Question and answer of `events`: what happened, and what the policy's table holds afterwards.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;
use crate::common::Record;
use crate::property::{Property, sort_set};

/// What `on-events` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EventsQuestion {
    /// The events, in their order.
    pub events: Vec<Event>,
}

/// What it answers, and what it leaves behind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct EventsAnswer {
    /// The error, if it returned one: then nothing of what it wrote is kept.
    pub error: Option<String>,
    /// All that is in `kv` afterwards.
    pub kv: BTreeMap<String, Bytes>,
}

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Event {
    /// Its number in the feed. If nothing is said: one more than that of the event before it.
    #[serde(default)]
    pub sequence: u64,
    /// When it happened.
    #[serde(default)]
    pub at_ms: u64,
    /// What happened.
    pub change: Change,
}

/// A change of Berth's durable state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)] // The names say it, and the contract says more.
pub enum Change {
    JobCreated(JobCreated),
    JobPlaced(JobPlaced),
    OperationCreated(Operation),
    OperationCancelled(Operation),
    OperationDeleted(Operation),
    LeaseOffered(Lease),
    LeaseStarted(Lease),
    LeaseWithdrawn(Lease),
    LeaseEvicted(LeaseEvicted),
    AttemptFailed(AttemptFailed),
    AttemptDecided(AttemptDecided),
    DelayEnded(String),
    JobCompleted(JobCompleted),
    JobDeleted(String),
    SessionOpened(Session),
    SessionChanged(Session),
    SessionClosed(SessionClosed),
    BotDrained(Bot),
    BotResumed(Bot),
    BotQuarantined(BotQuarantined),
    PolicyChanged(PolicyChanged),
    WorkSpecChanged(WorkSpecChanged),
    WorkUnitsChanged(WorkUnitsChanged),
    WorkerChanged(WorkerChanged),
    LocksChanged(LocksChanged),
    Gap,
    Other(String),
}

/// The records of changes: all fields are as in the contract.
macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $of:ty),+ $(,)? })+) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
            #[allow(missing_docs)] // As above.
            pub struct $name { $(pub $field: $of),+ }
        )+
    };
}

changes! {
    /// A job came in.
    JobCreated {
        job: String, instance: String, tenant: String, invocation: String, action_digest: String, label: String,
        lane: String, weight: u32, rank: i64,
    }
    /// A job has another place.
    JobPlaced { job: String, lane: String, weight: u32, rank: i64 }
    /// A client's view of a job.
    Operation { operation: String, job: String }
    /// A job on a bot.
    Lease { job: String, attempt: u32, session: String }
    /// An attempt that gave way to another job.
    LeaseEvicted { job: String, attempt: u32, session: String, counter: String }
    /// An attempt that gave no result.
    AttemptFailed { job: String, attempt: u32, session: String, code: u32 }
    /// Another attempt.
    AttemptDecided {
        job: String, counts: bool, after_ms: u64, elsewhere: bool, requirements: Option<Vec<Property>>,
    }
    /// A job that ended.
    JobCompleted {
        job: String, instance: String, tenant: String, invocation: String, label: String, code: u32, cached: bool,
        total_ms: u64, ran_ms: u64, attempts: u32, session: String, refusal: String, exit_code: Option<i32>,
        peak_memory_bytes: u64,
    }
    /// A bot's session.
    Session { session: String, instance: String, bot_id: String, slots: u32 }
    /// The end of a session.
    SessionClosed { session: String, reason: String }
    /// A bot.
    Bot { instance: String, bot_id: String }
    /// A bot that gets no work for a while.
    BotQuarantined { instance: String, bot_id: String, until_ms: u64 }
    /// A version of a policy began or ended to do something.
    PolicyChanged {
        policy: String, before: String, after: String, instances: String, role: String, what: String,
    }
    /// Something happened to a work spec.
    WorkSpecChanged { namespace: String, spec: String, what: String }
    /// Something happened to units of a work spec.
    WorkUnitsChanged { namespace: String, spec: String, what: String, worker: String, keys: Vec<String> }
    /// A worker was heard of, or is gone.
    WorkerChanged { namespace: String, worker: String, what: String, parent: String }
    /// Something happened to locks.
    LocksChanged { namespace: String, what: String, locker: String, paths: Vec<String> }
}

impl Record for EventsQuestion {
    fn tidy(&mut self) {
        let mut last = 0;
        for event in &mut self.events {
            if event.sequence == 0 {
                event.sequence = last + 1;
            }
            last = event.sequence;
            if let Change::AttemptDecided(AttemptDecided { requirements: Some(requirements), .. }) = &mut event.change {
                sort_set(requirements);
            }
        }
    }
}

impl Record for EventsAnswer {}
