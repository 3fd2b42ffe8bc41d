//! Questions that are kept for later: what is asked of the plugin in force, copied for one that is observed.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{AttemptReason, PropertySet};
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateQuestion, MatchQuestion, PruneQuestion, QueueQuestion, Requester, UnmatchedQuestion,
};
use berth_runtime::policy::{ExecutionQuestion, PlaceQuestion, WorkerQuestion};

type Pairs = Vec<(String, String)>;

/// A question, with all that it borrowed.
#[derive(Debug)]
pub(crate) enum Question {
    Execution {
        instance: String,
        platform: Pairs,
    },
    Worker {
        instance: String,
        bot_id: String,
        properties: Pairs,
    },
    Place(Vec<OwnedPlace>),
    Create(Box<OwnedCreate>),
    Queue(Box<OwnedQueue>),
    Attempt(Box<OwnedAttempt>),
    Unmatched {
        instance: String,
        label: String,
        requirements: PropertySet,
        jobs: u32,
        oldest: Duration,
    },
    Matches {
        instance: String,
        needs: Vec<(Arc<str>, PropertySet)>,
        offers: Vec<Vec<PropertySet>>,
        pairs: Vec<(u32, u32)>,
    },
    Prune(Vec<OwnedPrune>),
}

#[derive(Debug)]
pub(crate) struct OwnedRequester([String; 7]);

impl OwnedRequester {
    fn of(from: &Requester<'_>) -> Self {
        let texts = [
            from.instance,
            from.tenant,
            from.invocation,
            from.correlated_invocations,
            from.tool,
            from.mnemonic,
            from.target,
        ];
        Self(texts.map(str::to_owned))
    }

    pub(crate) fn lend(&self) -> Requester<'_> {
        let [instance, tenant, invocation, correlated_invocations, tool, mnemonic, target] = &self.0;
        Requester { instance, tenant, invocation, correlated_invocations, tool, mnemonic, target }
    }
}

#[derive(Debug)]
pub(crate) struct OwnedPlace {
    requester: OwnedRequester,
    priority: i32,
    label: String,
    locality_hint: String,
    waited: Duration,
}

impl OwnedPlace {
    pub(crate) fn of(from: &PlaceQuestion<'_>) -> Self {
        let requester = Requester {
            instance: from.instance,
            tenant: from.tenant,
            invocation: from.invocation,
            correlated_invocations: from.correlated_invocations,
            tool: from.tool,
            mnemonic: from.mnemonic,
            target: from.target,
        };
        Self {
            requester: OwnedRequester::of(&requester),
            priority: from.priority,
            label: from.label.to_owned(),
            locality_hint: from.locality_hint.to_owned(),
            waited: from.waited,
        }
    }

    pub(crate) fn lend(&self) -> PlaceQuestion<'_> {
        let requester = self.requester.lend();
        PlaceQuestion {
            instance: requester.instance,
            tenant: requester.tenant,
            priority: self.priority,
            label: &self.label,
            invocation: requester.invocation,
            correlated_invocations: requester.correlated_invocations,
            tool: requester.tool,
            mnemonic: requester.mnemonic,
            target: requester.target,
            locality_hint: &self.locality_hint,
            waited: self.waited,
        }
    }
}

#[derive(Debug)]
pub(crate) struct OwnedCreate {
    requester: OwnedRequester,
    action_digest: String,
    arguments: Vec<String>,
    environment: Pairs,
    platform: Pairs,
    priority: i32,
    timeout: Option<Duration>,
    do_not_cache: bool,
    input_bytes: u64,
}

impl OwnedCreate {
    pub(crate) fn of(from: &CreateQuestion<'_>) -> Self {
        Self {
            requester: OwnedRequester::of(&from.requester),
            action_digest: from.action_digest.to_owned(),
            arguments: from.arguments.to_vec(),
            environment: from.environment.to_vec(),
            platform: from.platform.to_vec(),
            priority: from.priority,
            timeout: from.timeout,
            do_not_cache: from.do_not_cache,
            input_bytes: from.input_bytes,
        }
    }

    pub(crate) fn lend(&self) -> CreateQuestion<'_> {
        CreateQuestion {
            requester: self.requester.lend(),
            action_digest: &self.action_digest,
            arguments: &self.arguments,
            environment: &self.environment,
            platform: &self.platform,
            priority: self.priority,
            timeout: self.timeout,
            do_not_cache: self.do_not_cache,
            input_bytes: self.input_bytes,
        }
    }
}

#[derive(Debug)]
pub(crate) struct OwnedQueue {
    requester: OwnedRequester,
    action_digest: String,
    label: String,
    requirements: PropertySet,
    lane: String,
    rank: i64,
    bots: u32,
}

