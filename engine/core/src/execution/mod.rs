//! The execution book: REAPI jobs with their operations, bots' sessions, and the leases between them.
//!
//! [`Book::handle`] decides; [`Book::apply`] is the only way that durable state changes. What a restart may
//! lose (who is connected, which call is held, results that finished moments ago) is kept beside it and
//! changes directly.

mod answer;
mod apply;
mod assign;
mod cancel;
mod drain;
mod explain;
mod job;
mod load;
mod report;
mod restore;
mod session;
mod submit;
mod tick;
mod view;

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use hashbrown::HashTable;
use rustc_hash::FxHashMap;
use slab::Slab;

pub use self::{
    explain::{Waiting, Why},
    view::{Counts, JobView, LeaseView, OperationView, SessionView},
};
use self::{job::Job, load::Loading, session::Session};
use crate::{
    Answer, Event, Fact, InstanceName, JobId, OperationId, Rejection, SessionId, Step, Timestamp,
    queue::{JobIx, Queue, SessionIx},
};

/// The most leases that one bot may work on at a time: what one event may touch stays bounded.
pub const SLOTS_MAX: u32 = 1_000;

/// How many deadlines one `Tick` handles; the rest are due at once again.
const TICK_MAX: usize = 64;

/// The rules' numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A session ends when nothing was heard of its bot for this long.
    pub session_timeout: Duration,
    /// How many attempts a job has in all.
    pub attempts_max: u32,
    /// How long a finished result is remembered for requests whose cache lookup began before it finished.
    pub recent_results: Duration,
}

impl Default for Settings {
    /// 45 s, 5 attempts, 10 s (SEMANTICS: sessions and dedup).
    fn default() -> Self {
        Self { session_timeout: Duration::from_secs(45), attempts_max: 5, recent_results: Duration::from_secs(10) }
    }
}

/// Everything about executions in one partition.
#[derive(Debug)]
pub struct Book {
    settings: Settings,
    queue: Queue,
    jobs: Slab<Job>,
    job_index: FxHashMap<JobId, JobIx>,
    operations: FxHashMap<OperationId, JobIx>,
    /// Jobs in flight that a request for the same action may join: one an action.
    in_flight: HashTable<JobIx>,
    /// Jobs whose result a request for the same action may take, because they finished moments ago: the newest of
    /// each action.
    recent: HashTable<JobIx>,
    sessions: Slab<Session>,
    session_index: FxHashMap<SessionId, SessionIx>,
    bots: FxHashMap<(InstanceName, Arc<str>), SessionIx>,
    drains: BTreeSet<(InstanceName, Arc<str>)>,
    ages: u64,
    timers: BTreeSet<(Timestamp, Timer)>,
    /// Finished jobs that are still remembered, oldest first.
    finished: VecDeque<(Timestamp, JobIx)>,
    /// Calls that are answered at the end of the batch.
    due: Vec<SessionIx>,
    /// Numbers our changes to bots' leases: the source of session versions.
    changes: u64,
    /// Some time after a restart only.
    loading: Option<Loading>,
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
            settings,
            queue: Queue::default(),
            jobs: Slab::new(),
            job_index: FxHashMap::default(),
            operations: FxHashMap::default(),
            in_flight: HashTable::new(),
            recent: HashTable::new(),
            sessions: Slab::new(),
            session_index: FxHashMap::default(),
            bots: FxHashMap::default(),
            drains: BTreeSet::new(),
            ages: 0,
            timers: BTreeSet::new(),
            finished: VecDeque::new(),
            due: Vec::new(),
            changes: 0,
            loading: None,
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
            Event::Tick => self.tick(now, &mut step),
            Event::JobsLoaded { rows, last } => self.load(now, rows, last, &mut step),
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
        self.timers.first().map(|(at, _)| *at)
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
        self.job_index.get(&job).copied()
    }

    fn job(&self, index: JobIx) -> &Job {
        &self.jobs[index.0 as usize]
    }

    fn job_mut(&mut self, index: JobIx) -> &mut Job {
        &mut self.jobs[index.0 as usize]
    }

    fn session(&self, index: SessionIx) -> &Session {
        &self.sessions[index.0 as usize]
    }

    fn session_mut(&mut self, index: SessionIx) -> &mut Session {
        &mut self.sessions[index.0 as usize]
    }

    fn set_job_timer(&mut self, index: JobIx, at: Option<Timestamp>) {
        let job = &mut self.jobs[index.0 as usize];
        if job.timer != at {
            if let Some(old) = job.timer {
                self.timers.remove(&(old, Timer::Job(index)));
            }
            job.timer = at;
            if let Some(at) = at {
                self.timers.insert((at, Timer::Job(index)));
            }
        }
    }
}
