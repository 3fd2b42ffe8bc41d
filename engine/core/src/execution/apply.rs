//! The only way that durable state changes. Cannot fail: a fact that does not fit is a bug, and panics with
//! its claim.

use super::{
    Book, Timer,
    job::{Job, JobState, Lease, Told, duration, millis},
    session::Session,
};
use crate::{
    Fact, JobCreated, JobId, LeaseId, OperationRow, Outcome, SessionChanged, SessionId, SessionOpened, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

impl Book {
    /// Applies one fact: at run time right after it was decided, in tests one after another from an empty book.
    pub fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::JobCreated(created) => self.apply_created(created),
            Fact::OperationAdded { operation, job, rank } => {
                let index = self.known_job(*job);
                let row = OperationRow { operation: *operation, cancelled: None };
                self.job_mut(index).others.push(row);
                self.operations.insert(*operation, index);
                if let Some(rank) = rank {
                    self.raise(index, *rank);
                }
            }
            Fact::OperationCancelled { operation, job, at } => {
                let index = self.known_job(*job);
                let row = self.job_mut(index).operation_mut(*operation).expect("a fact names a handle of the job");
                row.cancelled = Some(*at);
            }
            Fact::OperationDeleted { operation, .. } => {
                self.operations.remove(operation);
            }
            Fact::LeaseOffered { lease, session, at } => self.apply_offered(*lease, *session, *at),
            Fact::LeaseStarted { lease, at } => {
                let index = self.known_job(lease.job);
                self.lease_mut(index).started_at = Some(*at);
            }
            Fact::LeaseWithdrawn { lease } => {
                let index = self.known_job(lease.job);
                self.job_mut(index).attempts_used += u32::from(broken(Mutant::WithdrawCounts));
                self.requeue(index);
            }
            Fact::AttemptLost { lease, .. } => {
                let index = self.known_job(lease.job);
                self.job_mut(index).attempts_used += 1;
                if broken(Mutant::RetryAtTheEnd) {
                    self.ages += 1;
                    self.job_mut(index).age = self.ages;
                }
                self.requeue(index);
            }
            Fact::JobCompleted { job, at, outcome } => self.apply_completed(*job, *at, *outcome),
            Fact::SessionOpened(opened) => self.apply_opened(opened),
            Fact::SessionChanged(changed) => self.apply_changed(changed),
            Fact::SessionClosed { session, .. } => self.apply_closed(*session),
            Fact::DrainSet { instance, bot_id, on } => {
                let key = (instance.clone(), bot_id.clone());
                if *on {
                    self.drains.insert(key);
                } else {
                    self.drains.remove(&key);
                }
            }
        }
    }

    fn apply_created(&mut self, created: &JobCreated) {
        let class = self.queue.enter_requirements(&created.instance, &created.requirements, &created.label);
        let lane = self.queue.enter_lane(&created.instance, &created.lane, created.weight, created.age);
        let operation = crate::OperationId(created.job.0);
        let job = Job {
            id: created.job,
            instance: created.instance.clone(),
            action: created.action,
            class,
            lane,
            rank: created.rank,
            age: created.age,
            weight: created.weight,
            queued_at: created.queued_at,
            queue_timeout_ms: created.queue_timeout.map(millis),
            execution_timeout_ms: created.execution_timeout.map(millis),
            offers: 0,
            attempts_used: 0,
            do_not_cache: created.do_not_cache,
            state: JobState::Queued,
            timer: None,
            first: OperationRow { operation, cancelled: None },
            others: Vec::new(),
        };
        let index = self.insert_job(job);
        self.enqueue(index);
    }

    /// Makes a job known by its id, its handles and its action.
    pub(super) fn insert_job(&mut self, job: Job) -> JobIx {
        self.ages = self.ages.max(job.age);
        let id = job.id;
        let index = JobIx(u32::try_from(self.jobs.insert(job)).expect("fewer than 2^32 jobs at a time"));
        let before = self.job_index.insert(id, index);
        assert!(before.is_none(), "job ids are unique");
        let Self { jobs, operations, .. } = self;
        let job = &jobs[index.0 as usize];
        operations.extend(job.operations().map(|row| (row.operation, index)));
        if !job.do_not_cache || broken(Mutant::DoNotCacheIsJoined) {
            self.enter_flight(index);
        }
        index
    }

    /// Puts a job that waits into the queue, with the deadline for waiting.
    pub(super) fn enqueue(&mut self, index: JobIx) {
        let job = self.job_mut(index);
        job.state = JobState::Queued;
        let timeout_ms = job.queue_timeout_ms.filter(|_| !broken(Mutant::NoQueueDeadline));
        let (spot, at) = (job.spot(), timeout_ms.map(|ms| job.queued_at.after(duration(ms))));
        self.queue.push(spot, index);
        self.set_job_timer(index, at);
    }

    fn raise(&mut self, index: JobIx, rank: i64) {
        let job = self.job_mut(index);
        let queued = job.state == JobState::Queued;
        let old = job.spot();
        job.rank = rank;
        let new = job.spot();
        if queued {
            self.queue.remove(old);
            self.queue.push(new, index);
        }
    }

    fn apply_offered(&mut self, lease: LeaseId, session: SessionId, at: Timestamp) {
        let index = self.known_job(lease.job);
        let session = *self.session_index.get(&session).expect("a fact names a session that exists");
        let job = self.job_mut(index);
        assert!(job.state == JobState::Queued, "only a job that waits is offered");
        assert!(lease.attempt > job.offers, "each offer has a new number");
        job.offers = lease.attempt;
        let spot = job.spot();
        self.queue.remove(spot);
        self.hold_lease(index, Lease { session, offered_at: at, started_at: None, told: Told::No }, at);
    }

    /// A job that is in no queue is with a bot from now on.
    pub(super) fn hold_lease(&mut self, index: JobIx, lease: Lease, from: Timestamp) {
        let job = self.job_mut(index);
        job.state = JobState::Leased(lease);
        let timeout_ms = job.execution_timeout_ms.filter(|_| !broken(Mutant::NoExecutionDeadline));
        let (lane, timer) = (job.lane, timeout_ms.map(|ms| from.after(duration(ms))));
        self.queue.count_running(lane, true);
        self.session_mut(lease.session).jobs.push(index);
        self.set_job_timer(index, timer);
    }

    /// Takes the job from its bot, in the book; the bot may not know yet.
    fn release_lease(&mut self, index: JobIx) {
        let job = self.job(index);
        let JobState::Leased(lease) = job.state else { panic!("a fact names a lease that is live") };
        let lane = job.lane;
        self.queue.count_running(lane, false);
        self.session_mut(lease.session).jobs.retain(|held| *held != index);
    }

    fn requeue(&mut self, index: JobIx) {
        self.release_lease(index);
        self.enqueue(index);
    }

    fn apply_completed(&mut self, job: JobId, at: Timestamp, outcome: Outcome) {
        let index = self.known_job(job);
        match self.job(index).state {
            JobState::Queued => {
                let spot = self.job(index).spot();
                self.queue.remove(spot);
            }
            JobState::Leased(_) => self.release_lease(index),
            JobState::Completed { .. } => panic!("a job ends once"),
        }
        self.set_job_timer(index, None);
        self.job_mut(index).state = JobState::Completed { at, outcome };
        self.leave_flight(index);
        if matches!(outcome, Outcome::Reported { code: 0, cacheable: true }) && !broken(Mutant::ResultsForgotten) {
            self.remember_result(index);
        }
        self.finished.push_back((at, index));
    }

    fn apply_opened(&mut self, opened: &SessionOpened) {
        let class = self.queue.enter_capabilities(&opened.instance, &opened.capabilities);
        self.insert_session(Session::new(opened, class));
    }

    /// Makes a session known by its id and by its bot.
    pub(super) fn insert_session(&mut self, session: Session) -> SessionIx {
        let (id, bot) = (session.id, (session.instance.clone(), session.bot_id.clone()));
        let index = SessionIx(u32::try_from(self.sessions.insert(session)).expect("fewer than 2^32 sessions"));
        let before = self.session_index.insert(id, index);
        assert!(before.is_none(), "session ids are unique");
        self.bots.insert(bot, index);
        index
    }

    fn apply_changed(&mut self, changed: &SessionChanged) {
        let index = *self.session_index.get(&changed.session).expect("a fact names a session that exists");
        let session = self.session(index);
        let (instance, old) = (session.instance.clone(), session.class);
        let class = if self.queue.offered(old) == changed.capabilities.as_slice() {
            old
        } else {
            self.stop_asking(index);
            let class = self.queue.enter_capabilities(&instance, &changed.capabilities);
            self.queue.leave_capabilities(old);
            class
        };
        let session = self.session_mut(index);
        session.class = class;
        session.slots = changed.slots;
        session.hold_when_full = changed.hold_when_full;
        session.status = changed.status;
    }

    fn apply_closed(&mut self, session: SessionId) {
        let index = self.session_index.remove(&session).expect("a fact names a session that exists");
        self.stop_asking(index);
        let session = self.sessions.remove(index.0 as usize);
        assert!(session.jobs.is_empty(), "the leases of a session end before it does");
        if let Some(at) = session.timer {
            self.timers.remove(&(at, Timer::Session(index)));
        }
        let bot = (session.instance, session.bot_id);
        if self.bots.get(&bot) == Some(&index) {
            self.bots.remove(&bot);
        }
        self.queue.leave_capabilities(session.class);
    }

    fn known_job(&self, job: JobId) -> JobIx {
        self.job_ix(job).expect("a fact names a job that exists")
    }

    pub(super) fn lease_mut(&mut self, index: JobIx) -> &mut Lease {
        match &mut self.job_mut(index).state {
            JobState::Leased(lease) => lease,
            other => panic!("a fact names a lease that is live, not {other:?}"),
        }
    }
}
