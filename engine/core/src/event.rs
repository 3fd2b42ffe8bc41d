//! What may happen to the execution book, and what it answers.

use std::{sync::Arc, time::Duration};

use crate::{
    Affinity, Again, Asking, Decided, Digest, Fact, InstanceName, JobId, JobRow, LaneKey, LeaseId, Limit, LimitState,
    Matched, OperationId, Outcome, Place, PoliciesChanged, PollId, PropertySet, Question, SessionId, Timestamp,
    UnmatchedDecided,
    mutant::{Mutant, broken},
};

/// Something that happened outside. One event makes at most 1 024 facts.
#[derive(Clone, Debug)]
pub enum Event {
    /// A client asks for an action to be executed.
    Submit(Box<Submit>),
    /// An action was found in the action cache: an operation that is done from the start.
    SubmitCached(Box<Submit>),
    /// A client gives up its handle. The job ends when its last handle is cancelled.
    Cancel {
        /// Which handle.
        operation: OperationId,
    },
    /// A client no longer wants to hear of a finished operation.
    Delete {
        /// Which handle.
        operation: OperationId,
        /// Its job, as the caller found it in the store: core may have forgotten a job that ended long ago.
        job: JobId,
    },
    /// A bot says hello (CreateBotSession).
    OpenSession(Box<OpenSession>),
    /// A bot reports and asks for work (UpdateBotSession).
    UpdateSession(Box<UpdateSession>),
    /// The call of a poll ended without an answer: its bot is not asking any more.
    PollEnded {
        /// Whose call.
        session: SessionId,
        /// Which call.
        poll: PollId,
    },
    /// An answer could not be handed to the transport: what it offered is taken back and is no attempt.
    Undelivered {
        /// Whose call.
        session: SessionId,
        /// Which call.
        poll: PollId,
    },
    /// An operator drains a bot (it keeps what it has and gets nothing new), or ends the drain.
    Drain {
        /// Instance of the bot.
        instance: InstanceName,
        /// The bot's own id: a drain outlasts sessions.
        bot_id: Arc<str>,
        /// Whether it is to be drained.
        on: bool,
    },
    /// An operator ends the quarantine of a bot.
    Release {
        /// Instance of the bot.
        instance: InstanceName,
        /// The bot's own id.
        bot_id: Arc<str>,
    },
    /// An operator stops the jobs of an instance, or those of one label, from being given to bots, or ends that. What
    /// runs goes on.
    Pause {
        /// Which instance.
        instance: InstanceName,
        /// Jobs with this label; `None`: all of the instance.
        label: Option<Arc<str>>,
        /// Whether they are to be paused.
        on: bool,
    },
    /// An operator takes a job from its bot: it waits again at its old place.
    Requeue {
        /// Which job.
        job: JobId,
        /// Whether that counts as a lost attempt.
        counts: bool,
    },
    /// An operator ends a bot's session. Its jobs wait again, and that was no attempt of theirs. Of very many leases some
    /// end at a time: the session is over when it is not known any more.
    Kick {
        /// Which session.
        session: SessionId,
    },
    /// An operator sets the numbers of a counter, or lets those of its jobs hold again.
    SetLimit {
        /// Instance of the counter.
        instance: InstanceName,
        /// Its name.
        counter: Arc<str>,
        /// The numbers from now on; `None`: those of its jobs.
        limit: Option<Arc<Limit>>,
    },
    /// Which questions of an instance somebody answers, from now on.
    Asking {
        /// Which instance.
        instance: InstanceName,
        /// What is answered.
        asking: Asking,
    },
    /// A policy says what becomes of a job after an attempt that failed.
    Decided(Box<Decided>),
    /// A policy says how well jobs and bots fit each other.
    Matched(Box<Matched>),
    /// A policy says what becomes of jobs that nobody can serve.
    Unmatched(Box<UnmatchedDecided>),
    /// Policies say where jobs stand from now on. Answers of a set of policies that is older than one that core has
    /// heard of change nothing.
    Place(Box<Place>),
    /// Other policies answer from now on, or one of them stands otherwise. Places that older ones gave count no more,
    /// neither in answers nor in requests.
    PoliciesChanged(Box<PoliciesChanged>),
    /// Time has passed: deadlines may be due.
    Tick,
    /// More of the jobs that a restart left for later are read, in any order. Rows of jobs that the book has known
    /// from its start may be among them.
    JobsLoaded {
        /// Their rows.
        rows: Vec<JobRow>,
        /// Whether every job was among these, or in an event before.
        last: bool,
    },
}

