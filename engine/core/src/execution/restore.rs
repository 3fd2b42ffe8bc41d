//! After-images out, recovery in. `restore(rows)` equals applying every committed fact: a test holds them equal.

use std::sync::Arc;

use super::{
    Book, Settings,
    flight::action_hash,
    job::{Details, Job, JobState, Lease, Millis, Told},
    session::Session,
};
use crate::{
    CoolDownRow, DrainRow, Hidden, InstanceName, JobId, JobRow, JobRowState, LeaseRow, Limit, LimitRow, QuarantineRow,
    Rows, SessionId, SessionOpened, SessionRow, Timestamp,
    mutant::{Mutant, broken},
    queue::{CounterName, JobIx, SessionIx},
};

impl Book {
    /// A book from the rows of incomplete work. Sessions get a full fresh timeout, and leases and waiting jobs as much
    /// time as a session, before anything is held against them.
    pub fn restore(settings: Settings, now: Timestamp, rows: Rows) -> Self {
        let mut book = Self::restore_rows(settings, now, rows);
        book.queue.settle_hunger(now.max(book.grace));
        book
    }

    fn restore_rows(settings: Settings, now: Timestamp, rows: Rows) -> Self {
        let mut book = Self::new(settings);
        // Versions go on growing: the clock is ahead of any count of changes.
        book.changes = now.0;
        if !broken(Mutant::RestoreWithoutGrace) {
            book.grace = now.after(book.settings.session_timeout);
        }
        book.drains = rows.drains.into_iter().map(|row| (row.instance, row.bot_id)).collect();
        if broken(Mutant::RestoreForgetsDrains) {
            book.drains.clear();
        }
        for row in rows.pauses {
            if !broken(Mutant::RestoreForgetsPauses) {
                book.queue.set_paused((row.instance, row.label), true);
            }
        }
        for row in rows.quarantines {
            if !broken(Mutant::RestoreForgetsQuarantines) {
                book.apply_quarantine((row.instance, row.bot_id), Some(row.until));
            }
        }
        for row in rows.cool_downs {
            let name = (row.instance, row.counter);
            let until = row.until.into_iter().filter(|_| !broken(Mutant::RestoreForgetsCoolDowns));
            until.for_each(|until| book.queue.cool(&name, until));
        }
        for row in rows.limits.into_iter().filter(|_| !broken(Mutant::RestoreForgetsLimits)) {
            book.queue.set_limit(&(row.instance, row.limit.name.clone()), Some(row.limit));
        }
        book.unmatched.started = now;
        for row in rows.sessions {
            book.restore_session(now, row);
        }
        let mut leases: rustc_hash::FxHashMap<_, _> = rows.leases.into_iter().map(|row| (row.lease.job, row)).collect();
        for row in rows.jobs {
            let lease = leases.remove(&row.job);
            book.restore_job(row, lease);
        }
        assert!(leases.is_empty(), "every lease row belongs to a job row");
        // Nobody asks yet.
        book.queue.take_freed();
        book
    }

    /// The same where not all jobs are among the rows: those that have a lease are, and the first of each line. The
    /// others come later, by [`Event::JobsLoaded`](crate::Event::JobsLoaded); bots are served meanwhile.
    pub fn restore_partly(settings: Settings, now: Timestamp, rows: Rows, hidden: Hidden) -> Self {
        let mut book = Self::restore_rows(settings, now, rows);
        book.hide(hidden);
        book
    }

    /// Everything that a restart would need, in the order of ids.
    pub fn rows(&self) -> Rows {
        let live = || self.jobs.iter().filter(|(_, job)| !matches!(job.state, JobState::Completed { .. }));
        let mut rows = Rows {
            jobs: live().map(|(index, _)| self.row_of(index)).collect(),
            leases: live().filter_map(|(index, _)| self.lease_row_of(index)).collect(),
            sessions: self.sessions.iter().map(|(at, _)| self.session_row_of(SessionIx(at as u32))).collect(),
            drains: self.drains.iter().cloned().map(|(instance, bot_id)| DrainRow { instance, bot_id }).collect(),
            pauses: self.pauses(),
            quarantines: self.quarantines.iter().map(quarantine_row).collect(),
            limits: self.queue.set_limits().map(|((instance, _), limit)| limit_row(instance, limit)).collect(),
            cool_downs: self.queue.all_cooling().map(|(name, until)| cool_down_row(name, until)).collect(),
        };
        rows.sort();
        rows
    }

