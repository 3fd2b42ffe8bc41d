//! A job in memory: what core must know to schedule it, and no more. A million of them may wait.

use std::time::Duration;

use super::Book;
use crate::{
    Digest, InstanceName, JobId, LeaseId, OperationId, OperationRow, Outcome, SessionId, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, LineIx, Place, SessionIx, Spot},
};

/// One execution of an action: what is read when it is offered, reported, ended and forgotten. One cache line, because
/// with a million jobs each line that a step reads comes from memory.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Job {
    /// The id of its first handle, too.
    pub(super) id: JobId,
    pub(super) state: JobState,
    /// Its requirement class and its lane; the instance is that of the class.
    pub(super) line: LineIx,
    /// Of the instance and the action: where it is found by those who want the same.
    pub(super) action_hash: u32,
    pub(super) execution_timeout: Millis,
    /// Number of the newest offer.
    pub(super) offers: u32,
    pub(super) do_not_cache: bool,
    /// Whether the book has a deadline for its wait.
    pub(super) timed: bool,
    /// Its lease is as a restart found it, and so nothing is held against it before the restart's grace is over.
    pub(super) graced: bool,
    /// Whether its first handle was deleted.
    pub(super) deleted: bool,
    /// Whether it has further handles: `Book::joined` has them.
    pub(super) joined: bool,
}

const _: () = assert!(size_of::<Job>() == 64, "a job is one cache line");

/// What is read seldom.
#[derive(Debug)]
pub(super) struct Details {
    pub(super) action: Digest,
    /// The rank changes when a more urgent request joins.
    pub(super) place: Place,
    pub(super) queued_at: Timestamp,
    /// Of the live lease. Once the job is over: when its last attempt was offered, if that attempt ended it.
    pub(super) started_at: Option<Timestamp>,
    /// When the first handle was given up.
    pub(super) cancelled: Option<Timestamp>,
    /// As it came; the lane goes by its newest job's.
    pub(super) weight: u32,
    pub(super) queue_timeout: Millis,
    /// Failed attempts that count.
    pub(super) attempts_used: u32,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Queued,
    Leased(Lease),
    /// A policy is asked what becomes of it. Whether that has happened is not durable: a restart asks again.
    Deciding {
        asked: bool,
    },
    /// Waits, but not for a bot.
    Delayed {
        until: Timestamp,
    },
    /// Over: still here for requests that began before, and for those who watch.
    Completed {
        at: Timestamp,
        outcome: Outcome,
    },
}

/// A live lease: a job has at most one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) session: SessionIx,
    pub(super) offered_at: Timestamp,
    pub(super) told: Told,
}

/// What the bot may know of its lease. Not durable: after a restart it may know of every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// No answer carries it yet.
    No,
    /// The newest answer of the session is the only one that carries it, and the bot has not listed it.
    Once,
    /// The bot listed it, or more than one answer carried it: it cannot be taken back unheard.
    MayKnow,
}

/// A timeout, or none. Milliseconds are enough for one, and four bytes hold 49 days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Millis(u32);

impl Millis {
    pub(super) fn new(timeout: Option<Duration>) -> Self {
        let longest = |timeout: Duration| u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX).min(u32::MAX - 1);
        Self(timeout.map_or(u32::MAX, longest))
    }

    pub(super) fn get(self) -> Option<Duration> {
        (self.0 < u32::MAX).then(|| Duration::from_millis(u64::from(self.0)))
    }
}

impl Job {
    /// The newest lease, live or not.
    pub(super) fn lease(&self) -> LeaseId {
        LeaseId { job: self.id, attempt: self.offers }
    }
}

impl Book {
    pub(super) fn job(&self, index: JobIx) -> &Job {
        self.jobs.get(index)
    }

    pub(super) fn job_mut(&mut self, index: JobIx) -> &mut Job {
        self.jobs.get_mut(index)
    }

    /// How long the live attempt has taken: since the bot was heard to work on it, or else since it was offered.
    pub(super) fn ran_ms(&self, now: Timestamp, index: JobIx) -> u32 {
        let ran = match self.job(index).state {
            JobState::Leased(lease) => now.since(self.jobs.details(index).started_at.unwrap_or(lease.offered_at)),
            JobState::Deciding { .. } => self.open_question(index).took,
            JobState::Queued | JobState::Delayed { .. } | JobState::Completed { .. } => return 0,
        };
        u32::try_from(ran.as_millis()).unwrap_or(u32::MAX)
    }