impl Event {
    /// Whether its outcome may hang on any job there is. After a restart such an event waits until every job is
    /// loaded; the others are handled meanwhile.
    pub fn needs_every_job(&self) -> bool {
        match self {
            // Is the action in flight already?
            Event::Submit(_) => !broken(Mutant::SubmitNotHeld),
            // The order of jobs that are hidden must not change.
            Event::SubmitCached(_) | Event::Cancel { .. } | Event::Delete { .. } | Event::Place(_) => true,
            // A bot's own leases are all known, and who gets new work is decided as if all jobs were.
            Event::OpenSession(_)
            | Event::UpdateSession(_)
            | Event::PollEnded { .. }
            | Event::Undelivered { .. }
            | Event::Drain { .. }
            | Event::Release { .. }
            | Event::Pause { .. }
            | Event::Requeue { .. }
            | Event::Kick { .. }
            | Event::SetLimit { .. }
            | Event::Asking { .. }
            | Event::Decided(_)
            | Event::Matched(_)
            | Event::Unmatched(_)
            | Event::PoliciesChanged(_)
            | Event::Tick
            | Event::JobsLoaded { .. } => false,
        }
    }
}

/// An action to execute, with the answers of the policies.
#[derive(Clone, Debug)]
pub struct Submit {
    /// Names the new handle, and the job if one is made.
    pub operation: OperationId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// Digest of the Action.
    pub action: Digest,
    /// `Action.do_not_cache`: never merged, in either role.
    pub do_not_cache: bool,
    /// `ExecuteRequest.skip_cache_lookup`: may join a job in flight but takes no finished result.
    pub skip_cache_lookup: bool,
    /// When the caller began to look into the action cache: a result that was finished after that is as good as
    /// a hit there.
    pub lookup_began: Timestamp,
    /// What a bot must offer.
    pub requirements: PropertySet,
    /// What it should offer if one that does is asking when the job begins to wait: a superset of `requirements`.
    pub preferred: Option<PropertySet>,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// Lane within the instance.
    pub lane: LaneKey,
    /// Weight of the lane, at least 1.
    pub weight: u32,
    /// Smaller goes first within the lane.
    pub rank: i64,
    /// Counters that it belongs to, at most 8.
    pub limits: Vec<Arc<Limit>>,
    /// Bots that served jobs with these keys are preferred; at most 4.
    pub affinities: Vec<Arc<Affinity>>,
    /// When its place is asked for again.
    pub again: Again,
    /// How long it may wait for a bot; `None`: for ever.
    pub queue_timeout: Option<Duration>,
    /// How long one attempt may take by the server's clock; `None`: for ever.
    pub execution_timeout: Option<Duration>,
}

/// What a bot says of its own health (RWAPI `BotStatus`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BotStatus {
    /// It takes work.
    Ok,
    /// It keeps its leases and gets no new ones.
    Unhealthy,
    /// As unhealthy.
    HostRebooting,
    /// It finishes its leases and goes away.
    Terminating,
    /// It will take work soon.
    Initializing,
}

/// A bot's hello.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Names the new session.
    pub session: SessionId,
    /// Instance that the bot serves.
    pub instance: InstanceName,
    /// The bot's own id. An older session of the same bot is closed.
    pub bot_id: Arc<str>,
    /// Who the bot authenticated as; only the same identity may update the session.
    pub identity: Arc<str>,
    /// What it can serve: a job fits if one of these sets satisfies it.
    pub capabilities: Vec<PropertySet>,
    /// How many leases it works on at a time.
    pub slots: u32,
    /// Hold its updates while it is full, so that it learns of a cancel at once.
    pub hold_when_full: bool,
    /// Its health.
    pub status: BotStatus,
    /// How good a bot it is: of several that ask and fit a job equally, the one with the largest goes first.
    pub score: u32,
    /// This call.
    pub poll: PollId,
    /// Until when the call may be held; `None`: it is answered at once.
    pub hold_until: Option<Timestamp>,
}

/// A bot's report and question.
#[derive(Clone, Debug)]
pub struct UpdateSession {
    /// Which session.
    pub session: SessionId,
    /// Must be that of the session.
    pub bot_id: Arc<str>,
    /// Must be that of the session.
    pub identity: Arc<str>,
    /// Its health.
    pub status: BotStatus,
    /// New capabilities and slots, if the bot changed.
    pub worker: Option<WorkerChange>,
    /// The leases that the bot lists.
    pub leases: Vec<LeaseReport>,
    /// This call.
    pub poll: PollId,
    /// Until when the call may be held; `None`: it is answered at once.
    pub hold_until: Option<Timestamp>,
}

