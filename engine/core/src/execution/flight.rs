//! Which job a request for an action may join: one that is in flight, or one that has just finished well.
//!
//! There is one entry for each action: its job in flight, else its newest good result. A good job that ends stays
//! where it is, so that ending costs nothing here. The result that a job in flight took the entry from is kept beside
//! it, in case that job ends badly.

use std::hash::{BuildHasher, Hash, Hasher};

use rustc_hash::FxBuildHasher;

use super::{Book, job::JobState};
use crate::{
    Digest, InstanceName,
    mutant::{Mutant, broken},
    queue::JobIx,
};

/// Of 32 bits, for `Index`.
pub(super) fn action_hash(instance: &InstanceName, action: &Digest) -> u32 {
    let mut hasher = FxBuildHasher.build_hasher();
    instance.hash(&mut hasher);
    action.hash.hash(&mut hasher);
    (hasher.finish() >> 32) as u32
}

impl Book {
    /// The job of the action that is in flight.
    pub(super) fn in_flight(&self, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        self.of_action(action_hash(instance, action), instance, action).filter(|index| !self.is_over(*index))
    }

    /// The job with the newest good result of the action, unless one is in flight.
    pub(super) fn recent(&self, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        self.of_action(action_hash(instance, action), instance, action).filter(|index| self.is_over(*index))
    }

    /// A second job of the action can only be one that the action cache answered: it is over at once, and the first
    /// stays the one to join.
    pub(super) fn enter_flight(&mut self, index: JobIx) {
        let hash = self.job(index).action_hash;
        match self.of_action(hash, self.instance_of(index), &self.jobs.details(index).action) {
            None => self.by_action.insert(hash, index.0),
            Some(other) if self.is_over(other) => {
                self.by_action.replace(hash, other.0, index.0);
                self.older_results.insert(index, other);
            }
            Some(other) if broken(Mutant::CachedDisplacesFlight) => {
                self.by_action.replace(hash, other.0, index.0);
            }
            Some(_) => {}
        }
    }

    /// The job ended with a result that may be taken.
    pub(super) fn remember_result(&mut self, index: JobIx) {
        self.older_results.remove(&index);
    }

    /// The job ended, and nobody may join it.
    pub(super) fn leave_flight(&mut self, index: JobIx) {
        let hash = self.job(index).action_hash;
        match self.older_results.remove(&index) {
            Some(older) => {
                self.by_action.replace(hash, index.0, older.0);
            }
            None => self.by_action.remove(hash, index.0),
        }
    }

    /// The job's result is too old to be taken.
    pub(super) fn forget_result(&mut self, index: JobIx) {
        let hash = self.job(index).action_hash;
        self.by_action.remove(hash, index.0);
        if !self.older_results.is_empty() {
            let keeps_it = |newer: u32| self.older_results.get(&JobIx(newer)) == Some(&index);
            if let Some(newer) = self.by_action.find(hash, keeps_it) {
                self.older_results.remove(&JobIx(newer));
            }
        }
    }

    fn is_over(&self, index: JobIx) -> bool {
        matches!(self.job(index).state, JobState::Completed { .. })
    }

    fn of_action(&self, hash: u32, instance: &InstanceName, action: &Digest) -> Option<JobIx> {
        let same = |other: u32| {
            let other = JobIx(other);
            self.jobs.details(other).action == *action && self.instance_of(other) == instance
        };
        self.by_action.find(hash, same).map(JobIx)
    }
}
