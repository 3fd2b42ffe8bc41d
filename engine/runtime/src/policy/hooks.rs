//! Questions of the hooks: what may come in, what happens after a failure, what is kept. Native shapes of the
//! interfaces in `wit/`; who answers is [`super::Policy`]'s business.

use std::{sync::Arc, time::Duration};

use berth_core::{AttemptReason, PropertySet};

pub use berth_core::UnmatchedVerdict;

/// Who asks for a job. Empty where nobody said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Requester<'a> {
    /// Instance name of the request.
    pub instance: &'a str,
    /// Who the client is, as far as the server knows.
    pub tenant: &'a str,
    /// `RequestMetadata.tool_invocation_id`.
    pub invocation: &'a str,
    /// `RequestMetadata.correlated_invocations_id`.
    pub correlated_invocations: &'a str,
    /// `ToolDetails.tool_name`.
    pub tool: &'a str,
    /// `RequestMetadata.action_mnemonic`.
    pub mnemonic: &'a str,
    /// `RequestMetadata.target_id`.
    pub target: &'a str,
}

/// A request to execute that the action cache did not answer.
pub struct CreateQuestion<'a> {
    /// Who asks.
    pub requester: Requester<'a>,
    /// Hash in hexadecimal digits, `/`, size.
    pub action_digest: &'a str,
    /// `Command.arguments`.
    pub arguments: &'a [String],
    /// `Command.environment_variables`, name and value.
    pub environment: &'a [(String, String)],
    /// Name and value of each platform property.
    pub platform: &'a [(String, String)],
    /// `ExecutionPolicy.priority`.
    pub priority: i32,
    /// `Action.timeout`.
    pub timeout: Option<Duration>,
    /// `Action.do_not_cache`.
    pub do_not_cache: bool,
    /// Size of the files of the input tree; 0 if nobody counted.
    pub input_bytes: u64,
}

/// What is to be different; `None`: as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CreateAmendments {
    /// Another platform.
    pub platform: Option<Vec<(String, String)>>,
    /// Another priority.
    pub priority: Option<i32>,
    /// Another timeout of the action.
    pub timeout: Option<Duration>,
    /// How long the job may wait for a bot.
    pub queue_timeout: Option<Duration>,
}

/// A job that is about to be queued.
pub struct QueueQuestion<'a> {
    /// Who asks.
    pub requester: Requester<'a>,
    /// Hash in hexadecimal digits, `/`, size.
    pub action_digest: &'a str,
    /// Its label.
    pub label: &'a str,
    /// What it needs.
    pub requirements: &'a PropertySet,
    /// The lane that it would stand in.
    pub lane: &'a str,
    /// Its rank there.
    pub rank: i64,
    /// Open sessions that could serve it.
    pub bots: u32,
}

/// What is to be different; `None`: as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueueAmendments {
    /// Another rank.
    pub rank: Option<i64>,
    /// How long the job may wait for a bot.
    pub queue_timeout: Option<Duration>,
}

/// An attempt that gave no result, or a result of a command that failed.
pub struct AttemptQuestion<'a> {
    /// Who asked for the job.
    pub requester: Requester<'a>,
    /// The job's id.
    pub job: &'a str,
    /// Hash in hexadecimal digits, `/`, size.
    pub action_digest: &'a str,
    /// Its label.
    pub label: &'a str,
    /// What it needs.
    pub requirements: &'a PropertySet,
    /// Why the attempt ended.
    pub reason: AttemptReason,
    /// `google.rpc.Code` of the report.
    pub code: i32,
    /// The report's message, at most 1 024 bytes.
    pub message: &'a str,
    /// Exit code of the command, if it ran.
    pub exit_code: Option<i32>,
    /// Number of the attempt; the first is 1.
    pub attempt: u32,
    /// Attempts that counted, this one included.
    pub counted: u32,
    /// As many may count.
    pub counted_max: u32,
    /// How long it took.
    pub took: Duration,
    /// The most memory it was seen to use; 0: unknown.
    pub peak_memory_bytes: u64,
    /// Whose attempt it was.
    pub bot_id: &'a str,
    /// Failed ones of the bot's last 16 attempts, this one included.
    pub bot_failures: u32,
    /// Of how many.
    pub bot_attempts: u32,
    /// Different bots that failed the job, this one included.
    pub failed_bots: u32,
}

/// A finished job whose time is over.
pub struct PruneQuestion<'a> {
    /// Who asked for it.
    pub requester: Requester<'a>,
    /// The job's id.
    pub job: &'a str,
    /// Hash in hexadecimal digits, `/`, size.
    pub action_digest: &'a str,
    /// `google.rpc.Code` of its end.
    pub code: i32,
    /// How long ago it ended.
    pub ended: Duration,
}

/// Jobs of one class that no open session can serve.
pub struct UnmatchedQuestion<'a> {
    /// Instance name.
    pub instance: &'a str,
    /// Their label.
    pub label: &'a str,
    /// What they need.
    pub requirements: &'a PropertySet,
    /// How many wait.
    pub jobs: u32,
    /// How long the oldest has waited.
    pub oldest: Duration,
}

/// Whether a class of jobs fits a class of bots: pairs of indexes into two lists.
pub struct MatchQuestion<'a> {
    /// Instance name.
    pub instance: &'a str,
    /// Label and requirements.
    pub needs: &'a [(Arc<str>, PropertySet)],
    /// Capability sets.
    pub offers: &'a [Vec<PropertySet>],
    /// Which need with which offer.
    pub pairs: &'a [(u32, u32)],
}
