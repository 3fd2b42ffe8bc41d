//! The execution book: REAPI jobs with their operations, bots' sessions, and the leases between them.
//!
//! [`Book::handle`] decides; [`Book::apply`] is the only way that durable state changes. What a restart may
//! lose (who is connected, which call is held, results that finished moments ago) is kept beside it and
//! changes directly.

mod affinity;
mod ahead;
mod answer;
mod apply;
mod assign;
mod avoid;
mod cancel;
mod choice;
mod decide;
mod drain;
mod evict;
mod explain;
mod flight;
mod job;
mod jobs;
mod limits;
mod load;
mod matching;
mod past;
mod pause;
mod place;
mod prefer;
mod quarantine;
mod record;
mod report;
mod requeue;
mod restore;
mod session;
mod setback;
mod submit;
mod tick;
mod unmatched;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxHashMap;
use slab::Slab;

use self::place::Agains;
use self::{
    affinity::Affinities, choice::Choice, jobs::Jobs, load::Loading, matching::Matching, prefer::Preferences,
    record::Records, session::Session, setback::Setback, unmatched::Unmatched,
};
pub use self::{
    explain::{Waiting, Why},
    matching::PAIRS_MAX,
    past::PAST_ATTEMPTS_MAX,
    view::{BotCounts, Counts, JobView, LabelCounts, LeaseView, OperationView, SessionView},
};
use crate::{
    Answer, Asking, Event, Fact, InstanceName, JobId, Limit, OperationId, OperationRow, PastAttempt, Pools, Rejection,
    SessionId, Step, Timestamp,
    index::{Index, hash_of_id},
    queue::{JobIx, Queue, SessionIx},
};

/// The most leases that one bot may work on at a time: what one event may touch stays bounded.
pub const SLOTS_MAX: u32 = 1_000;

/// How many deadlines one `Tick` handles, after how many facts it stops, and how many leases of a session it ends at a
/// time: the rest are due at once again. Each lease that ends makes two facts at most, so that an event stays below 1 024.
const TICK_MAX: usize = 64;
const TICK_FACTS: usize = 512;
const LEASES_AT_A_TIME: usize = 200;

/// The rules' numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session ends when nothing was heard of its bot for this long.
    pub session_timeout: Duration,
    /// How many attempts a job has in all.
    pub attempts_max: u32,
    /// How long a finished result is remembered for requests whose cache lookup began before it finished.
    pub recent_results: Duration,
    /// How often a job may fail in all, where a policy says that attempts do not count.
    pub failures_max: u32,
    /// Whether policies are asked about commands that failed, too.
    pub ask_command_failed: bool,
    /// Which instances share their bots.
    pub pools: Pools,
}

impl Default for Settings {
    /// 45 s, 5 attempts, 10 s (SEMANTICS: sessions and dedup), 100 failures.
    fn default() -> Self {
        Self {
            session_timeout: Duration::from_secs(45),
            attempts_max: 5,
            recent_results: Duration::from_secs(10),
            failures_max: 100,
            ask_command_failed: false,
            pools: Pools::default(),
        }
    }
}

