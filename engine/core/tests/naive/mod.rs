//! The rules of the execution book once more: flat vectors, linear scans, no classes, no indexes, no timers. Slow and
//! obvious on purpose. `model.rs` compares the book with it event by event, and so does the simulation in `tests/sim`.
//!
//! Not a specification of its own: where the two differ, one of them is wrong, and `SEMANTICS` says which.

mod affinity;
pub mod choice;
mod evict;
mod jobs;
mod limits;
mod load;
pub mod matching;
mod operators;
mod place;
mod questions;
mod sessions;
mod time;

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use berth_core::{
    Affinity, Answer, Asking, AttemptEnd, BotStatus, CoolDownRow, Digest, DrainRow, Event, Fact, InstanceName, JobId,
    JobRow, JobRowState, LaneKey, LeaseId, LeaseRow, Limit, LimitRow, OperationId, OperationRow, Outcome,
    PAST_ATTEMPTS_MAX, PastAttempt, PauseRow, PollId, PropertySet, QuarantineRow, Rejection, Reply, Rows, SessionId,
    SessionRow, Setbacks, Settings, Stage, Timestamp,
};

/// A bot by its own id.
pub type Bot = (InstanceName, Arc<str>);

/// The book, naively.
#[derive(Clone, Debug)]
pub struct Naive {
    pub settings: Settings,
    pub jobs: Vec<Job>,
    pub sessions: Vec<Session>,
    pub drains: Vec<Bot>,
    /// Instances, or labels of them.
    pub pauses: Vec<(InstanceName, Option<Arc<str>>)>,
    /// After a restart no wait is too long before this.
    grace: Timestamp,
    pub quarantines: Vec<(Bot, Timestamp)>,
    /// Who wants to be asked what.
    pub asking: Vec<(InstanceName, Asking)>,
    /// The last 16 attempts of each bot: whether they failed.
    records: Vec<(Bot, Vec<bool>)>,
    /// Classes without a bot.
    pub lonely: Vec<questions::Lonely>,
    /// When the process began.
    started: Timestamp,
    /// What policies are asked: job and revision.
    asks: Vec<(JobId, u32)>,
    /// Jobs whose place policies are asked for.
    place_asks: Vec<JobId>,
    /// The newest set of policies that was heard of.
    generation: u64,
    /// The newest weight of each lane.
    weights: Vec<((InstanceName, LaneKey), u32)>,
    /// The newest numbers of each counter.
    limits: Vec<limits::Counter>,
    /// Numbers that an operator set.
    set_limits: Vec<limits::Counter>,
    /// Until when evictions count against counters.
    cooling: Vec<(limits::Name, Timestamp)>,
    /// Counters that have less than they were promised.
    hungry: Vec<evict::Hungry>,
    /// Evictions whose bots have not let go yet.
    under_way: Vec<evict::UnderWay>,
    /// Counters that were full and have room again.
    freed: Vec<(InstanceName, Arc<str>)>,
    age: u64,
    tickets: u64,
    /// Sessions whose call is answered at the end of the batch.
    due: Vec<SessionId>,
    facts: Vec<Fact>,
    answers: Vec<Answer>,
    /// After a restart: the jobs that are hidden until all are loaded, as they were then.
    hidden: Vec<Job>,
    /// Where they stand is not known: nobody is given anything.
    blind: bool,
    /// What policies said of pairs, and when what they were asked is asked again.
    known: Vec<(matching::Pair, u32)>,
    open: Vec<(matching::Pair, Timestamp)>,
    /// Pairs that they are asked about.
    wondered: Vec<matching::Pair>,
    /// Not all is loaded.
    loading: bool,
    /// Those of them that are not loaded.
    unloaded: BTreeSet<JobId>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub id: JobId,
    pub instance: InstanceName,
    pub action: Digest,
    pub do_not_cache: bool,
    pub requirements: PropertySet,
    pub preferred: Option<PropertySet>,
    pub label: Arc<str>,
    pub lane: LaneKey,
    pub weight: u32,
    pub rank: i64,
    pub limits: Vec<Arc<Limit>>,
    pub affinities: Vec<Arc<Affinity>>,
    /// Until when it waits for a bot that served its keys, and whether that time is still to come.
    patience: Option<(Timestamp, bool)>,
    pub age: u64,
    pub queued_at: Timestamp,
    pub queue_timeout: Option<Duration>,
    pub execution_timeout: Option<Duration>,
    pub offers: u32,
    pub attempts_used: u32,
    pub operations: Vec<Handle>,
    /// When its place is asked for: as it is stored, and as it is.
    pub again: Option<Timestamp>,
    look: Option<Timestamp>,
    pub setbacks: Option<Box<Setbacks>>,
    /// Attempts without a result, oldest first.
    pub past: Vec<PastAttempt>,
    pub state: State,
    /// When it waited, or ran, for too long.
    pub deadline: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug)]
