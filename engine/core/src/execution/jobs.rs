//! The table of jobs: where each is, and how it is found by id. What most steps read stands in one cache line a job, the
//! rest apart.
//!
//! Not for rules: those are in the files named after verbs.

use super::job::{Details, Job};
use crate::{
    JobId,
    index::{Index, hash_of_id},
    prefetch::prefetch,
    queue::{BitSet, JobIx},
};

/// All jobs that the book knows.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    jobs: Vec<Job>,
    /// At the job's number, too. As old as the slot's last job if it is free.
    details: Vec<Details>,
    live: BitSet,
    /// Numbers that are free, the latest last: its memory is still near.
    free: Vec<JobIx>,
    by_id: Index,
    /// The job that is being spoken of: facts name it by its id once more.
    at_hand: Option<JobIx>,
}

impl Jobs {
    /// How many jobs there are.
    pub(super) fn len(&self) -> usize {
        self.jobs.len() - self.free.len()
    }

    /// The number of a job.
    pub(super) fn find(&self, id: JobId) -> Option<JobIx> {
        let is_it = |index: JobIx| self.jobs[index.0 as usize].id == id;
        let hint = self.at_hand.filter(|index| is_it(*index));
        hint.or_else(|| self.by_id.find(hash_of_id(id.0), |number| is_it(JobIx(number))).map(JobIx))
    }

    /// Facts about this job follow.
    pub(super) fn speak_of(&mut self, index: JobIx) {
        self.at_hand = Some(index);
    }

    /// Makes room for as many more.
    pub(super) fn reserve(&mut self, more: usize) {
        self.jobs.reserve(more);
        self.details.reserve(more);
        self.by_id.reserve(more);
    }

    /// Takes a job in, whose id must be new.
    pub(super) fn insert(&mut self, job: Job, details: Details) -> JobIx {
        assert!(self.find(job.id).is_none(), "job ids are unique");
        let hash = hash_of_id(job.id.0);
        let index = match self.free.pop() {
            Some(index) => {
                self.jobs[index.0 as usize] = job;
                self.details[index.0 as usize] = details;
                index
            }
            None => {
                self.jobs.push(job);
                self.details.push(details);
                JobIx(u32::try_from(self.jobs.len() - 1).expect("fewer than 2^32 jobs at a time"))
            }
        };
        self.live.set(index.0, true);
        self.by_id.insert(hash, index.0);
        self.at_hand = Some(index);
        index
    }

    /// Lets a job's number go.
    pub(super) fn remove(&mut self, index: JobIx) {
        self.by_id.remove(hash_of_id(self.jobs[index.0 as usize].id.0), index.0);
        self.live.set(index.0, false);
        self.free.push(index);
        self.at_hand = None;
    }

    pub(super) fn get(&self, index: JobIx) -> &Job {
        &self.jobs[index.0 as usize]
    }

    pub(super) fn get_mut(&mut self, index: JobIx) -> &mut Job {
        &mut self.jobs[index.0 as usize]
    }

    pub(super) fn details(&self, index: JobIx) -> &Details {
        &self.details[index.0 as usize]
    }

    pub(super) fn details_mut(&mut self, index: JobIx) -> &mut Details {
        &mut self.details[index.0 as usize]
    }

    /// In the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (JobIx, &Job)> {
        self.live.iter().map(|index| (JobIx(index), &self.jobs[index as usize]))
    }

    /// The job at a place of the table, if one is there.
    pub(super) fn at(&self, place: usize) -> Option<JobIx> {
        let index = u32::try_from(place).ok()?;
        self.live.has(index).then_some(JobIx(index))
    }

    /// How many places the table has.
    pub(super) fn places(&self) -> usize {
        self.jobs.len()
    }

    /// The job will be looked at soon.
    pub(super) fn expect(&self, index: JobIx) {
        if let Some(job) = self.jobs.get(index.0 as usize) {
            prefetch(job);
        }
    }

    /// A job with this id will be taken in soon.
    pub(super) fn expect_new(&self, id: JobId) {
        self.by_id.expect(hash_of_id(id.0));
    }

    /// The job will be looked for by its id soon.
    pub(super) fn expect_id(&self, index: JobIx) {
        self.by_id.expect(hash_of_id(self.get(index).id.0));
    }
}