    /// The job's row as it is now; `None` if core has forgotten the job.
    pub fn job_row(&self, job: JobId) -> Option<JobRow> {
        self.job_ix(job).map(|index| self.row_of(index))
    }

    /// The row of the job's live lease.
    pub fn lease_row(&self, job: JobId) -> Option<LeaseRow> {
        self.lease_row_of(self.job_ix(job)?)
    }

    /// The session's row as it is now.
    pub fn session_row(&self, session: SessionId) -> Option<SessionRow> {
        self.session_ix(session).map(|index| self.session_row_of(index))
    }

    /// The counter's row as it is now; `None`: no eviction makes it smaller.
    pub fn cool_down_row(&self, instance: &InstanceName, counter: &Arc<str>) -> Option<CoolDownRow> {
        let name = (instance.clone(), counter.clone());
        let until = self.queue.cooling_of(&name);
        (!until.is_empty()).then(|| cool_down_row(&name, until))
    }

    fn restore_session(&mut self, now: Timestamp, row: SessionRow) {
        let class = self.queue.enter_capabilities(&row.instance, &row.capabilities);
        let opened = SessionOpened {
            session: row.session,
            instance: row.instance,
            bot_id: row.bot_id,
            identity: row.identity,
            capabilities: row.capabilities,
            slots: row.slots,
            hold_when_full: row.hold_when_full,
            status: row.status,
            score: if broken(Mutant::RestoreForgetsScores) { 0 } else { row.score },
            at: row.opened_at,
        };
        let mut session = Session::new(&opened, class);
        if !broken(Mutant::RestoreKeepsContact) {
            session.contact = now;
        }
        session.version = self.changes;
        let index = self.insert_session(session);
        self.set_score(index, opened.score);
        self.arm(index);
    }

    pub(super) fn restore_job(&mut self, row: JobRow, lease: Option<LeaseRow>) {
        let class = self.queue.enter_requirements(&row.instance, &row.requirements, &row.label);
        let lane = self.queue.enter_lane(&row.instance, &row.lane, row.weight, row.age);
        let limits = self.queue.enter_limits(&row.instance, &row.limits, row.age);
        let mut handles = row.operations.into_iter();
        let first = handles.next().expect("a job's row has at least one handle");
        assert!(first.operation.0 == row.job.0, "a job has the id of its first handle");
        let job = Job {
            id: row.job,
            state: JobState::Queued,
            line: self.queue.enter_line(class, lane, limits),
            action_hash: action_hash(&row.instance, &row.action),
            execution_timeout: Millis::new(row.execution_timeout),
            offers: row.offers,
            do_not_cache: row.do_not_cache,
            timed: false,
            graced: lease.is_some(),
            deleted: first.deleted,
            joined: false,
        };
        let details = Details {
            action: row.action,
            place: (row.rank, row.age),
            queued_at: row.queued_at,
            started_at: lease.and_then(|lease| lease.started_at),
            cancelled: first.cancelled,
            weight: row.weight,
            queue_timeout: Millis::new(row.queue_timeout),
            attempts_used: row.attempts_used,
        };
        let index = self.insert_job(job, details);
        handles.for_each(|handle| self.add_handle(index, handle));
        self.note_limits(index, &row.limits);
        if !broken(Mutant::RestoreForgetsKeys) {
            self.set_affinities(index, &row.affinities);
        }
        self.restore_setbacks(index, row.setbacks);
        self.restore_past(index, row.past);
        if row.again.is_some() && !broken(Mutant::RestoreForgetsAgain) {
            self.set_again(index, row.again);
        }
        self.set_wish(index, row.preferred.filter(|_| !broken(Mutant::RestoreForgetsWishes)));
        match (row.state, lease) {
            (JobRowState::Queued, None) => self.enqueue(index),
            (JobRowState::Leased, Some(lease)) => self.restore_lease(index, lease),
            // At once: time itself is not known here.
            (JobRowState::Deciding, None) => self.await_decision(index, Timestamp::default()),
            (JobRowState::Delayed { .. }, None) if broken(Mutant::RestoreForgetsDelays) => self.enqueue(index),
            (JobRowState::Delayed { until }, None) => self.delay(index, until),
            (state, lease) => {
                panic!("a row of incomplete work is queued, or leased with a lease: {state:?}, {lease:?}")
            }
        }
    }