pub struct Handle {
    pub id: OperationId,
    pub cancelled: Option<Timestamp>,
    pub deleted: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Leased { session: SessionId, offered_at: Timestamp, started_at: Option<Timestamp>, told: Told },
    Deciding { asked: bool },
    Delayed { until: Timestamp },
    Completed { at: Timestamp, outcome: Outcome },
}

/// What the bot may know of its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Once(PollId),
    MayKnow,
}

#[derive(Clone, Debug)]
pub struct Session {
    pub id: SessionId,
    pub instance: InstanceName,
    pub bot_id: Arc<str>,
    pub identity: Arc<str>,
    pub capabilities: Vec<PropertySet>,
    pub slots: u32,
    pub hold_when_full: bool,
    pub status: BotStatus,
    pub score: u32,
    /// Of the jobs that it served last, oldest first.
    pub keys: Vec<(InstanceName, Arc<str>)>,
    pub opened_at: Timestamp,
    /// In the order in which they were given.
    pub leases: Vec<JobId>,
    /// What the bot lists though it is not its own any more: each keeps a slot.
    pub ghosts: Vec<LeaseId>,
    pub poll: Option<Poll>,
    /// Since when it asks, as a number that grows.
    pub ticket: Option<u64>,
    pub contact: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub struct Poll {
    pub id: PollId,
    pub hold_until: Timestamp,
    pub due: bool,
}

/// What an event should give. Versions of answers are not predicted: they are 0.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    pub facts: Vec<Fact>,
    pub reply: Reply,
    pub answers: Vec<Answer>,
    /// Jobs and revisions about which a policy is asked.
    pub asks: Vec<(JobId, u32)>,
    /// Jobs whose place policies are asked for.
    pub places: Vec<JobId>,
    /// Pairs about which a policy is asked.
    pub pairs: Vec<matching::Pair>,
}

