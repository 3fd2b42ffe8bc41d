//! Jobs get another place, because their time has come or because other policies are active.
//!
//! All jobs that are not over move, those that run too: so their lanes count them, and another attempt of them stands
//! where it belongs. A job that leaves a counter that is full may be taken by a bot that asks already.

use std::{collections::BTreeSet, time::Duration};

use rustc_hash::FxHashMap;

use super::{Book, job::JobState};
use crate::{
    Again, Effect, Fact, Generation, JobPlaced, NewPlace, PLACES_MAX, Place, PlaceAsked, PoliciesChanged, Question,
    Rejection, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::JobIx,
};

/// No job is asked about more often.
const AGAIN_MIN: Duration = Duration::from_secs(1);

/// A question that nobody answered is asked again after this time.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// Places of the book that are looked at for each job that is wanted, before that is enough: many may be free.
const PLACES_A_JOB: usize = 32;

/// When places are asked for again. Jobs for which they are not pay nothing for it.
#[derive(Debug, Default)]
pub(super) struct Agains {
    jobs: FxHashMap<JobIx, Turn>,
    /// Of those that wait.
    due: BTreeSet<(Timestamp, JobIx)>,
    /// The newest set of policies that is known to be active. Not durable, as the sets' numbers are not.
    generation: Generation,
}

/// When a job is asked about again.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// As it is stored.
    stored: Timestamp,
    /// As it is.
    next: Timestamp,
}

impl Agains {
    pub(super) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }
}

impl Book {
    /// Policies answered where jobs stand.
    pub(super) fn place(&mut self, now: Timestamp, place: Place, step: &mut Step) {
        let Place { generation, items } = place;
        assert!(items.len() <= PLACES_MAX, "who asks keeps to the bound of an event");
        if generation < self.agains.generation && !broken(Mutant::StalePlaceTaken) {
            return;
        }
        self.agains.generation = generation.max(self.agains.generation);
        for item in items {
            self.place_job(now, item, step);
        }
    }

    fn place_job(&mut self, now: Timestamp, item: NewPlace, step: &mut Step) {
        let Some(index) = self.job_ix(item.job) else { return };
        let job = self.job(index);
        if matches!(job.state, JobState::Completed { .. }) {
            return;
        }
        let (details, weight) = (self.jobs.details(index), item.weight.max(1));
        let again = again_at(now, item.again);
        let is_there = *self.queue.lane_key(job.line) == item.lane
            && (details.weight, details.place.0) == (weight, item.rank)
            && self.limits_of(index) == item.limits
            && self.affinities_of(index) == item.affinities
            && self.agains.jobs.contains_key(&index) == again.is_some();
        if is_there {
            // When it is asked about next is no news, and not worth a row.
            self.put_off(index, again);
            return;
        }
        self.jobs.speak_of(index);
        let NewPlace { job, lane, weight: _, rank, limits, affinities, again: _ } = item;
        let placed = JobPlaced { job, lane, weight, rank, limits, affinities, again };
        self.emit(Fact::JobPlaced(Box::new(placed)), step);
        if !broken(Mutant::PlacedNotServed) {
            self.serve_waiting(now, index, step);
        }
    }

    /// Other policies are active: what older ones say counts no more.
    pub(super) fn policies_changed(&mut self, changed: PoliciesChanged, step: &mut Step) {
        let PoliciesChanged { generation, changes } = changed;
        assert!(changes.len() <= PLACES_MAX, "who tells keeps to the bound of an event");
        self.agains.generation = generation.max(self.agains.generation);
        for change in changes {
            self.emit(Fact::PolicyChanged(Box::new(change)), step);
        }
    }

    /// A request that older policies placed must not be taken: a bot that waits would get its job at once.
    pub(super) fn refuse_outdated(&self, again: Again) -> Result<(), Rejection> {
        let is_late = again.generation < self.agains.generation && !broken(Mutant::LatePlaceKept);
        if is_late { Err(Rejection::Outdated) } else { Ok(()) }
    }

    pub(super) fn apply_placed(&mut self, placed: &JobPlaced) {
        let index = self.known_job(placed.job);
        let state = self.job(index).state;
        let (rank, age) = self.jobs.details(index).place;
        let old = self.job(index).line;
        let limits: &[_] = if broken(Mutant::PlacedLimitsIgnored) { &[] } else { &placed.limits };
        let moves = *self.queue.lane_key(old) != placed.lane || self.limits_of(index) != limits;
        let other_keys = self.affinities_of(index) != placed.affinities;
        let waits = state == JobState::Queued && (moves || other_keys || rank != placed.rank);
        if waits {
            self.end_wait(index);
        }
        if moves {
            let new = self.queue.change_line(old, &placed.lane, placed.weight, limits, age);
            if state.is_waiting() {
                self.queue.count_waiting(old, false);
                self.queue.count_waiting(new, true);
            } else if !broken(Mutant::RunningNotMoved) {
                self.queue.count_running(old, false);
                self.queue.count_running(new, true);
            }
            self.limits.remove(&index);
            self.note_limits(index, limits);
            self.job_mut(index).line = new;
            self.queue.leave_line(old);
        }
        self.queue.bound(self.job(index).line, limits, age);
        if other_keys && !broken(Mutant::PlacedKeysIgnored) {
            self.set_affinities(index, &placed.affinities);
        }
        if broken(Mutant::PlacedAtTheEnd) {
            self.ages += 1;
        }
        let age = if broken(Mutant::PlacedAtTheEnd) { self.ages } else { age };
        let details = self.jobs.details_mut(index);
        (details.weight, details.place) = (placed.weight, (placed.rank, age));
        if !broken(Mutant::PlacedWeightIgnored) {
            self.queue.weigh(self.job(index).line, placed.weight, age);
        }
        if waits {
            self.begin_wait(index);
        }
        self.set_again(index, placed.again);
    }

