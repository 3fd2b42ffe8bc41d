//! The `Policy` port: the questions that the engine asks before an event enters the core.
//!
//! `berth-plugin-host` answers them with Wasm components; `builtin` here answers them natively, as the
//! safety net and as the yardstick for the cost of Wasm. Calls are synchronous, take microseconds, and may
//! run on any thread; the host bounds each by a deadline.

use std::sync::Arc;

use berth_core::{LaneKey, PropertySet};

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
}

/// One job that wants a place in the queue.
#[derive(Clone, Copy)]
pub struct PlaceQuestion<'a> {
    /// Instance name of the request.
    pub instance: &'a str,
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
}