impl Naive {
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            jobs: Vec::new(),
            sessions: Vec::new(),
            drains: Vec::new(),
            pauses: Vec::new(),
            grace: Timestamp(0),
            quarantines: Vec::new(),
            asking: Vec::new(),
            records: Vec::new(),
            lonely: Vec::new(),
            started: Timestamp(0),
            asks: Vec::new(),
            place_asks: Vec::new(),
            generation: 0,
            weights: Vec::new(),
            limits: Vec::new(),
            set_limits: Vec::new(),
            cooling: Vec::new(),
            hungry: Vec::new(),
            under_way: Vec::new(),
            freed: Vec::new(),
            age: 0,
            tickets: 0,
            due: Vec::new(),
            facts: Vec::new(),
            answers: Vec::new(),
            hidden: Vec::new(),
            blind: false,
            known: Vec::new(),
            open: Vec::new(),
            wondered: Vec::new(),
            loading: false,
            unloaded: BTreeSet::new(),
        }
    }

    /// What the book should do with the event. Deadlines that are due at once have no order of their own, so a tick
    /// follows `seen`, the facts that the book made: each must be one that may come next.
    pub fn handle(&mut self, now: Timestamp, event: &Event, seen: &[Fact]) -> Result<Expected, Rejection> {
        let mut reply = Reply::Done;
        match event {
            Event::Submit(submit) => reply = self.submit(now, submit)?,
            Event::SubmitCached(submit) => reply = self.submit_cached(now, submit)?,
            Event::Cancel { operation } => self.cancel(now, *operation)?,
            Event::Delete { operation, job } => self.delete(*operation, *job)?,
            Event::OpenSession(open) => self.open(now, open)?,
            Event::UpdateSession(update) => self.update(now, update)?,
            Event::PollEnded { session, poll } => self.poll_ended(now, *session, *poll),
            Event::Undelivered { session, poll } => self.take_back(now, *session, Told::Once(*poll)),
            Event::Drain { instance, bot_id, on } => self.drain(now, instance, bot_id, *on),
            Event::Release { instance, bot_id } => self.release(now, instance, bot_id),
            Event::Pause { instance, label, on } => self.pause(now, instance, label.as_ref(), *on),
            Event::Requeue { job, counts } => self.requeue_job(now, *job, *counts)?,
            Event::Kick { session } => self.kick(now, *session)?,
            Event::SetLimit { instance, counter, limit } => self.set_limit(instance, counter, limit.as_ref()),
            Event::Asking { instance, asking } => self.set_asking(now, instance, *asking),
            Event::Decided(decided) => self.decided(now, decided),
            Event::Matched(matched) => self.matched(now, matched),
            Event::Unmatched(decided) => self.unmatched(now, decided, seen),
            Event::Place(place) => self.place(now, place),
            Event::PoliciesChanged(changed) => self.policies_changed(changed),
            Event::Tick => {
                self.tick(now, seen);
                self.ask_places(now);
            }
            Event::JobsLoaded { rows, last } => self.loaded(now, rows, *last),
        }
        self.serve_freed(now);
        self.serve_all_picky(now);
        self.wonder(now);
        self.note_lonely(now);
        self.note_hungry(now);
        let (facts, answers) = (std::mem::take(&mut self.facts), std::mem::take(&mut self.answers));
        let (asks, places) = (std::mem::take(&mut self.asks), std::mem::take(&mut self.place_asks));
        Ok(Expected { facts, reply, answers, asks, places, pairs: std::mem::take(&mut self.wondered) })
    }

    /// Everything that a restart would need, in the order of ids.
    pub fn rows(&self) -> Rows {
        let live = || self.jobs.iter().filter(|job| !matches!(job.state, State::Completed { .. }));
        let mut rows = Rows {
            jobs: live().map(Job::row).collect(),
            leases: live().filter_map(Job::lease_row).collect(),
            sessions: self.sessions.iter().map(Session::row).collect(),
            drains: self
                .drains
                .iter()
                .map(|(instance, bot_id)| DrainRow { instance: instance.clone(), bot_id: bot_id.clone() })
                .collect(),
            pauses: self
                .pauses
                .iter()
                .map(|(instance, label)| PauseRow { instance: instance.clone(), label: label.clone() })
                .collect(),
            quarantines: self
                .quarantines
                .iter()
                .map(|((instance, bot_id), until)| QuarantineRow {
                    instance: instance.clone(),
                    bot_id: bot_id.clone(),
                    until: *until,
                })
                .collect(),
            cool_downs: self.cool_downs(),
            limits: self.limit_rows(),
        };
        rows.sort();
        rows
    }

    /// What a client of the handle sees, as long as its job is remembered.
    pub fn stage(&self, operation: OperationId) -> Option<Stage> {
        let live = |handle: &&Handle| handle.id == operation && !handle.deleted;
        self.jobs.iter().find_map(|job| {
            let handle = job.operations.iter().find(live)?;
            Some(match (handle.cancelled, job.state) {
                (Some(_), _) => Stage::Completed(Outcome::Cancelled),
                (None, State::Queued | State::Deciding { .. } | State::Delayed { .. }) => Stage::Queued,
                (None, State::Leased { .. }) => Stage::Executing,
                (None, State::Completed { outcome, .. }) => Stage::Completed(outcome),
            })
        })
    }

    pub fn job(&self, job: JobId) -> Option<&Job> {
        self.jobs.iter().find(|known| known.id == job)
    }

    pub fn session(&self, session: SessionId) -> Option<&Session> {
        self.sessions.iter().find(|known| known.id == session)
    }

    fn job_mut(&mut self, job: JobId) -> &mut Job {
        self.jobs.iter_mut().find(|known| known.id == job).expect("the model names jobs that it has")
    }

    fn session_mut(&mut self, session: SessionId) -> &mut Session {
        self.sessions.iter_mut().find(|known| known.id == session).expect("the model names sessions that it has")
    }

    /// The job that this bot should get now: of the lane with the least (running + 1) / weight, then by rank, then
    /// by age; unless a policy chooses another lane. None while that is a hidden one, whatever became of it since.
    fn best(&mut self, now: Timestamp, session: SessionId) -> Option<JobId> {
        let best = self.best_of(session, |_| true)?;
        let chosen = self.chosen(now, self.session(session).expect("the model names sessions that it has"));
        self.nearest(now, session, chosen.unwrap_or(best))
    }

    /// The same among some of those that are not hidden, by the built-in rule.
    fn best_of(&self, session: SessionId, among: impl Fn(&Job) -> bool) -> Option<JobId> {
        let session = self.session(session).expect("the model names sessions that it has");
        if self.blind {
            return None;
        }
        let is_hidden = |job: &Job| self.hidden.iter().any(|hidden| hidden.id == job.id);
        let known = self.jobs.iter().filter(|job| job.state == State::Queued && !is_hidden(job) && among(job));
        let fitting = known.filter(|job| !self.avoids(job, session)).chain(&self.hidden);
        let fitting = fitting.filter(|job| self.fits(session, job) && !self.is_blocked(job));
        fitting.min_by(|job, other| self.order(job, other)).filter(|job| !is_hidden(job)).map(|job| job.id)
    }

    fn order(&self, job: &Job, other: &Job) -> Ordering {
        let (mine, theirs) = (self.share(job), self.share(other));
        let share = (mine.0 * theirs.1).cmp(&(theirs.0 * mine.1));
        let owed = self.is_owed(other).cmp(&self.is_owed(job));
        owed.then(share).then((job.rank, job.age).cmp(&(other.rank, other.age)))
    }

    /// (running + 1, weight) of the job's lane.
    fn share(&self, job: &Job) -> (u64, u64) {
        let same = |other: &&Job| other.instance == job.instance && other.lane == job.lane;
        let running = self.jobs.iter().filter(same).filter(|other| matches!(other.state, State::Leased { .. })).count();
        let lane = (job.instance.clone(), job.lane.clone());
        let weight = self.weights.iter().find(|(key, _)| *key == lane).map_or(1, |(_, weight)| *weight);
        (running as u64 + 1, u64::from(weight.max(1)))
    }

    fn set_weight(&mut self, instance: &InstanceName, lane: &LaneKey, weight: u32) {
        let key = (instance.clone(), lane.clone());
        self.weights.retain(|(known, _)| *known != key);
        self.weights.push((key, weight));
    }
}