    fn restore_lease(&mut self, index: JobIx, row: LeaseRow) {
        let session: SessionIx = self.session_ix(row.session).expect("a lease's row names an open session");
        self.hold_lease(index, Lease { session, offered_at: row.offered_at, told: Told::MayKnow });
    }

    fn row_of(&self, index: JobIx) -> JobRow {
        let (job, details) = (self.job(index), self.jobs.details(index));
        let state = match job.state {
            JobState::Queued => JobRowState::Queued,
            JobState::Leased(_) => JobRowState::Leased,
            JobState::Deciding { .. } => JobRowState::Deciding,
            JobState::Delayed { until } => JobRowState::Delayed { until },
            JobState::Completed { at, outcome } => JobRowState::Completed { at, outcome },
        };
        let (requirements, label) = self.queue.requirements(job.line);
        let (rank, age) = details.place;
        JobRow {
            job: job.id,
            instance: self.instance_of(index).clone(),
            action: details.action,
            do_not_cache: job.do_not_cache,
            requirements: requirements.clone(),
            preferred: self.wish_of(index),
            label: label.clone(),
            lane: self.queue.lane_key(job.line).clone(),
            weight: details.weight,
            rank,
            limits: self.limits.get(&index).map(|limits| limits.to_vec()).unwrap_or_default(),
            affinities: self.affinities_of(index).to_vec(),
            age,
            queued_at: details.queued_at,
            queue_timeout: details.queue_timeout.get(),
            execution_timeout: job.execution_timeout.get(),
            offers: job.offers,
            attempts_used: details.attempts_used,
            operations: self.handles(index).collect(),
            again: self.again_of(index),
            setbacks: self.setbacks_of(index).cloned().map(Box::new),
            past: self.past_of(index),
            started_at: details.started_at.filter(|_| matches!(state, JobRowState::Completed { .. })),
            state,
        }
    }

    fn lease_row_of(&self, index: JobIx) -> Option<LeaseRow> {
        let job = self.job(index);
        let JobState::Leased(lease) = job.state else { return None };
        Some(LeaseRow {
            lease: job.lease(),
            session: self.session(lease.session).id,
            offered_at: lease.offered_at,
            started_at: self.jobs.details(index).started_at,
        })
    }

    fn session_row_of(&self, index: SessionIx) -> SessionRow {
        let session = self.session(index);
        SessionRow {
            session: session.id,
            instance: self.queue.instance_of(session.class).clone(),
            bot_id: session.bot_id().into(),
            identity: session.identity().into(),
            capabilities: self.queue.offered(session.class).to_vec(),
            slots: session.slots,
            hold_when_full: session.hold_when_full,
            status: session.status,
            score: self.score_of(index),
            opened_at: session.opened_at,
        }
    }
}

fn quarantine_row(((instance, bot_id), until): (&(InstanceName, Arc<str>), &Timestamp)) -> QuarantineRow {
    QuarantineRow { instance: instance.clone(), bot_id: bot_id.clone(), until: *until }
}

fn cool_down_row((instance, counter): &CounterName, until: &[Timestamp]) -> CoolDownRow {
    CoolDownRow { instance: instance.clone(), counter: counter.clone(), until: until.to_vec() }
}

fn limit_row(instance: &InstanceName, limit: &Arc<Limit>) -> LimitRow {
    LimitRow { instance: instance.clone(), limit: limit.clone() }
}
