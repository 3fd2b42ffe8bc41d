//! After-images out, recovery in. `restore(rows)` equals applying every committed fact: a test holds them equal.

use super::{
    Book, Settings,
    job::{Job, JobState, Lease, Told, duration, millis},
    session::Session,
};
use crate::{
    DrainRow, Hidden, JobId, JobRow, JobRowState, LeaseId, LeaseRow, Rows, SessionId, SessionOpened, SessionRow,
    Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

impl Book {
    /// A book from the rows of incomplete work. Sessions get a full fresh timeout, and leases as much time as a
    /// session, before anything is held against them.
    pub fn restore(settings: Settings, now: Timestamp, rows: Rows) -> Self {
        let mut book = Self::new(settings);
        // Versions go on growing: the clock is ahead of any count of changes.
        book.changes = now.0;
        book.drains = rows.drains.into_iter().map(|row| (row.instance, row.bot_id)).collect();
        if broken(Mutant::RestoreForgetsDrains) {
            book.drains.clear();
        }
        for row in rows.sessions {
            book.restore_session(now, row);
        }
        let mut leases: rustc_hash::FxHashMap<_, _> = rows.leases.into_iter().map(|row| (row.lease.job, row)).collect();
        for row in rows.jobs {
            let lease = leases.remove(&row.job);
            book.restore_job(now, row, lease);
        }
        assert!(leases.is_empty(), "every lease row belongs to a job row");
        book
    }

    /// The same where not all jobs are among the rows: those that have a lease are, and the first of each line. The
    /// others come later, by [`Event::JobsLoaded`](crate::Event::JobsLoaded); bots are served meanwhile.
    pub fn restore_partly(settings: Settings, now: Timestamp, rows: Rows, hidden: Hidden) -> Self {
        let mut book = Self::restore(settings, now, rows);
        book.hide(hidden);
        book
    }

    /// Everything that a restart would need, in the order of ids.
    pub fn rows(&self) -> Rows {
        let live = self.jobs.iter().filter(|(_, job)| !matches!(job.state, JobState::Completed { .. }));
        let mut rows = Rows {
            jobs: live.clone().map(|(_, job)| self.row_of(job)).collect(),
            leases: live.filter_map(|(_, job)| self.lease_row_of(job)).collect(),
            sessions: self.sessions.iter().map(|(_, session)| self.session_row_of(session)).collect(),
            drains: self.drains.iter().cloned().map(|(instance, bot_id)| DrainRow { instance, bot_id }).collect(),
        };
        rows.sort();
        rows
    }

    /// The job's row as it is now; `None` if core has forgotten the job.
    pub fn job_row(&self, job: JobId) -> Option<JobRow> {
        self.job_ix(job).map(|index| self.row_of(self.job(index)))
    }

    /// The row of the job's live lease.
    pub fn lease_row(&self, job: JobId) -> Option<LeaseRow> {
        self.lease_row_of(self.job(self.job_ix(job)?))
    }

    /// The session's row as it is now.
    pub fn session_row(&self, session: SessionId) -> Option<SessionRow> {
        self.session_index.get(&session).map(|index| self.session_row_of(self.session(*index)))
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
            at: row.opened_at,
        };
        let mut session = Session::new(&opened, class);
        if !broken(Mutant::RestoreKeepsContact) {
            session.contact = now;
        }
        session.version = self.changes;
        let index = self.insert_session(session);
        self.arm(index);
    }

    pub(super) fn restore_job(&mut self, now: Timestamp, row: JobRow, lease: Option<LeaseRow>) {
        let class = self.queue.enter_requirements(&row.instance, &row.requirements, &row.label);
        let lane = self.queue.enter_lane(&row.instance, &row.lane, row.weight, row.age);
        let mut operations = row.operations.into_iter();
        let job = Job {
            id: row.job,
            instance: row.instance,
            action: row.action,
            class,
            lane,
            rank: row.rank,
            age: row.age,
            weight: row.weight,
            queued_at: row.queued_at,
            queue_timeout_ms: row.queue_timeout.map(millis),
            execution_timeout_ms: row.execution_timeout.map(millis),
            offers: row.offers,
            attempts_used: row.attempts_used,
            do_not_cache: row.do_not_cache,
            state: JobState::Queued,
            timer: None,
            first: operations.next().expect("a job's row has at least one handle"),
            others: operations.collect(),
        };
        let index = self.insert_job(job);
        match (row.state, lease) {
            (JobRowState::Queued, None) => self.enqueue(index),
            (JobRowState::Leased, Some(lease)) => self.restore_lease(now, index, lease),
            (state, lease) => {
                panic!("a row of incomplete work is queued, or leased with a lease: {state:?}, {lease:?}")
            }
        }
    }

    fn restore_lease(&mut self, now: Timestamp, index: JobIx, row: LeaseRow) {
        let session: SessionIx = *self.session_index.get(&row.session).expect("a lease's row names an open session");
        let lease = Lease { session, offered_at: row.offered_at, started_at: row.started_at, told: Told::MayKnow };
        self.hold_lease(index, lease, row.offered_at);
        let grace = now.after(self.settings.session_timeout);
        if let Some(at) = self.job(index).timer
            && at < grace
            && !broken(Mutant::RestoreWithoutGrace)
        {
            self.set_job_timer(index, Some(grace));
        }
    }

    fn row_of(&self, job: &Job) -> JobRow {
        let state = match job.state {
            JobState::Queued => JobRowState::Queued,
            JobState::Leased(_) => JobRowState::Leased,
            JobState::Completed { at, outcome } => JobRowState::Completed { at, outcome },
        };
        let (requirements, label) = self.queue.requirements(job.class);
        JobRow {
            job: job.id,
            instance: job.instance.clone(),
            action: job.action,
            do_not_cache: job.do_not_cache,
            requirements: requirements.clone(),
            label: label.clone(),
            lane: self.queue.lane(job.lane).clone(),
            weight: job.weight,
            rank: job.rank,
            age: job.age,
            queued_at: job.queued_at,
            queue_timeout: job.queue_timeout_ms.map(duration),
            execution_timeout: job.execution_timeout_ms.map(duration),
            offers: job.offers,
            attempts_used: job.attempts_used,
            operations: job.operations().copied().collect(),
            state,
        }
    }

    fn lease_row_of(&self, job: &Job) -> Option<LeaseRow> {
        let JobState::Leased(lease) = job.state else { return None };
        Some(LeaseRow {
            lease: LeaseId { job: job.id, attempt: job.offers },
            session: self.session(lease.session).id,
            offered_at: lease.offered_at,
            started_at: lease.started_at,
        })
    }

    fn session_row_of(&self, session: &Session) -> SessionRow {
        SessionRow {
            session: session.id,
            instance: session.instance.clone(),
            bot_id: session.bot_id.clone(),
            identity: session.identity.clone(),
            capabilities: self.queue.offered(session.class).to_vec(),
            slots: session.slots,
            hold_when_full: session.hold_when_full,
            status: session.status,
            opened_at: session.opened_at,
        }
    }
}
