//! The `Policy` port: the questions that the engine asks before an event enters the core.
//!
//! `berth-plugin-host` answers them with Wasm components; `builtin` here answers them natively, as the
//! safety net and as the yardstick for the cost of Wasm. Calls are synchronous, take microseconds, and may
//! run on any thread; the host bounds each by a deadline.

use std::{sync::Arc, time::Duration};

use berth_core::{Affinity, Chooser, LaneKey, Limit, PropertySet, Verdict};

pub mod hooks;

use hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, MatchQuestion, PruneQuestion, QueueAmendments, QueueQuestion,
    UnmatchedQuestion, UnmatchedVerdict,
};

/// What an action asks for, as its client sent it: not sorted, duplicates possible.
pub struct ExecutionQuestion<'a> {
    /// Instance name of the request.
    pub instance: &'a str,
    /// Name and value of each platform property (`Action.platform`, else `Command.platform`).
    pub platform: &'a [(String, String)],
}

/// What a job needs of a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExecutionProperties {
    /// A word for metrics and limits, matching `[a-zA-Z0-9_.-]+`; by default the OS family.
    pub label: Arc<str>,
    /// What a bot must offer.
    pub requirements: PropertySet,
    /// What it should offer if one that does is asking for work: a superset of `requirements`.
    pub preferred: Option<PropertySet>,
}

/// What a bot says of itself.
pub struct WorkerQuestion<'a> {
    /// Instance name of the session.
    pub instance: &'a str,
    /// The bot's id.
    pub bot_id: &'a str,
    /// Name and value of each property of the first device and of the worker.
    pub properties: &'a [(String, String)],
}

/// What a bot can serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerProperties {
    /// Labels for metrics and limits.
    pub labels: Vec<Arc<str>>,
    /// A job fits if one of these sets satisfies it.
    pub capabilities: Vec<PropertySet>,
    /// Of several bots that wait and fit equally, the one with the largest goes first.
    pub score: u32,
}

/// One job that wants a place in the queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlaceQuestion<'a> {
    /// Instance name of the request.
    pub instance: &'a str,
    /// Who the client is, as far as the server knows; empty: nobody said.
    pub tenant: &'a str,
    /// `ExecutionPolicy.priority`: smaller runs sooner.
    pub priority: i32,
    /// Label from [`ExecutionProperties`].
    pub label: &'a str,
    /// `RequestMetadata.tool_invocation_id`; empty if the client sent none.
    pub invocation: &'a str,
    /// `RequestMetadata.correlated_invocations_id`; empty if none.
    pub correlated_invocations: &'a str,
    /// `ToolDetails.tool_name`; empty if none.
    pub tool: &'a str,
    /// `RequestMetadata.action_mnemonic`; empty if none.
    pub mnemonic: &'a str,
    /// `RequestMetadata.target_id`; empty if none.
    pub target: &'a str,
    /// `SchedulingMetadata.locality_hint`; empty if none.
    pub locality_hint: &'a str,
    /// How long it has been queued: zero when it is new.
    pub waited: Duration,
}

/// A job's place: fair between lanes by weight, within a lane by rank, then by age.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Which lane the job stands in; the empty key is the default lane.
    pub lane: LaneKey,
    /// Weight of the lane, at least 1.
    pub weight: u32,
    /// Smaller goes first within the lane.
    pub rank: i64,
    /// Counters that it belongs to, with their bounds; at most 8.
    pub limits: Vec<Arc<Limit>>,
    /// Bots that it would like; at most 4.
    pub affinities: Vec<Arc<Affinity>>,
    /// Under which key what is learnt of it is kept.
    pub history: Option<Arc<str>>,
    /// After how much more time in the queue its place is asked for again.
    pub again: Option<Duration>,
}

