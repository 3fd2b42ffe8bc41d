//! Facts: the typed changes of durable state. They are stored, and state changes by applying them only.

use std::{sync::Arc, time::Duration};

use crate::{
    Affinity, BotStatus, Digest, FailedAttempt, InstanceName, JobId, LaneKey, LeaseId, Limit, OperationId,
    PolicyChanged, PropertySet, SessionId, Timestamp,
};

/// One change. Bodies (the action's bytes, the result's) are named by the job's id and never copied here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A job and its first handle.
    JobCreated(Box<JobCreated>),
    /// A further handle on a job.
    OperationAdded {
        /// The new handle.
        operation: OperationId,
        /// The job that it names.
        job: JobId,
        /// The more urgent rank that the job takes over from it.
        rank: Option<i64>,
    },
    /// A handle was given up; others of the job remain.
    OperationCancelled {
        /// Which handle.
        operation: OperationId,
        /// Its job.
        job: JobId,
        /// When.
        at: Timestamp,
    },
    /// A handle that was over was forgotten.
    OperationDeleted {
        /// Which handle.
        operation: OperationId,
        /// Its job.
        job: JobId,
    },
    /// A bot that asked for work is given a job.
    LeaseOffered {
        /// Job and number of the offer.
        lease: LeaseId,
        /// The bot's session.
        session: SessionId,
        /// When.
        at: Timestamp,
    },
    /// The bot was heard to work on it.
    LeaseStarted {
        /// Which lease.
        lease: LeaseId,
        /// The bot's session. Kept for those who read the feed, here and below.
        session: SessionId,
        /// When.
        at: Timestamp,
    },
    /// The offer did not reach the bot: the job waits again, and this was no attempt.
    LeaseWithdrawn {
        /// Which lease.
        lease: LeaseId,
        /// The bot's session.
        session: SessionId,
    },
    /// An operator took the job from its bot: it waits again at its old place, and this was no attempt.
    LeaseRequeued {
        /// Which lease.
        lease: LeaseId,
        /// The bot's session.
        session: SessionId,
        /// When.
        at: Timestamp,
    },
    /// The attempt failed in a way that is tried again: the job waits again at its old place.
    AttemptLost {
        /// Which lease.
        lease: LeaseId,
        /// The bot's session.
        session: SessionId,
        /// `google.rpc.Code` of the failure.
        code: i32,
        /// When.
        at: Timestamp,
    },
    /// The attempt was ended for the sake of a job whose counter has less than it was promised: the job waits again at its
    /// old place, and this was no failure.
    LeaseEvicted(Box<LeaseEvicted>),
    /// Evictions of a counter's jobs count against it no more: those whose time is over by then.
    CoolDownEnded {
        /// Instance of the counter.
        instance: InstanceName,
        /// Its name.
        counter: Arc<str>,
        /// When.
        at: Timestamp,
    },
    /// An operator set the numbers of a counter, whatever its jobs bring; or those of its jobs hold again.
    LimitSet {
        /// Instance of the counter.
        instance: InstanceName,
        /// Its name.
        counter: Arc<str>,
        /// The numbers from now on; `None`: those of its jobs.
        limit: Option<Arc<Limit>>,
    },
    /// The attempt failed, and a policy is asked: the job waits for the answer.
    AttemptFailed(Box<AttemptFailed>),
    /// There will be another attempt.
    AttemptDecided(Box<AttemptDecided>),
    /// A job that was put off waits for a bot again, at its old place.
    DelayEnded {
        /// Which job.
        job: JobId,
        /// When.
        at: Timestamp,
    },
    /// A policy gave the job another place.
    JobPlaced(Box<JobPlaced>),
    /// A version of a policy began or ended to do something.
    PolicyChanged(Box<PolicyChanged>),
    /// The job is over, because no bot can serve it and a policy says that it shall not wait.
    JobRefused {
        /// Which job.
        job: JobId,
        /// When.
        at: Timestamp,
        /// For its clients. Stored as the job's result.
        text: Arc<str>,
    },
    /// The job is over.
    JobCompleted {
        /// Which job.
        job: JobId,
        /// When.
        at: Timestamp,
        /// How.
        outcome: Outcome,
        /// How long its last attempt took, in whole milliseconds; 0: no bot had it.
        ran_ms: u32,
        /// The session of the bot that had it at its end; `None`: no bot had it.
        session: Option<SessionId>,
    },
    /// A bot's session began.
    SessionOpened(Box<SessionOpened>),
    /// A bot's health or abilities changed.
    SessionChanged(Box<SessionChanged>),
    /// A bot's session is over; its leases were dealt with by facts of their own before this one.
    SessionClosed {
        /// Which session.
        session: SessionId,
        /// When.
        at: Timestamp,
        /// Why.
        reason: SessionEnd,
    },
    /// An operator drained a bot, or ended the drain.
    DrainSet {
        /// Instance of the bot.
        instance: InstanceName,
        /// The bot's own id.
        bot_id: Arc<str>,
        /// Whether it is drained now.
        on: bool,
    },
    /// An operator paused the jobs of an instance or of a label, or ended the pause.
    PauseSet {
        /// Which instance.
        instance: InstanceName,
        /// Jobs with this label; `None`: all of the instance.
        label: Option<Arc<str>>,
        /// Whether they are paused now.
        on: bool,
    },
    /// A policy took a bot out of service for a time, or that is over.
    QuarantineSet {
        /// Instance of the bot.
        instance: InstanceName,
        /// The bot's own id.
        bot_id: Arc<str>,
        /// Until when; `None`: it is over.
        until: Option<Timestamp>,
    },
}

