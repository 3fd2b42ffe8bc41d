//! A job in memory: what core must know to schedule it, and no more. A million of them may wait.

use std::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use rustc_hash::FxBuildHasher;

use super::Book;
use crate::{
    Digest, InstanceName, JobId, OperationId, OperationRow, Outcome, PollId, Timestamp,
    queue::{JobIx, LaneIx, Place, RequirementIx, SessionIx, Spot},
};

/// One execution of an action.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    /// Shared with the classes and sessions of the instance: a pointer, not a copy.
    pub(super) instance: InstanceName,
    pub(super) action: Digest,
    pub(super) class: RequirementIx,
    pub(super) lane: LaneIx,
    /// Changes when a more urgent request joins.
    pub(super) rank: i64,
    pub(super) age: u64,
    pub(super) queued_at: Timestamp,
    pub(super) queue_timeout_ms: Option<u32>,
    pub(super) execution_timeout_ms: Option<u32>,
    /// Number of the newest offer.
    pub(super) offers: u32,
    /// Failed attempts that count.
    pub(super) attempts_used: u32,
    pub(super) do_not_cache: bool,
    pub(super) state: JobState,
    /// The deadline that is set for it, if any.
    pub(super) timer: Option<Timestamp>,
    pub(super) first: OperationRow,
    /// Empty for most jobs, and then without an allocation.
    pub(super) others: Vec<OperationRow>,
}

/// How a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JobState {
    Queued,
    Leased(Lease),
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
    pub(super) started_at: Option<Timestamp>,
    /// The newest call whose answer carries it. Not durable: after a restart it is sent again.
    pub(super) sent: Option<PollId>,
}

impl Job {
    pub(super) fn place(&self) -> Place {
        (self.rank, self.age)
    }

    pub(super) fn spot(&self) -> Spot {
        Spot { class: self.class, lane: self.lane, place: self.place() }
    }

    pub(super) fn operations(&self) -> impl Iterator<Item = &OperationRow> {
        std::iter::once(&self.first).chain(&self.others)
    }

    pub(super) fn operation_mut(&mut self, operation: OperationId) -> Option<&mut OperationRow> {
        std::iter::once(&mut self.first).chain(&mut self.others).find(|row| row.operation == operation)
    }
}

/// Milliseconds are enough for a timeout, and four bytes hold 49 days.
pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

pub(super) fn duration(millis: u32) -> Duration {
    Duration::from_millis(u64::from(millis))
}

fn merge_hash(instance: &InstanceName, action: &Digest) -> u64 {
    let mut hasher = FxBuildHasher.build_hasher();
    instance.hash(&mut hasher);
    action.hash.hash(&mut hasher);
    std::hash::Hasher::finish(&hasher)
}

impl Book {
    /// The job that a request for this action may join, if there is one.
    pub(super) fn mergeable(&self, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        self.mergeable
            .find(merge_hash(instance, action), |index| {
                let job = &self.jobs[index.0 as usize];
                job.action == *action && job.instance == *instance
            })
            .copied()
    }

    /// Requests for the same action may join this job from now on, and no other.
    pub(super) fn make_mergeable(&mut self, index: JobIx) {
        let jobs = &self.jobs;
        let (instance, action) = (&jobs[index.0 as usize].instance, &jobs[index.0 as usize].action);
        let same = |other: &JobIx| {
            let other = &jobs[other.0 as usize];
            other.action == *action && other.instance == *instance
        };
        let rehash = |other: &JobIx| merge_hash(&jobs[other.0 as usize].instance, &jobs[other.0 as usize].action);
        let entry = self.mergeable.entry(merge_hash(instance, action), same, rehash);
        entry.insert(index);
    }

    /// Nobody may join this job any more.
    pub(super) fn make_unmergeable(&mut self, index: JobIx) {
        let job = &self.jobs[index.0 as usize];
        let hash = merge_hash(&job.instance, &job.action);
        if let Ok(entry) = self.mergeable.find_entry(hash, |other| *other == index) {
            entry.remove();
        }
    }
}