    /// The session of the bot that has it.
    pub(super) fn holder(&self, index: JobIx) -> Option<SessionId> {
        let JobState::Leased(lease) = self.job(index).state else { return None };
        Some(self.session(lease.session).id)
    }

    /// When the attempt began that the job is in, or that ended it: when it was offered to its bot.
    pub(super) fn began(&self, index: JobIx) -> Option<Timestamp> {
        match self.job(index).state {
            JobState::Leased(lease) => Some(lease.offered_at),
            JobState::Deciding { .. } => {
                let failed = self.open_question(index);
                Some(Timestamp(failed.at.0.saturating_sub(failed.took.as_micros() as u64)))
            }
            JobState::Completed { .. } => self.jobs.details(index).started_at,
            JobState::Queued | JobState::Delayed { .. } => None,
        }
    }

    /// Where the job stands when it waits.
    pub(super) fn spot(&self, index: JobIx) -> Spot {
        Spot { line: self.job(index).line, place: self.jobs.details(index).place }
    }

    pub(super) fn instance_of(&self, index: JobIx) -> &InstanceName {
        self.queue.instance(self.job(index).line)
    }

    /// The job's handles, oldest first, deleted ones included.
    pub(super) fn handles(&self, index: JobIx) -> impl Iterator<Item = OperationRow> + '_ {
        let job = self.job(index);
        let first = OperationRow {
            operation: OperationId(job.id.0),
            cancelled: self.jobs.details(index).cancelled,
            deleted: job.deleted,
        };
        let others = if job.joined { self.joined[&index].as_slice() } else { &[] };
        std::iter::once(first).chain(others.iter().copied())
    }

    /// The job of a handle that is neither forgotten nor deleted.
    pub(super) fn job_of(&self, operation: OperationId) -> Option<JobIx> {
        let own = self.jobs.find(JobId(operation.0)).filter(|index| !self.job(*index).deleted);
        own.or_else(|| self.joined_index.get(&operation).copied())
    }

    /// The row of a handle that is neither forgotten nor deleted.
    pub(super) fn known_handle(&self, index: JobIx, operation: OperationId) -> Option<OperationRow> {
        self.handles(index).find(|row| row.operation == operation && !row.deleted)
    }

    pub(super) fn add_handle(&mut self, index: JobIx, row: OperationRow) {
        self.job_mut(index).joined = true;
        self.joined.entry(index).or_default().push(row);
        if !row.deleted {
            self.joined_index.insert(row.operation, index);
        }
    }

    pub(super) fn delete_handle(&mut self, operation: OperationId) {
        if let Some(index) = self.jobs.find(JobId(operation.0)) {
            self.job_mut(index).deleted = true;
        }
        if let Some(index) = self.joined_index.remove(&operation) {
            self.joined_mut(index, operation).deleted = true;
        }
    }

    /// A further handle of a job.
    pub(super) fn joined_mut(&mut self, index: JobIx, operation: OperationId) -> &mut OperationRow {
        let rows = self.joined.get_mut(&index).into_iter().flatten();
        let mut known = rows.filter(|row| row.operation == operation && !row.deleted);
        known.next().expect("a fact names a handle of the job")
    }

    pub(super) fn forget_handles(&mut self, index: JobIx) {
        if self.job(index).joined {
            for row in self.joined.remove(&index).expect("a job that was joined has further handles") {
                self.joined_index.remove(&row.operation);
            }
        }
    }

    /// When the job has waited, or run, for too long.
    pub(super) fn deadline_of(&self, index: JobIx) -> Option<Timestamp> {
        let job = self.job(index);
        match job.state {
            JobState::Queued => self.queue_deadline_of(index),
            JobState::Leased(lease) => {
                let timeout = job.execution_timeout.get().filter(|_| !broken(Mutant::NoExecutionDeadline))?;
                let at = lease.offered_at.after(timeout);
                Some(if job.graced { at.max(self.grace) } else { at })
            }
            JobState::Deciding { .. } | JobState::Delayed { .. } | JobState::Completed { .. } => None,
        }
    }

    /// When the job has waited for too long.
    pub(super) fn queue_deadline_of(&self, index: JobIx) -> Option<Timestamp> {
        let details = self.jobs.details(index);
        let timeout = details.queue_timeout.get().filter(|_| !broken(Mutant::NoQueueDeadline))?;
        // Until the bots had time to come back, no wait is too long.
        Some(details.queued_at.after(timeout).max(self.grace))
    }
}
