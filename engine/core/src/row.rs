//! After-image rows: what recovery reads. The runtime encodes them; core only says what is in them.

use std::{sync::Arc, time::Duration};

use crate::{
    Affinity, BotStatus, Digest, InstanceName, JobId, LaneKey, LeaseId, Limit, OperationId, Outcome, PropertySet,
    SessionId, Setbacks, Timestamp,
};

/// A job with its handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRow {
    /// The job's id.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Digest of the Action.
    pub action: Digest,
    /// Never merged with another.
    pub do_not_cache: bool,
    /// What a bot must offer.
    pub requirements: PropertySet,
    /// What it should offer, if it may be chosen.
    pub preferred: Option<PropertySet>,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// Lane within the instance.
    pub lane: LaneKey,
    /// Weight of the lane.
    pub weight: u32,
    /// Order within the lane.
    pub rank: i64,
    /// Counters that it belongs to, with the numbers that came with it.
    pub limits: Vec<Arc<Limit>>,
    /// Keys of bots that are preferred.
    pub affinities: Vec<Arc<Affinity>>,
    /// Order between jobs of equal rank.
    pub age: u64,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// How long it may wait.
    pub queue_timeout: Option<Duration>,
    /// How long an attempt may take.
    pub execution_timeout: Option<Duration>,
    /// How many offers were made: the attempt number of the newest lease.
    pub offers: u32,
    /// How many attempts failed and counted.
    pub attempts_used: u32,
    /// The handles, oldest first.
    pub operations: Vec<OperationRow>,
    /// When its place is asked for again, as far as that is stored: where a policy puts the time off and changes nothing
    /// else, a restart asks sooner.
    pub again: Option<Timestamp>,
    /// What it carries with it if attempts of it failed and a policy was asked.
    pub setbacks: Option<Box<Setbacks>>,
    /// The newest attempts that ended otherwise than with the bot's result, oldest first, at most
    /// [`PAST_ATTEMPTS_MAX`](crate::PAST_ATTEMPTS_MAX).
    pub past: Vec<PastAttempt>,
    /// When the attempt was offered that ended it; `None` if it is not over, or no bot had it then.
    pub started_at: Option<Timestamp>,
    /// How it stands. The lease has a row of its own.
    pub state: JobRowState,
}

/// An attempt that is over, and gave no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastAttempt {
    /// Number of its offer.
    pub attempt: u32,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// When it was offered.
    pub offered_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub end: AttemptEnd,
}

/// How an attempt ended that gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptEnd {
    /// It failed, or its bot was lost.
    Failed {
        /// `google.rpc.Code` of the failure.
        code: i32,
    },
    /// An operator took the job from its bot.
    Requeued,
    /// The job ended by our doing while its bot had it.
    Stopped,
}

/// A handle within its job's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OperationRow {
    /// The handle.
    pub operation: OperationId,
    /// When it was given up, if it was.
    pub cancelled: Option<Timestamp>,
    /// Whether its client asked to forget it: it is not known any more, and stands here because its job does.
    pub deleted: bool,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobRowState {
    /// Waits for a bot.
    Queued,
    /// A bot has it: see its lease row.
    Leased,
    /// A policy is asked what becomes of it: see its setbacks.
    Deciding,
    /// Waits, and is given to nobody before this time.
    Delayed {
        /// Until when.
        until: Timestamp,
    },
    /// It is over.
    Completed {
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
    },
}

/// A live lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    /// Job and attempt.
    pub lease: LeaseId,
    /// Which session has it.
    pub session: SessionId,
    /// When it was offered.
    pub offered_at: Timestamp,
    /// When the bot was first heard to work on it.
    pub started_at: Option<Timestamp>,
}

/// A bot's session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session's id.
    pub session: SessionId,
    /// Instance that the bot serves.
    pub instance: InstanceName,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// Who the bot authenticated as.
    pub identity: Arc<str>,
    /// What it can serve.
    pub capabilities: Vec<PropertySet>,
    /// How many leases it works on at a time.
    pub slots: u32,
    /// Whether its updates are held while it is full.
    pub hold_when_full: bool,
    /// Its health.
    pub status: BotStatus,
    /// How good a bot it is, as a policy says.
    pub score: u32,
    /// When it began.
    pub opened_at: Timestamp,
}

/// A bot that an operator has drained.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DrainRow {
    /// Instance of the bot.
    pub instance: InstanceName,
    /// The bot's own id.
    pub bot_id: Arc<str>,
}

/// Jobs that an operator has paused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PauseRow {
    /// Which instance.
    pub instance: InstanceName,
    /// Jobs with this label; `None`: all of the instance.
    pub label: Option<Arc<str>>,
}

/// A bot that a policy took out of service for a time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuarantineRow {
    /// Instance of the bot.
    pub instance: InstanceName,
    /// The bot's own id.
    pub bot_id: Arc<str>,
    /// Until when.
    pub until: Timestamp,
}

/// A counter that is smaller for a while, because jobs of it were evicted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CoolDownRow {
    /// Instance of the counter.
    pub instance: InstanceName,
    /// Its name.
    pub counter: Arc<str>,
    /// Until when each of the evictions counts, the first to end first. At least one.
    pub until: Vec<Timestamp>,
}

/// A counter whose numbers an operator set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRow {
    /// Instance of the counter.
    pub instance: InstanceName,
    /// Its name and its numbers.
    pub limit: Arc<Limit>,
}

/// Everything that recovery needs: incomplete work, open sessions, drains, pauses, quarantines, and what is kept of
/// counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Jobs that are not completed.
    pub jobs: Vec<JobRow>,
    /// Their live leases.
    pub leases: Vec<LeaseRow>,
    /// Open sessions.
    pub sessions: Vec<SessionRow>,
    /// Drained bots.
    pub drains: Vec<DrainRow>,
    /// Paused jobs.
    pub pauses: Vec<PauseRow>,
    /// Bots in quarantine.
    pub quarantines: Vec<QuarantineRow>,
    /// Counters that are smaller for a while.
    pub cool_downs: Vec<CoolDownRow>,
    /// Counters whose numbers an operator set.
    pub limits: Vec<LimitRow>,
}

impl Rows {
    /// Puts every kind in the order of its ids, so that two sets can be compared.
    pub fn sort(&mut self) {
        self.jobs.sort_by_key(|row| row.job);
        self.leases.sort_by_key(|row| row.lease);
        self.sessions.sort_by_key(|row| row.session);
        self.drains.sort();
        self.pauses.sort();
        self.quarantines.sort();
        self.cool_downs.sort();
        self.limits.sort_by_key(|row| (row.instance.clone(), row.limit.name.clone()));
    }
}

/// What is left for later by a restart that serves before every job is loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// How many jobs: each waits, and none has a lease.
    pub jobs: usize,
    /// Where they stand. `None`: nobody knows, so nobody is given work before they are all loaded.
    pub lines: Option<Vec<HiddenLine>>,
}

/// Hidden jobs of one requirement class in one lane. Every job of the two that is not hidden comes before them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HiddenLine {
    /// The one that goes first.
    pub first: JobRow,
    /// Weight of the newest job of the line, hidden or not, and that job's age.
    pub weight: u32,
    /// See `weight`.
    pub newest: u64,
}
