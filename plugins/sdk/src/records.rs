//! The records of the contract, made convenient: defaults, and the few functions that every policy would write.

use crate::after_attempt::{self, Action, Reason, Retry, Verdict};
use crate::before_prune;
use crate::choosing::{Lanes, Worker};
use crate::create_job;
use crate::matching::{Need, Offer, Pairs};
use crate::priority::{Affinity, Jobs, Limit, Places};
use crate::properties::{ExecutionAnswer, ExecutionQuestion, WorkerAnswer, WorkerQuestion};
use crate::queue_job;
use crate::types::{Exhausted, MalformedProperty, Property, Refusal, Requester, UnknownProperty};
use crate::unmatched;

/// Records whose default is that of all their fields: empty, 0, none.
macro_rules! defaults {
    ($($record:path { $($field:ident),+ })+) => {
        $(impl Default for $record {
            fn default() -> Self {
                Self { $($field: Default::default()),+ }
            }
        })+
    };
}

defaults! {
    Property { name, value }
    Requester { instance, tenant, invocation, correlated_invocations, tool, mnemonic, target }
    Exhausted { reason, retry_after_ms }
    MalformedProperty { name, expected }
    UnknownProperty { name, known }
    ExecutionQuestion { instance, platform }
    ExecutionAnswer { label, requirements, preferred }
    WorkerQuestion { instance, bot_id, properties }
    WorkerAnswer { labels, capabilities, score }
    Need { label, requirements }
    Offer { capabilities }
    Pairs { instance, needs, offers, need, offer }
    unmatched::Question { instance, label, requirements, jobs, oldest_ms }
    Jobs {
        strings, instance, tenant, label, priority, invocation, correlated_invocations, tool, mnemonic, target,
        locality_hint, waited_ms
    }
    Limit { name, max_running, max_queued, min_running, evict_after_ms, cool_down_ms }
    Affinity { key, weight, wait_ms }
    Places { strings, lane, weight, rank, limits, counters, affinities, affine, history, again_ms }
    Lanes { name, weight, queued, running, head_waited_ms, head_rank }
    Worker { instance, bot_id, capabilities, busy, slots, recent }
    create_job::Question {
        requester, action_digest, arguments, environment, platform, priority, timeout_ms, do_not_cache, input_bytes
    }
    create_job::Amendments { platform, priority, timeout_ms, queue_timeout_ms }
    queue_job::Question { requester, action_digest, label, requirements, lane, rank, bots }
    queue_job::Amendments { rank, queue_timeout_ms }
    after_attempt::Question {
        requester, job, action_digest, label, requirements, reason, code, message, exit_code, attempt, counted,
        counted_max, took_ms, peak_memory_bytes, bot_id, bot_failures, bot_attempts, failed_bots
    }
    before_prune::Job { requester, job, action_digest, code, ended_ms }
}

impl Default for Reason {
    fn default() -> Self {
        Self::Reported
    }
}

/// At once, anywhere, with the same requirements; the attempt counts.
impl Default for Retry {
    fn default() -> Self {
        Self { after_ms: 0, elsewhere: false, requirements: None, counts: true }
    }
}

/// The bot is not to blame.
impl From<Action> for Verdict {
    fn from(action: Action) -> Self {
        Self { action, quarantine_bot_ms: 0 }
    }
}

impl Property {
    /// A property.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

impl Refusal {
    /// There is a property that this policy does not know; `known` says which it does, for a person to read.
    pub fn unknown_property(name: impl Into<String>, known: impl Into<String>) -> Self {
        Self::UnknownProperty(UnknownProperty { name: name.into(), known: known.into() })
    }

    /// A name or a value that cannot be right; `expected` says what would be accepted, for a person to read.
    pub fn malformed_property(name: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::MalformedProperty(MalformedProperty { name: name.into(), expected: expected.into() })
    }

    /// Too much at a time; 0: nobody knows when to try again.
    pub fn exhausted(reason: impl Into<String>, retry_after_ms: u64) -> Self {
        Self::Exhausted(Exhausted { reason: reason.into(), retry_after_ms })
    }
}

impl Pairs {
    /// Judges one pair after the other.
    pub fn each(&self, mut judge: impl FnMut(&Need, &Offer) -> u32) -> Vec<u32> {
        let pairs = self.need.iter().zip(&self.offer);
        pairs.map(|(need, offer)| judge(&self.needs[*need as usize], &self.offers[*offer as usize])).collect()
    }
}

impl Lanes {
    /// How many lanes there are.
    pub fn len(&self) -> usize {
        self.name.len()
    }

    /// Whether there are none. Berth does not ask about none.
    pub fn is_empty(&self) -> bool {
        self.name.is_empty()
    }
}