/// Everything about executions in one partition.
#[derive(Debug)]
pub struct Book {
    settings: Settings,
    queue: Queue,
    jobs: Jobs,
    /// The further handles of jobs that were joined, oldest first, and the jobs of those handles.
    joined: FxHashMap<JobIx, Vec<OperationRow>>,
    joined_index: FxHashMap<OperationId, JobIx>,
    /// The job of each action that others may join: see `flight`.
    by_action: Index,
    /// Results that still count if the job in flight, which is named first, ends badly.
    older_results: FxHashMap<JobIx, JobIx>,
    sessions: Slab<Session>,
    session_index: Index,
    bots: FxHashMap<(InstanceName, Arc<str>), SessionIx>,
    drains: BTreeSet<(InstanceName, Arc<str>)>,
    quarantines: BTreeMap<(InstanceName, Arc<str>), Timestamp>,
    /// The same by their end.
    quarantine_ends: BTreeSet<(Timestamp, (InstanceName, Arc<str>))>,
    /// Who wants to be asked what. Not durable.
    asking: FxHashMap<InstanceName, Asking>,
    setbacks: FxHashMap<JobIx, Setback>,
    /// Attempts of jobs that gave no result: of the few jobs that have such.
    past: FxHashMap<JobIx, Vec<PastAttempt>>,
    /// Limits of jobs that have any, as they came.
    limits: FxHashMap<JobIx, Box<[Arc<Limit>]>>,
    /// Deadlines of jobs that are decided or delayed.
    pending: BTreeSet<(Timestamp, JobIx)>,
    /// Evictions whose bots have not let go yet. Not durable.
    under_way: Vec<evict::UnderWay>,
    /// Jobs that wait apart from the queue, because they keep away from some bots; by age.
    picky: BTreeMap<u64, JobIx>,
    /// Whether bots went away, or take no work any more, since `picky` was looked at.
    fewer_bots: bool,
    records: Records,
    unmatched: Unmatched,
    agains: Agains,
    ages: u64,
    /// Deadlines of jobs that wait, and for each session the time to look at it: not later than it must be.
    timers: BTreeSet<(Timestamp, Timer)>,
    /// Finished jobs that are still remembered, oldest first.
    finished: VecDeque<(Timestamp, JobIx)>,
    /// Calls that are answered at the end of the batch.
    due: Vec<SessionIx>,
    /// Numbers our changes to bots' leases: the source of session versions.
    changes: u64,
    /// Some time after a restart only.
    loading: Option<Loading>,
    choice: Choice,
    matching: Matching,
    preferences: Preferences,
    affinities: Affinities,
    /// Until then nothing is held against what a restart found: bots need time to come back.
    grace: Timestamp,
}

/// What a deadline is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Job(JobIx),
    Session(SessionIx),
}

impl Book {
    /// An empty book.
    pub fn new(settings: Settings) -> Self {
        Self {
            queue: Queue::with(settings.pools.clone()),
            settings,
            jobs: Jobs::default(),
            joined: FxHashMap::default(),
            joined_index: FxHashMap::default(),
            by_action: Index::default(),
            older_results: FxHashMap::default(),
            sessions: Slab::new(),
            session_index: Index::default(),
            bots: FxHashMap::default(),
            drains: BTreeSet::new(),
            quarantines: BTreeMap::new(),
            quarantine_ends: BTreeSet::new(),
            asking: FxHashMap::default(),
            setbacks: FxHashMap::default(),
            past: FxHashMap::default(),
            limits: FxHashMap::default(),
            pending: BTreeSet::new(),
            under_way: Vec::new(),
            picky: BTreeMap::new(),
            fewer_bots: false,
            records: Records::default(),
            unmatched: Unmatched::default(),
            agains: Agains::default(),
            ages: 0,
            timers: BTreeSet::new(),
            finished: VecDeque::new(),
            due: Vec::new(),
            changes: 0,
            loading: None,
            choice: Choice::default(),
            matching: Matching::default(),
            preferences: Preferences::default(),
            affinities: Affinities::default(),
            grace: Timestamp::default(),
        }
    }

