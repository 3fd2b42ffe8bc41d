//! The event feed as plugins hear it: native shapes of `hooks.events` in `wit/`, and who listens.
//!
//! Not for reading the feed: `feed` turns its records into these, and drives the listeners.

use std::sync::Arc;

use berth_core::{Digest, InstanceName, JobId, LaneKey, LeaseId, OperationId, PropertySet, SessionId, Timestamp};
pub use berth_proto::store::{WorkEvent, WorkEventKind};

use super::kv::KvTransaction;

/// The most events of one call.
pub const EVENTS_MAX: usize = 256;

/// One change of the engine's durable state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEvent {
    /// Rises by one with each event of the partition.
    pub sequence: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub change: Change,
}

/// What happened, with the record that it left. Texts are empty where the job's rows are gone already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A job came in.
    JobCreated(Box<JobCreated>),
    /// A job got another place.
    JobPlaced(Box<JobPlaced>),
    /// A client got a handle on a job.
    OperationCreated(Operation),
    /// A handle was given up.
    OperationCancelled(Operation),
    /// A finished handle was forgotten.
    OperationDeleted(Operation),
    /// A bot was given a job.
    LeaseOffered(Lease),
    /// The bot was heard to work on it.
    LeaseStarted(Lease),
    /// The offer did not reach the bot.
    LeaseWithdrawn(Lease),
    /// The attempt was ended for the sake of another job, and the job waits again.
    LeaseEvicted(LeaseEvicted),
    /// The attempt failed, and the job waits again.
    AttemptFailed(AttemptFailed),
    /// There will be another attempt.
    AttemptDecided(Box<AttemptDecided>),
    /// A job that was put off waits for a bot again.
    DelayEnded(JobId),
    /// A job is over.
    JobCompleted(Box<JobCompleted>),
    /// A finished job was forgotten.
    JobDeleted(JobId),
    /// A bot's session began.
    SessionOpened(Box<Session>),
    /// A bot's health or abilities changed.
    SessionChanged(Box<Session>),
    /// A bot's session is over.
    SessionClosed(SessionClosed),
    /// A bot gets no more work.
    BotDrained(Bot),
    /// It gets work again.
    BotResumed(Bot),
    /// It gets no work for a while, because it was to blame.
    BotQuarantined(BotQuarantined),
    /// A version of a plugin began or ended to do something.
    PolicyChanged(Box<PolicyChanged>),
    /// Something happened to Coordinate's work.
    Work(Box<WorkChanged>),
    /// Events from here up to the next are gone.
    Gap,
    /// Something that the contract has no word for: its name.
    Other(Arc<str>),
}

/// A new job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCreated {
    /// Its id.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Who the client is, as far as the server knows.
    pub tenant: Arc<str>,
    /// The invocation of the build tool.
    pub invocation: Arc<str>,
    /// Digest of the Action.
    pub action: Digest,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// Where it stands.
    pub lane: LaneKey,
    /// Weight of the lane.
    pub weight: u32,
    /// Order within the lane.
    pub rank: i64,
}

/// A job's new place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlaced {
    /// Which job.
    pub job: JobId,
    /// Where it stands.
    pub lane: LaneKey,
    /// Weight of the lane.
    pub weight: u32,
    /// Order within the lane.
    pub rank: i64,
}

/// A client's handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The handle.
    pub operation: OperationId,
    /// Its job.
    pub job: JobId,
}

/// An attempt that was ended for the sake of another job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEvicted {
    /// Job and number of the offer.
    pub lease: LeaseId,
    /// The session of the bot that had it.
    pub session: SessionId,
    /// The counter that was promised more than it had.
    pub counter: Arc<str>,
}

/// A job in a bot's hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Job and number of the offer.
    pub lease: LeaseId,
    /// The bot's session.
    pub session: SessionId,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptFailed {
    /// Job and number of the offer.
    pub lease: LeaseId,
    /// The session of the bot that had it.
    pub session: SessionId,
    /// `google.rpc.Code`.
    pub code: i32,
}

/// Another attempt, after one that a policy was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDecided {
    /// Which job.
    pub job: JobId,
    /// Whether the attempt that failed counts.
    pub counts: bool,
    /// Not before so many milliseconds are over.
    pub after_ms: u64,
    /// Not on bots that failed the job.
    pub elsewhere: bool,
    /// What a bot must offer from now on; `None`: as before.
    pub requirements: Option<PropertySet>,
}

