//! The only way that durable state changes. Cannot fail: a fact that does not fit is a bug, and panics with
//! its claim.

use super::{
    Book, Timer,
    flight::action_hash,
    job::{Details, Job, JobState, Lease, Millis, Told},
    session::Session,
};
use crate::{
    AttemptEnd, Fact, JobCreated, JobId, LeaseId, OperationId, OperationRow, Outcome, SessionChanged, SessionId,
    SessionOpened, Timestamp,
    index::hash_of_id,
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
                self.add_handle(index, OperationRow { operation: *operation, cancelled: None, deleted: false });
                if let Some(rank) = rank {
                    self.raise(index, *rank);
                }
            }
            Fact::OperationCancelled { operation, job, at } => self.apply_cancelled(*operation, *job, *at),
            Fact::OperationDeleted { operation, .. } => self.delete_handle(*operation),
            Fact::LeaseOffered { lease, session, at } => self.apply_offered(*lease, *session, *at),
            Fact::LeaseStarted { lease, at, .. } => {
                let index = self.known_job(lease.job);
                self.jobs.details_mut(index).started_at = Some(*at);
            }
            Fact::LeaseWithdrawn { lease, .. } => {
                let index = self.known_job(lease.job);
                self.jobs.details_mut(index).attempts_used += u32::from(broken(Mutant::WithdrawCounts));
                self.requeue(index);
            }
            Fact::LeaseRequeued { lease, at, .. } => {
                let index = self.known_job(lease.job);
                self.note_past(index, *at, AttemptEnd::Requeued);
                self.jobs.details_mut(index).attempts_used += u32::from(broken(Mutant::RequeueCounts));
                self.requeue(index);
            }
            Fact::AttemptLost { lease, code, at, .. } => {
                let index = self.known_job(lease.job);
                self.note_past(index, *at, AttemptEnd::Failed { code: *code });
                self.jobs.details_mut(index).attempts_used += 1;
                if broken(Mutant::RetryAtTheEnd) {
                    self.ages += 1;
                    self.jobs.details_mut(index).place.1 = self.ages;
                }
                self.requeue(index);
            }
            Fact::LeaseEvicted(evicted) => self.apply_evicted(evicted),
            Fact::CoolDownEnded { instance, counter, at } => {
                self.queue.end_cooling(&(instance.clone(), counter.clone()), *at);
            }
            Fact::LimitSet { instance, counter, limit } => {
                self.queue.set_limit(&(instance.clone(), counter.clone()), limit.clone());
            }
            Fact::AttemptFailed(failed) => {
                let index = self.known_job(failed.lease.job);
                self.note_past(index, failed.failed.at, AttemptEnd::Failed { code: failed.failed.code });
                self.release_lease(index);
                self.jobs.details_mut(index).started_at = None;
                self.setbacks.entry(index).or_default().row.note(failed.failed.clone());
                self.await_decision(index, failed.failed.at);
            }
            Fact::AttemptDecided(decided) => self.apply_decided(decided),
            Fact::DelayEnded { job, .. } => {
                let index = self.known_job(*job);
                self.end_setback(index);
                self.enqueue(index);
            }
            Fact::JobPlaced(placed) => self.apply_placed(placed),
            // Its number is not durable, and what it made of jobs has facts of its own.
            Fact::PolicyChanged(_) => {}
            Fact::JobRefused { job, at, .. } => self.apply_completed(*job, *at, Outcome::Refused),
            Fact::JobCompleted { job, at, outcome, .. } => self.apply_completed(*job, *at, *outcome),
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
                self.fewer_bots |= *on;
            }
            Fact::PauseSet { instance, label, on } => self.queue.set_paused((instance.clone(), label.clone()), *on),
            Fact::QuarantineSet { instance, bot_id, until } => {
                self.apply_quarantine((instance.clone(), bot_id.clone()), *until);
            }
        }
    }

    fn apply_created(&mut self, created: &JobCreated) {
        let class = self.queue.enter_requirements(&created.instance, &created.requirements, &created.label);
        let lane = self.queue.enter_lane(&created.instance, &created.lane, created.weight, created.age);
        let limits = self.queue.enter_limits(&created.instance, &created.limits, created.age);
        let job = Job {
            id: created.job,
            state: JobState::Queued,
            line: self.queue.enter_line(class, lane, limits),
            action_hash: action_hash(&created.instance, &created.action),
            execution_timeout: Millis::new(created.execution_timeout),
            offers: 0,
            do_not_cache: created.do_not_cache,
            timed: false,
            graced: false,
            deleted: false,
            joined: false,
        };
        let details = Details {
            action: created.action,
            place: (created.rank, created.age),
            queued_at: created.queued_at,
            started_at: None,
            cancelled: None,
            weight: created.weight,
            queue_timeout: Millis::new(created.queue_timeout),
            attempts_used: 0,
        };
        let index = self.insert_job(job, details);
        self.note_limits(index, &created.limits);
        self.set_affinities(index, &created.affinities);
        self.set_wish(index, created.preferred.clone());
        self.enqueue(index);
        if created.again.is_some() {
            self.set_again(index, created.again);
        }
    }

    /// Makes a job known by its id and its action.
    pub(super) fn insert_job(&mut self, job: Job, details: Details) -> JobIx {
        self.ages = self.ages.max(details.place.1);
        let joins = !job.do_not_cache || broken(Mutant::DoNotCacheIsJoined);
        self.queue.count_waiting(job.line, true);
        let index = self.jobs.insert(job, details);
        if joins {
            self.enter_flight(index);
        }
        index
    }

    fn apply_cancelled(&mut self, operation: OperationId, job: JobId, at: Timestamp) {
        let index = self.known_job(job);
        if operation.0 == job.0 {
            self.jobs.details_mut(index).cancelled = Some(at);
        } else {
            self.joined_mut(index, operation).cancelled = Some(at);
        }
    }

    /// Puts a job that waits into the queue, with the deadline for waiting.
    pub(super) fn enqueue(&mut self, index: JobIx) {
        self.job_mut(index).state = JobState::Queued;
        self.begin_wait(index);
        if let Some(at) = self.deadline_of(index) {
            self.timers.insert((at, Timer::Job(index)));
            self.job_mut(index).timed = true;
        }
    }

    /// The job waits no more.
    fn dequeue(&mut self, index: JobIx) {
        self.end_wait(index);
        if self.job(index).timed {
            let at = self.deadline_of(index).expect("a job that is timed has a deadline");
            self.timers.remove(&(at, Timer::Job(index)));
            self.job_mut(index).timed = false;
        }
    }

    fn raise(&mut self, index: JobIx, rank: i64) {
        if self.job(index).state != JobState::Queued {
            self.jobs.details_mut(index).place.0 = rank;
            return;
        }
        self.end_wait(index);
        self.jobs.details_mut(index).place.0 = rank;
        self.begin_wait(index);
    }

    fn apply_offered(&mut self, lease: LeaseId, session: SessionId, at: Timestamp) {
        let index = self.known_job(lease.job);
        let session = self.session_ix(session).expect("a fact names a session that exists");
        assert!(self.job(index).state == JobState::Queued, "only a job that waits is offered");
        assert!(lease.attempt > self.job(index).offers, "each offer has a new number");
        self.dequeue(index);
        let job = self.job_mut(index);
        job.offers = lease.attempt;
        job.graced = false;
        self.hold_lease(index, Lease { session, offered_at: at, told: Told::No });
    }

    /// A job that is in no queue is with a bot from now on. Its deadline is its bot's: most leases end before it, and
    /// cost no deadline of their own.
    pub(super) fn hold_lease(&mut self, index: JobIx, lease: Lease) {
        let job = self.job_mut(index);
        job.state = JobState::Leased(lease);
        let line = job.line;
        self.queue.count_waiting(line, false);
        self.queue.count_running(line, true);
        self.session_mut(lease.session).jobs.push(index);
        if !broken(Mutant::AskedWhileRunning) {
            self.rest_again(index);
        }
        if let Some(at) = self.deadline_of(index) {
            self.look_at_session(lease.session, at);
        }
    }

    /// Takes the job from its bot, in the book; the bot may not know yet.
    fn release_lease(&mut self, index: JobIx) {
        let job = self.job_mut(index);
        let JobState::Leased(lease) = job.state else { panic!("a fact names a lease that is live") };
        job.graced = false;
        let line = job.line;
        self.queue.count_running(line, false);
        self.queue.count_waiting(line, true);
        self.session_mut(lease.session).jobs.retain(|held| *held != index);
        self.resume_again(index);
    }

    pub(super) fn requeue(&mut self, index: JobIx) {
        self.release_lease(index);
        self.jobs.details_mut(index).started_at = None;
        self.enqueue(index);
    }

    fn apply_completed(&mut self, job: JobId, at: Timestamp, outcome: Outcome) {
        let index = self.known_job(job);
        let started = self.began(index);
        self.note_last(index, at, outcome);
        match self.job(index).state {
            JobState::Queued => self.dequeue(index),
            JobState::Leased(_) => self.release_lease(index),
            JobState::Deciding { .. } | JobState::Delayed { .. } => self.end_setback(index),
            JobState::Completed { .. } => panic!("a job ends once"),
        }
        self.jobs.details_mut(index).started_at = started;
        self.queue.count_waiting(self.job(index).line, false);
        self.forget_again(index);
        self.end_patience_of(index);
        self.job_mut(index).state = JobState::Completed { at, outcome };
        if matches!(outcome, Outcome::Reported { code: 0, cacheable: true }) && !broken(Mutant::ResultsForgotten) {
            self.remember_result(index);
        } else {
            self.leave_flight(index);
        }
        self.finished.push_back((at, index));
    }

    fn apply_opened(&mut self, opened: &SessionOpened) {
        let class = self.queue.enter_capabilities(&opened.instance, &opened.capabilities);
        let index = self.insert_session(Session::new(opened, class));
        self.set_score(index, opened.score);
    }

    /// Makes a session known by its id and by its bot.
    pub(super) fn insert_session(&mut self, session: Session) -> SessionIx {
        let (id, bot) = (session.id, self.bot_of(&session));
        let index = SessionIx(u32::try_from(self.sessions.insert(session)).expect("fewer than 2^32 sessions"));
        assert!(self.session_ix(id).is_none(), "session ids are unique");
        self.session_index.insert(hash_of_id(id.0), index.0);
        self.bots.insert(bot, index);
        index
    }

    fn apply_changed(&mut self, changed: &SessionChanged) {
        let index = self.session_ix(changed.session).expect("a fact names a session that exists");
        let session = self.session(index);
        let (instance, old) = (self.queue.instance_of(session.class).clone(), session.class);
        let class = if self.queue.offered(old) == changed.capabilities.as_slice() {
            old
        } else {
            self.stop_asking(index);
            let class = self.queue.enter_capabilities(&instance, &changed.capabilities);
            self.queue.leave_capabilities(old);
            class
        };
        if self.score_of(index) != changed.score {
            self.stop_asking(index);
            self.set_score(index, changed.score);
        }
        let session = self.session_mut(index);
        session.class = class;
        session.slots = changed.slots;
        session.hold_when_full = changed.hold_when_full;
        session.status = changed.status;
        self.fewer_bots = true;
    }

    fn apply_closed(&mut self, session: SessionId) {
        let index = self.session_ix(session).expect("a fact names a session that exists");
        self.session_index.remove(hash_of_id(session.0), index.0);
        self.stop_asking(index);
        self.set_score(index, 0);
        self.forget_served(index);
        let session = self.sessions.remove(index.0 as usize);
        assert!(session.jobs.is_empty(), "the leases of a session end before it does");
        if let Some(at) = session.timer {
            self.timers.remove(&(at, Timer::Session(index)));
        }
        let bot = self.bot_of(&session);
        if self.bots.get(&bot) == Some(&index) {
            self.bots.remove(&bot);
        }
        self.queue.leave_capabilities(session.class);
        self.fewer_bots = true;
    }

    pub(super) fn known_job(&self, job: JobId) -> JobIx {
        self.jobs.find(job).expect("a fact names a job that exists")
    }

    pub(super) fn lease_mut(&mut self, index: JobIx) -> &mut Lease {
        match &mut self.job_mut(index).state {
            JobState::Leased(lease) => lease,
            other => panic!("a fact names a lease that is live, not {other:?}"),
        }
    }
}