/// An attempt that was ended for the sake of another job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseEvicted {
    /// Which lease.
    pub lease: LeaseId,
    /// The bot's session.
    pub session: SessionId,
    /// When.
    pub at: Timestamp,
    /// The counter that was promised more than it had.
    pub counter: Arc<str>,
    /// Counters of the evicted job that are smaller for it, and until when.
    pub cooling: Vec<(Arc<str>, Timestamp)>,
}

/// An attempt that a policy is asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFailed {
    /// Which lease.
    pub lease: LeaseId,
    /// The bot's session.
    pub session: SessionId,
    /// How it failed.
    pub failed: FailedAttempt,
}

/// Another attempt, as a policy or the built-in rule decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptDecided {
    /// Which job.
    pub job: JobId,
    /// When.
    pub at: Timestamp,
    /// Whether the attempt that failed counts.
    pub counts: bool,
    /// Not before this time.
    pub until: Option<Timestamp>,
    /// Not on bots that failed the job, as long as another may take it.
    pub elsewhere: bool,
    /// What a bot must offer from now on; `None`: as before.
    pub requirements: Option<PropertySet>,
}

/// A new job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobCreated {
    /// Its id: that of its first operation.
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
    /// Counters that it belongs to.
    pub limits: Vec<Arc<Limit>>,
    /// Keys of bots that are preferred.
    pub affinities: Vec<Arc<Affinity>>,
    /// Order between jobs of equal rank: older jobs have smaller numbers.
    pub age: u64,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// How long it may wait.
    pub queue_timeout: Option<Duration>,
    /// How long an attempt may take.
    pub execution_timeout: Option<Duration>,
    /// When its place is asked for again.
    pub again: Option<Timestamp>,
}

/// A job's place, all of it, as it is from now on. Its age is as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobPlaced {
    /// Which job.
    pub job: JobId,
    /// Lane within the instance.
    pub lane: LaneKey,
    /// Weight of the lane: this answer counts until the next one for the lane.
    pub weight: u32,
    /// Order within the lane.
    pub rank: i64,
    /// Counters that it belongs to; their numbers count until the next answer that names them.
    pub limits: Vec<Arc<Limit>>,
    /// Keys of bots that are preferred.
    pub affinities: Vec<Arc<Affinity>>,
    /// When its place is asked for again.
    pub again: Option<Timestamp>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Its bot reported. The result is stored under the job's id.
    Reported {
        /// `Lease.status.code`.
        code: i32,
        /// Whether the result may serve later requests for the same action.
        cacheable: bool,
    },
    /// The result was in the action cache. It is stored under the job's id too.
    Cached,
    /// Its last handle was cancelled.
    Cancelled,
    /// No bot took it within its queue timeout.
    QueueTimeout,
    /// An attempt took longer than its execution timeout.
    ExecutionTimeout,
    /// Every attempt failed; the code is that of the last one.
    AttemptsExhausted {
        /// `google.rpc.Code` of the last failure.
        code: i32,
    },
    /// A policy ended it after an attempt that failed. What clients are told is stored under the job's id.
    Failed {
        /// `google.rpc.Code` of that attempt; 0: its command failed.
        code: i32,
    },
    /// No bot could serve it, and a policy said that it shall not wait. What clients are told is stored under the job's
    /// id.
    Refused,
}

/// A new session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOpened {
    /// Its id.
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
    /// When.
    pub at: Timestamp,
}

/// A session's new state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionChanged {
    /// Which session.
    pub session: SessionId,
    /// What it can serve now.
    pub capabilities: Vec<PropertySet>,
    /// How many leases it works on at a time.
    pub slots: u32,
    /// Whether its updates are held while it is full.
    pub hold_when_full: bool,
    /// Its health.
    pub status: BotStatus,
    /// How good a bot it is, as a policy says.
    pub score: u32,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// Nothing was heard of the bot for the session timeout.
    Expired,
    /// The same bot opened a new one.
    Replaced,
    /// The bot said that it terminates and holds nothing any more.
    Terminated,
    /// An operator ended it.
    Kicked,
}