/// The end of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCompleted {
    /// Which job.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Who the client is, as far as the server knows.
    pub tenant: Arc<str>,
    /// The invocation of the build tool.
    pub invocation: Arc<str>,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// `google.rpc.Code` of its end; 0: it has a result.
    pub code: i32,
    /// Whether the result came from the action cache.
    pub cached: bool,
    /// From accepted to the end, in milliseconds.
    pub total_ms: u64,
    /// The last attempt alone.
    pub ran_ms: u64,
    /// How many offers were made.
    pub attempts: u32,
    /// The session of the bot that had it at its end; `None`: none had it.
    pub session: Option<SessionId>,
    /// Why a policy ended it before a bot had it; empty: that is not how it ended.
    pub refusal: Arc<str>,
    /// The exit code of its command; `None`: there is no result. Read only for those who ask for results.
    pub exit_code: Option<i32>,
    /// The most memory that it was seen to use; 0: the bot did not say. Read only for those who ask for results.
    pub peak_memory_bytes: u64,
    /// What the engine learns from it, if the job has a history key and a bot had it. Not told to plugins.
    pub lesson: Option<Lesson>,
}

/// What one finished job teaches of those with the same history key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The history key.
    pub history: Arc<str>,
    /// Whether it failed: no result, or a command that did not exit with 0.
    pub failed: bool,
    /// The most memory that it was seen to use; 0: the bot did not say.
    pub peak_memory_bytes: u64,
}

/// A bot's session. A change does not repeat instance and bot: they are looked up, and empty where that fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Which session.
    pub session: SessionId,
    /// Instance that the bot serves.
    pub instance: InstanceName,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// How many leases it works on at a time.
    pub slots: u32,
}

/// The end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionClosed {
    /// Which session.
    pub session: SessionId,
    /// `expired`, `replaced`, `terminated` or another word.
    pub reason: &'static str,
}

/// A bot, as an operator names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bot {
    /// Its instance.
    pub instance: InstanceName,
    /// Its own id.
    pub bot_id: Arc<str>,
}

/// A bot that gets no work for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BotQuarantined {
    /// Which bot.
    pub bot: Bot,
    /// Until when.
    pub until: Timestamp,
}

/// A version of a plugin that began or ended to do something: one for each role that it got or lost, or one without a
/// role where nobody asks it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChanged {
    /// The plugin's name.
    pub policy: Arc<str>,
    /// The version before; empty: none.
    pub before: Arc<str>,
    /// The version from now on; empty: none.
    pub after: Arc<str>,
    /// Pattern of the instance names for which it answers; empty where nobody asks it.
    pub instances: Arc<str>,
    /// What it answers there; empty where nobody asks it.
    pub role: Arc<str>,
    /// Why: `activated`, `rolled-back`, `quarantined`, `released`, `observed`, `unobserved`, `unloaded` or another word.
    pub what: Arc<str>,
}

/// A change of the work of a namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkChanged {
    /// Which namespace.
    pub namespace: Arc<str>,
    /// What happened, as the feed has it.
    pub event: WorkEvent,
}

impl WorkChanged {
    /// What happened, in a word.
    pub fn word(&self) -> &'static str {
        word(self.event.kind())
    }
}

/// What happened to work, in a word.
pub fn word(kind: WorkEventKind) -> &'static str {
    use WorkEventKind as Kind;
    match kind {
        Kind::Unspecified => "unspecified",
        Kind::SpecSet => "set",
        Kind::SpecControlled => "controlled",
        Kind::SpecCleared => "cleared",
        Kind::SpecDeleted | Kind::UnitsDeleted => "deleted",
        Kind::ArchivedForgotten => "forgotten",
        Kind::UnitsAdded => "added",
        Kind::UnitsLeased => "leased",
        Kind::UnitsRenewed => "renewed",
        Kind::UnitsUpdated => "updated",
        Kind::UnitsPrioritized => "prioritized",
        Kind::UnitsReleased => "released",
        Kind::UnitsExpired => "expired",
        Kind::UnitsFinished => "finished",
        Kind::UnitsFailed => "failed",
        Kind::UnitsRetried => "retried",
        Kind::UnitsArchived => "archived",
        Kind::WorkerSeen => "seen",
        Kind::WorkerGone => "gone",
        Kind::Locked => "locked",
        Kind::Unlocked => "unlocked",
    }
}

/// Why a call did not handle its events.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsumerError {
    /// It answered with an error.
    #[error("it refused: {0}")]
    Refused(String),
    /// It trapped, took too long, or answered nonsense.
    #[error("it failed: {0}")]
    Fault(String),
}

/// Who hears what happened. What it writes to its table is kept together with the note that these events were
/// handled, so that its table sees each event exactly once.
pub trait EventsConsumer: Send + Sync + 'static {
    /// This happened: in order, at most [`EVENTS_MAX`] in a call, one call at a time, on a thread that may block.
    /// On an error nothing that was written to `kv` is kept.
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError>;
}