    /// Handles one event at a time that is not before that of the event before. On a rejection nothing has
    /// changed. Calls that are to be answered are answered by [`Book::finish_batch`].
    pub fn handle(&mut self, now: Timestamp, event: Event) -> Result<Step, Rejection> {
        assert!(
            self.loading.is_none() || !event.needs_every_job(),
            "what hangs on jobs that may be hidden waits until they are loaded"
        );
        let mut step = Step::default();
        match event {
            Event::Submit(submit) => self.submit(now, *submit, &mut step)?,
            Event::SubmitCached(submit) => self.submit_cached(now, *submit, &mut step)?,
            Event::Cancel { operation } => self.cancel(now, operation, &mut step)?,
            Event::Delete { operation, job } => self.delete(operation, job, &mut step)?,
            Event::OpenSession(open) => self.open_session(now, *open, &mut step)?,
            Event::UpdateSession(update) => self.update_session(now, *update, &mut step)?,
            Event::PollEnded { session, poll } => self.poll_ended(now, session, poll, &mut step),
            Event::Undelivered { session, poll } => self.undelivered(now, session, poll, &mut step),
            Event::Drain { instance, bot_id, on } => self.drain(now, instance, bot_id, on, &mut step),
            Event::Release { instance, bot_id } => self.release(now, instance, bot_id, &mut step),
            Event::Pause { instance, label, on } => self.pause(now, (instance, label), on, &mut step),
            Event::Requeue { job, counts } => self.requeue_job(now, job, counts, &mut step)?,
            Event::Kick { session } => self.kick(now, session, &mut step)?,
            Event::SetLimit { instance, counter, limit } => self.set_limit(instance, counter, limit, &mut step),
            Event::Asking { instance, asking } => self.set_asking(now, instance, asking, &mut step),
            Event::Decided(decided) => self.decided(now, *decided, &mut step),
            Event::Matched(matched) => self.matched(now, *matched, &mut step),
            Event::Unmatched(decided) => self.unmatched_decided(now, *decided, &mut step),
            Event::Place(place) => self.place(now, *place, &mut step),
            Event::PoliciesChanged(changed) => self.policies_changed(*changed, &mut step),
            Event::Tick => self.tick(now, &mut step),
            Event::JobsLoaded { rows, last } => self.load(now, rows, last, &mut step),
        }
        self.serve_freed(now, &mut step);
        self.serve_picky(now, &mut step);
        self.ask_matches(now, &mut step);
        // Not before every job is there: until then it is not known who waits. A restart gives bots time to come back.
        if self.loading.is_none() {
            self.queue.settle_hunger(now.max(self.grace));
        }
        Ok(step)
    }

    /// Ends a batch of events: the calls that have something to hear are answered, each once.
    pub fn finish_batch(&mut self, now: Timestamp) -> Vec<Answer> {
        self.forget_finished(now);
        self.answer_due(now)
    }

    /// When the next deadline is due, if there is one.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let timers = self.timers.first().map(|(at, _)| *at);
        let quarantines = self.quarantine_ends.first().map(|(at, _)| *at);
        let pending = self.pending.first().map(|(at, _)| *at);
        // Nobody is asked before all jobs are there.
        let agains = self.agains.next().filter(|_| self.loading.is_none());
        let (matching, patience) = (self.matching.next_deadline(), self.affinities.next_deadline());
        let hungry = self.queue.next_hungry().map(|(at, _)| at).filter(|_| self.loading.is_none());
        let cooled = self.queue.next_cooled().map(|(at, _)| *at);
        let waits =
            [timers, pending, agains, patience, self.unmatched.next_look, matching, quarantines, hungry, cooled];
        waits.into_iter().flatten().min()
    }

    fn emit(&mut self, fact: Fact, step: &mut Step) {
        self.apply(&fact);
        step.facts.push(fact);
    }

    fn changed(&mut self) -> u64 {
        self.changes += 1;
        self.changes
    }

    fn job_ix(&self, job: JobId) -> Option<JobIx> {
        self.jobs.find(job)
    }

    fn session_ix(&self, session: SessionId) -> Option<SessionIx> {
        let is_it = |number: u32| self.sessions[number as usize].id == session;
        self.session_index.find(hash_of_id(session.0), is_it).map(SessionIx)
    }

    fn session(&self, index: SessionIx) -> &Session {
        &self.sessions[index.0 as usize]
    }

    fn session_mut(&mut self, index: SessionIx) -> &mut Session {
        &mut self.sessions[index.0 as usize]
    }
}