impl Job {
    pub fn lease(&self) -> LeaseId {
        LeaseId { job: self.id, attempt: self.offers }
    }

    fn row(&self) -> JobRow {
        let state = match self.state {
            State::Queued => JobRowState::Queued,
            State::Leased { .. } => JobRowState::Leased,
            State::Deciding { .. } => JobRowState::Deciding,
            State::Delayed { until } => JobRowState::Delayed { until },
            State::Completed { at, outcome } => JobRowState::Completed { at, outcome },
        };
        JobRow {
            job: self.id,
            instance: self.instance.clone(),
            action: self.action,
            do_not_cache: self.do_not_cache,
            requirements: self.requirements.clone(),
            preferred: self.preferred.clone(),
            label: self.label.clone(),
            lane: self.lane.clone(),
            weight: self.weight,
            rank: self.rank,
            limits: self.limits.clone(),
            affinities: self.affinities.clone(),
            age: self.age,
            queued_at: self.queued_at,
            queue_timeout: self.queue_timeout,
            execution_timeout: self.execution_timeout,
            offers: self.offers,
            attempts_used: self.attempts_used,
            operations: self
                .operations
                .iter()
                .map(|handle| OperationRow {
                    operation: handle.id,
                    cancelled: handle.cancelled,
                    deleted: handle.deleted,
                })
                .collect(),
            again: self.again.filter(|_| !matches!(self.state, State::Completed { .. })),
            setbacks: self.setbacks(),
            past: self.past.clone(),
            started_at: None,
            state,
        }
    }

    fn lease_row(&self) -> Option<LeaseRow> {
        let State::Leased { session, offered_at, started_at, .. } = self.state else { return None };
        Some(LeaseRow { lease: self.lease(), session, offered_at, started_at })
    }
}

impl Session {
    /// Slots that the bot could fill now.
    pub fn free(&self) -> usize {
        (self.slots as usize).saturating_sub(self.leases.len() + self.ghosts.len())
    }

    fn row(&self) -> SessionRow {
        SessionRow {
            session: self.id,
            instance: self.instance.clone(),
            bot_id: self.bot_id.clone(),
            identity: self.identity.clone(),
            capabilities: self.capabilities.clone(),
            slots: self.slots,
            hold_when_full: self.hold_when_full,
            status: self.status,
            score: self.score,
            opened_at: self.opened_at,
        }
    }
}