/// What a bot can do, when it says so anew within a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerChange {
    /// As in [`OpenSession`].
    pub capabilities: Vec<PropertySet>,
    /// As in [`OpenSession`].
    pub slots: u32,
    /// As in [`OpenSession`].
    pub hold_when_full: bool,
    /// As in [`OpenSession`].
    pub score: u32,
}

/// What a bot says of one lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseReport {
    /// Which lease.
    pub lease: LeaseId,
    /// How it stands.
    pub state: ReportedState,
}

/// How a lease stands, as its bot says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedState {
    /// Taken, not begun.
    Pending,
    /// Being worked on.
    Active,
    /// Done, for better or worse.
    Completed {
        /// `Lease.status.code`: 0 is OK; INTERNAL and UNAVAILABLE are tried again.
        code: i32,
        /// Whether the result may serve later requests for the same action.
        cacheable: bool,
    },
    /// Done, and there is a result: of a command that failed. Never cacheable.
    CommandFailed,
    /// The bot gave it up.
    Cancelled,
}

/// What handling an event gave.
#[derive(Debug, Default)]
pub struct Step {
    /// Changes of durable state, already applied, in order. To be stored before anything else leaves.
    pub facts: Vec<Fact>,
    /// What is to be done once the facts are stored.
    pub effects: Vec<Effect>,
    /// For the caller, once the facts are stored.
    pub reply: Reply,
}

/// What the caller of an event learns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reply {
    /// Nothing but that it is done.
    #[default]
    Done,
    /// The action has a job.
    Submitted {
        /// The job that the handle names.
        job: JobId,
        /// Whether the job was there before.
        merged: bool,
    },
}

/// What is to happen outside once the facts are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell everybody who watches the job.
    JobChanged {
        /// Which job.
        job: JobId,
    },
    /// A handle of a job that goes on was cancelled: tell who watches the handle.
    OperationCancelled {
        /// Which handle.
        operation: OperationId,
        /// Its job.
        job: JobId,
    },
    /// Answer the call of a bot.
    Answer(Answer),
    /// Ask a policy. The answer is an event.
    Ask(Question),
}

/// The answer to CreateBotSession or UpdateBotSession.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which session.
    pub session: SessionId,
    /// Which call.
    pub poll: PollId,
    /// The leases as the engine sees them: what is not listed is not the bot's any more.
    pub leases: Vec<LeaseId>,
    /// When the session ends if nothing is heard of the bot.
    pub expires: Timestamp,
    /// Changes whenever the engine's view of the session does.
    pub version: u64,
}

/// A client is refused: ordinary, and nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The session never was, or has ended.
    #[error("bot session {0} is not known: it ended or expired; create a new one")]
    UnknownSession(SessionId),
    /// The session belongs to another bot.
    #[error("bot session {session} belongs to another bot id")]
    OtherBot {
        /// Which session.
        session: SessionId,
    },
    /// No operation of this name.
    #[error("operation {0} is not known")]
    UnknownOperation(OperationId),
    /// No job of this id, or one that is over.
    #[error("job {0} is not known, or is over")]
    UnknownJob(JobId),
    /// No bot has the job.
    #[error("job {0} is not executing")]
    NotExecuting(JobId),
    /// The id of a new operation or session is taken: ids are drawn at random.
    #[error("the id {0:032x} is in use")]
    IdTaken(u128),
    /// A bot that offers nothing cannot be given work.
    #[error("capacity {0} must be from 1 to {max}", max = crate::SLOTS_MAX)]
    Slots(u32),
    /// The operation is not finished, so it cannot be deleted.
    #[error("operation {0} is not finished: cancel it first")]
    NotFinished(OperationId),
    /// As many jobs wait as a policy allows.
    #[error("limit {} is reached: {} jobs may wait at a time", .0.limit.name, .0.limit.max_queued.unwrap_or_default())]
    LimitReached(Box<LimitState>),
    /// Other policies have become active since they were asked about this request: ask again.
    #[error("other policies have become active meanwhile")]
    Outdated,
}

/// What became of a job, seen through one of its handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a bot.
    Queued,
    /// A bot has it.
    Executing,
    /// It is over, or this handle is.
    Completed(Outcome),
}
