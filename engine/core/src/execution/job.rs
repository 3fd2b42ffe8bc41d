//! A job in memory: what core must know to schedule it, and no more. A million of them may wait.

use std::{
    hash::{BuildHasher, Hash},
    time::Duration,
};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use slab::Slab;

use super::Book;
use crate::{
    Digest, InstanceName, JobId, OperationId, OperationRow, Outcome, PollId, Timestamp,
    mutant::{Mutant, broken},
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
    /// As it came; the lane goes by its newest job's.
    pub(super) weight: u32,
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
    pub(super) told: Told,
}

/// What the bot may know of its lease. Not durable: after a restart it may know of every one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// No answer carries it yet.
    No,
    /// The answer to this call is the only one that carries it, and the bot has not listed it.
    Once(PollId),
    /// The bot listed it, or more than one answer carried it: it cannot be taken back unheard.
    MayKnow,
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

fn same_action<'a>(
    jobs: &'a Slab<Job>,
    instance: &'a InstanceName,
    action: &'a Digest,
) -> impl Fn(&JobIx) -> bool + 'a {
    move |other| {
        let other = &jobs[other.0 as usize];
        other.action == *action && other.instance == *instance
    }
}

fn remove(table: &mut HashTable<JobIx>, jobs: &Slab<Job>, index: JobIx) {
    let job = &jobs[index.0 as usize];
    if let Ok(entry) = table.find_entry(merge_hash(&job.instance, &job.action), |other| *other == index) {
        entry.remove();
    }
}

/// Which jobs a request for an action may join.
impl Book {
    pub(super) fn in_flight(&self, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        self.in_flight.find(merge_hash(instance, action), same_action(&self.jobs, instance, action)).copied()
    }

    pub(super) fn recent(&self, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        self.recent.find(merge_hash(instance, action), same_action(&self.jobs, instance, action)).copied()
    }

    /// A second job of the action can only be one that the action cache answered: it is over at once, and the first
    /// stays the one to join.
    pub(super) fn enter_flight(&mut self, index: JobIx) {
        let Self { jobs, in_flight, .. } = self;
        let job = &jobs[index.0 as usize];
        let hash = merge_hash(&job.instance, &job.action);
        let entry = in_flight.entry(hash, same_action(jobs, &job.instance, &job.action), rehash(jobs));
        if broken(Mutant::CachedDisplacesFlight) {
            entry.insert(index);
        } else {
            entry.or_insert(index);
        }
    }

    pub(super) fn leave_flight(&mut self, index: JobIx) {
        remove(&mut self.in_flight, &self.jobs, index);
    }

    /// Takes the place of an older result of the action.
    pub(super) fn remember_result(&mut self, index: JobIx) {
        let Self { jobs, recent, .. } = self;
        let job = &jobs[index.0 as usize];
        let hash = merge_hash(&job.instance, &job.action);
        recent.entry(hash, same_action(jobs, &job.instance, &job.action), rehash(jobs)).insert(index);
    }

    pub(super) fn forget_result(&mut self, index: JobIx) {
        remove(&mut self.recent, &self.jobs, index);
    }
}

fn rehash(jobs: &Slab<Job>) -> impl Fn(&JobIx) -> u64 + '_ {
    |index| {
        let job = &jobs[index.0 as usize];
        merge_hash(&job.instance, &job.action)
    }
}