    /// When the job is asked about again, from now on.
    pub(super) fn set_again(&mut self, index: JobIx, at: Option<Timestamp>) {
        self.rest_again(index);
        match at {
            Some(at) => {
                self.agains.jobs.insert(index, Turn { stored: at, next: at });
                if self.job(index).state.is_waiting() {
                    self.resume_again(index);
                }
            }
            None => drop(self.agains.jobs.remove(&index)),
        }
    }

    /// As it is stored.
    pub(super) fn again_of(&self, index: JobIx) -> Option<Timestamp> {
        if self.agains.jobs.is_empty() {
            return None;
        }
        self.agains.jobs.get(&index).map(|turn| turn.stored)
    }

    /// The job waits no more: nobody is asked where it stands.
    pub(super) fn rest_again(&mut self, index: JobIx) {
        if let Some(turn) = self.turn_of(index) {
            self.agains.due.remove(&(turn.next, index));
        }
    }

    /// The job waits, in whatever way.
    pub(super) fn resume_again(&mut self, index: JobIx) {
        if let Some(turn) = self.turn_of(index) {
            self.agains.due.insert((turn.next, index));
        }
    }

    /// The job is over.
    pub(super) fn forget_again(&mut self, index: JobIx) {
        if self.turn_of(index).is_some() {
            self.rest_again(index);
            self.agains.jobs.remove(&index);
        }
    }

    /// Asks about the jobs whose time has come. What is too much for one question is due at once again.
    pub(super) fn look_at_agains(&mut self, now: Timestamp, step: &mut Step) {
        if self.loading.is_some() {
            return;
        }
        let mut asked = Vec::new();
        while asked.len() < PLACES_MAX
            && let Some((at, index)) = self.agains.due.first().copied()
            && at <= now
        {
            self.agains.due.remove(&(at, index));
            if !broken(Mutant::AskedOnceOnly) {
                self.put_off(index, Some(now.after(ASK_AGAIN)));
            }
            asked.push(self.place_asked(index));
        }
        if !asked.is_empty() {
            step.effects.push(Effect::Ask(Question::Place(asked)));
        }
    }

    /// Jobs that are not over, from a place of the book on, at most as many; and where to go on. For who asks about all
    /// of them: a job that stays is met once.
    pub fn places_from(&self, from: usize, jobs_max: usize) -> (Vec<PlaceAsked>, Option<usize>) {
        let end = self.jobs.places().min(from.saturating_add(jobs_max.saturating_mul(PLACES_A_JOB)));
        let (mut asked, mut next) = (Vec::new(), from);
        while next < end && asked.len() < jobs_max {
            let live = |index: &JobIx| !matches!(self.job(*index).state, JobState::Completed { .. });
            asked.extend(self.jobs.at(next).filter(live).map(|index| self.place_asked(index)));
            next += 1;
        }
        (asked, (next < self.jobs.places()).then_some(next))
    }

    /// The same of one job; `None`: it is not known, or over.
    pub fn place_of(&self, job: crate::JobId) -> Option<PlaceAsked> {
        let live = |index: &JobIx| !matches!(self.job(*index).state, JobState::Completed { .. });
        self.job_ix(job).filter(live).map(|index| self.place_asked(index))
    }

    fn place_asked(&self, index: JobIx) -> PlaceAsked {
        let job = self.job(index);
        let (_, label) = self.queue.requirements(job.line);
        PlaceAsked {
            job: job.id,
            instance: self.instance_of(index).clone(),
            label: label.clone(),
            queued_at: self.jobs.details(index).queued_at,
            joined: self.handles(index).skip(1).map(|handle| handle.operation).collect(),
        }
    }

    /// When it is asked about next; what is stored stays.
    fn put_off(&mut self, index: JobIx, next: Option<Timestamp>) {
        let Some(next) = next else { return };
        self.rest_again(index);
        self.agains.jobs.get_mut(&index).expect("a job that is asked about again has its turn").next = next;
        if self.job(index).state.is_waiting() {
            self.resume_again(index);
        }
    }

    fn turn_of(&self, index: JobIx) -> Option<Turn> {
        if self.agains.jobs.is_empty() {
            return None;
        }
        self.agains.jobs.get(&index).copied()
    }
}

/// When a job is asked about again whose place was just given.
pub(super) fn again_at(now: Timestamp, after: Option<Duration>) -> Option<Timestamp> {
    let after = after.filter(|_| !broken(Mutant::AgainForgotten));
    after.map(|after| now.after(after.max(AGAIN_MIN)))
}