impl OwnedQueue {
    pub(crate) fn of(from: &QueueQuestion<'_>) -> Self {
        Self {
            requester: OwnedRequester::of(&from.requester),
            action_digest: from.action_digest.to_owned(),
            label: from.label.to_owned(),
            requirements: from.requirements.clone(),
            lane: from.lane.to_owned(),
            rank: from.rank,
            bots: from.bots,
        }
    }

    pub(crate) fn lend(&self) -> QueueQuestion<'_> {
        QueueQuestion {
            requester: self.requester.lend(),
            action_digest: &self.action_digest,
            label: &self.label,
            requirements: &self.requirements,
            lane: &self.lane,
            rank: self.rank,
            bots: self.bots,
        }
    }
}

#[derive(Debug)]
pub(crate) struct OwnedAttempt {
    requester: OwnedRequester,
    job: String,
    action_digest: String,
    label: String,
    requirements: PropertySet,
    reason: AttemptReason,
    code: i32,
    message: String,
    exit_code: Option<i32>,
    attempt: u32,
    counted: u32,
    counted_max: u32,
    took: Duration,
    peak_memory_bytes: u64,
    bot_id: String,
    bot_failures: u32,
    bot_attempts: u32,
    failed_bots: u32,
}

impl OwnedAttempt {
    pub(crate) fn of(from: &AttemptQuestion<'_>) -> Self {
        Self {
            requester: OwnedRequester::of(&from.requester),
            job: from.job.to_owned(),
            action_digest: from.action_digest.to_owned(),
            label: from.label.to_owned(),
            requirements: from.requirements.clone(),
            reason: from.reason,
            code: from.code,
            message: from.message.to_owned(),
            exit_code: from.exit_code,
            attempt: from.attempt,
            counted: from.counted,
            counted_max: from.counted_max,
            took: from.took,
            peak_memory_bytes: from.peak_memory_bytes,
            bot_id: from.bot_id.to_owned(),
            bot_failures: from.bot_failures,
            bot_attempts: from.bot_attempts,
            failed_bots: from.failed_bots,
        }
    }

    pub(crate) fn lend(&self) -> AttemptQuestion<'_> {
        AttemptQuestion {
            requester: self.requester.lend(),
            job: &self.job,
            action_digest: &self.action_digest,
            label: &self.label,
            requirements: &self.requirements,
            reason: self.reason,
            code: self.code,
            message: &self.message,
            exit_code: self.exit_code,
            attempt: self.attempt,
            counted: self.counted,
            counted_max: self.counted_max,
            took: self.took,
            peak_memory_bytes: self.peak_memory_bytes,
            bot_id: &self.bot_id,
            bot_failures: self.bot_failures,
            bot_attempts: self.bot_attempts,
            failed_bots: self.failed_bots,
        }
    }
}

#[derive(Debug)]
pub(crate) struct OwnedPrune {
    requester: OwnedRequester,
    job: String,
    action_digest: String,
    code: i32,
    ended: Duration,
}

impl OwnedPrune {
    pub(crate) fn of(from: &PruneQuestion<'_>) -> Self {
        Self {
            requester: OwnedRequester::of(&from.requester),
            job: from.job.to_owned(),
            action_digest: from.action_digest.to_owned(),
            code: from.code,
            ended: from.ended,
        }
    }

    pub(crate) fn lend(&self) -> PruneQuestion<'_> {
        PruneQuestion {
            requester: self.requester.lend(),
            job: &self.job,
            action_digest: &self.action_digest,
            code: self.code,
            ended: self.ended,
        }
    }
}

impl Question {
    pub(crate) fn execution(from: &ExecutionQuestion<'_>) -> Self {
        Self::Execution { instance: from.instance.to_owned(), platform: from.platform.to_vec() }
    }

    pub(crate) fn worker(from: &WorkerQuestion<'_>) -> Self {
        Self::Worker {
            instance: from.instance.to_owned(),
            bot_id: from.bot_id.to_owned(),
            properties: from.properties.to_vec(),
        }
    }

    pub(crate) fn unmatched(from: &UnmatchedQuestion<'_>) -> Self {
        Self::Unmatched {
            instance: from.instance.to_owned(),
            label: from.label.to_owned(),
            requirements: from.requirements.clone(),
            jobs: from.jobs,
            oldest: from.oldest,
        }
    }

    pub(crate) fn matches(from: &MatchQuestion<'_>) -> Self {
        Self::Matches {
            instance: from.instance.to_owned(),
            needs: from.needs.to_vec(),
            offers: from.offers.to_vec(),
            pairs: from.pairs.to_vec(),
        }
    }
}
