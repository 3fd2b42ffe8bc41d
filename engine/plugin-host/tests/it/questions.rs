//! Questions for the tests.

use std::time::Duration;

use berth_core::{AttemptReason, PropertySet};
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateQuestion, PruneQuestion, QueueQuestion, Requester, UnmatchedQuestion,
};
use berth_runtime::policy::{ExecutionQuestion, PlaceQuestion, WorkerQuestion};

pub(crate) fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

pub(crate) fn execution(platform: &[(String, String)]) -> ExecutionQuestion<'_> {
    ExecutionQuestion { instance: "main", platform }
}

pub(crate) fn worker(properties: &[(String, String)]) -> WorkerQuestion<'_> {
    WorkerQuestion { instance: "main", bot_id: "bot-1", properties }
}

pub(crate) fn job(mnemonic: &str) -> PlaceQuestion<'_> {
    PlaceQuestion {
        instance: "main",
        priority: 0,
        label: "linux",
        invocation: "6a1f",
        correlated_invocations: "",
        tool: "bazel",
        mnemonic,
        target: "//:target",
        ..PlaceQuestion::default()
    }
}

/// Numbers that look random and are the same in every run (splitmix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

pub(crate) fn requester() -> Requester<'static> {
    Requester { instance: "main", tenant: "team", invocation: "6a1f", ..Requester::default() }
}

pub(crate) fn create<'a>(arguments: &'a [String], platform: &'a [(String, String)]) -> CreateQuestion<'a> {
    CreateQuestion {
        requester: requester(),
        action_digest: "00/1",
        arguments,
        environment: &[],
        platform,
        priority: 4,
        timeout: None,
        do_not_cache: false,
        input_bytes: 0,
    }
}

pub(crate) fn queue<'a>(label: &'a str, requirements: &'a PropertySet) -> QueueQuestion<'a> {
    QueueQuestion { requester: requester(), action_digest: "00/1", label, requirements, lane: "", rank: 21, bots: 1 }
}

pub(crate) fn attempt<'a>(message: &'a str, requirements: &'a PropertySet) -> AttemptQuestion<'a> {
    AttemptQuestion {
        requester: requester(),
        job: "1",
        action_digest: "00/1",
        label: "linux",
        requirements,
        reason: AttemptReason::Reported,
        code: 13,
        message,
        exit_code: None,
        attempt: 1,
        counted: 1,
        counted_max: 3,
        took: Duration::from_secs(1),
        peak_memory_bytes: 0,
        bot_id: "bot-1",
        bot_failures: 1,
        bot_attempts: 1,
        failed_bots: 1,
    }
}

pub(crate) fn prune(job: &str, ended: Duration) -> PruneQuestion<'_> {
    PruneQuestion { requester: requester(), job, action_digest: "00/1", code: 0, ended }
}

pub(crate) fn unmatched<'a>(label: &'a str, requirements: &'a PropertySet) -> UnmatchedQuestion<'a> {
    UnmatchedQuestion { instance: "main", label, requirements, jobs: 2, oldest: Duration::from_millis(5000) }
}