/// The default lane, of weight 1, by age.
impl Default for Placement {
    fn default() -> Self {
        Self {
            lane: LaneKey::default(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            history: None,
            again: None,
        }
    }
}

/// A policy says no. The client did something that the policy does not allow, or nobody could say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Property names that the policy does not know: FAILED_PRECONDITION.
    #[error("platform property {name:?} is not known here; known are: {known}")]
    UnknownProperty {
        /// The property that was not known.
        name: String,
        /// What would be accepted, as text.
        known: String,
    },
    /// A property that may be set once was set more than once: FAILED_PRECONDITION.
    #[error("platform property {name:?} may be given only once")]
    DuplicateProperty {
        /// The property that came twice.
        name: String,
    },
    /// A name or value that no policy could take: INVALID_ARGUMENT.
    #[error("platform property {name:?} is malformed: {expected}")]
    MalformedProperty {
        /// The offending name.
        name: String,
        /// What would be accepted.
        expected: String,
    },
    /// The policy allows this to nobody, or not to this client: PERMISSION_DENIED.
    #[error("refused by policy: {reason}")]
    Denied {
        /// For the client to read.
        reason: String,
    },
    /// No bot could do this, or not as things are: FAILED_PRECONDITION.
    #[error("{reason}")]
    FailedPrecondition {
        /// For the client to read.
        reason: String,
    },
    /// Too much at a time: RESOURCE_EXHAUSTED.
    #[error("{reason}")]
    Exhausted {
        /// For the client to read.
        reason: String,
        /// When it is worth to try again, if anybody knows.
        retry_after: Option<Duration>,
    },
    /// The plugin failed, and the operator has it refuse in that case: UNAVAILABLE, with the plugin named in
    /// the details.
    #[error("policy {plugin} could not answer; try again")]
    Fault {
        /// Name and digest of the plugin.
        plugin: String,
    },
}

/// Who answers questions of policy. Implementations are shared by all threads.
pub trait Policy: Send + Sync + 'static {
    /// What does this platform require? Asked once for each distinct platform; memoised by the answerer.
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError>;

    /// What can this bot do? Asked when a session opens or its worker changes.
    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError>;

    /// Where do these jobs stand in the queue? One answer a job, in order. Never refuses: a fault falls back
    /// to the built-in rule.
    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement>;

    /// Where do jobs stand from now on that stand in the queue already? `None`: nobody could say, so it keeps its
    /// place.
    fn place_again(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Option<Placement>> {
        self.place(questions).into_iter().map(Some).collect()
    }

    /// Number of the set of policies that answers now: it rises with each change. An answer that was asked for after
    /// this is of this set or of a later one.
    fn generation(&self) -> u64 {
        0
    }

    /// Which of the optional questions anybody of an instance answers: what nobody answers is not asked.
    fn asks(&self, _instance: &str) -> Asks {
        Asks::default()
    }

    /// May this come in? Asked only where [`Asks::create`] is set.
    fn before_create_job(&self, _question: &CreateQuestion<'_>) -> Result<CreateAmendments, PolicyError> {
        Ok(CreateAmendments::default())
    }

    /// May it be queued? Asked only where [`Asks::queue`] is set.
    fn before_queue_job(&self, _question: &QueueQuestion<'_>) -> Result<QueueAmendments, PolicyError> {
        Ok(QueueAmendments::default())
    }

    /// What now? `None`: the built-in rule decides, because nobody answers or the answer was a fault.
    fn after_attempt(&self, _question: &AttemptQuestion<'_>) -> Option<Verdict> {
        None
    }

    /// What becomes of jobs that nobody can serve? `None`: they wait, and it is asked again after a minute.
    fn unmatched(&self, _question: &UnmatchedQuestion<'_>) -> Option<UnmatchedVerdict> {
        None
    }

    /// How well do pairs of classes fit: 0 not at all, the larger the better; one entry a pair. `None`: containment
    /// decides, because nobody answers. A fault is `Some` of zeros that must not be remembered: see [`Fit`].
    fn matches(&self, _question: &MatchQuestion<'_>) -> Option<Fit> {
        None
    }

    /// Who says which lane a bot serves, for the thread that runs the steps of one partition: it is asked where
    /// [`Asks::choosing`] is set, and keeps up with this policy by itself. `None`: the built-in rule, always.
    fn choosing(self: Arc<Self>) -> Option<Box<dyn Chooser>> {
        None
    }

    /// How much longer each of these jobs is kept; zero: not at all. One entry a job.
    fn before_prune(&self, questions: &[PruneQuestion<'_>]) -> Vec<Duration> {
        vec![Duration::ZERO; questions.len()]
    }
}

/// Optional questions that somebody answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asks {
    /// `before-create-job`.
    pub create: bool,
    /// `before-queue-job`.
    pub queue: bool,
    /// `after-attempt`.
    pub attempt: bool,
    /// `unmatched.nobody`.
    pub unmatched: bool,
    /// `matching.matches`.
    pub matching: bool,
    /// `choosing.choose`.
    pub choosing: bool,
    /// `before-prune`.
    pub prune: bool,
}

/// The answer about pairs of classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// One score a pair; 0: does not fit.
    pub scores: Vec<u32>,
    /// Whether the scores may be remembered: not after a fault.
    pub lasting: bool,
}
