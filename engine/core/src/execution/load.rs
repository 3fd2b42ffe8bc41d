//! Jobs that a restart left for later: they are loaded while bots are served already.
//!
//! A restarted book knows every session, every drain, every lease, and of each class and lane the jobs that go first.
//! The other jobs are *hidden* until all of them are loaded. Two rules keep that from being seen: a bot is given a job
//! only if no hidden job could be the better one for it, and an event whose outcome hangs on jobs that may be hidden
//! is not handled before the end ([`Event::needs_every_job`](crate::Event::needs_every_job)).

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
};

use rustc_hash::FxHashSet;

use super::Book;
use crate::{
    Hidden, JobId, JobRow, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{CapabilityIx, JobIx, LaneIx, LimitsIx, Place, RequirementIx},
};

/// What a book knows of the jobs that it does not know. Made by a restart, gone when everything is loaded.
#[derive(Debug)]
pub(super) struct Loading {
    /// Jobs that were there from the start. Their rows are among those that are loaded, and may be old by then: such
    /// a job may be over and forgotten.
    early: FxHashSet<JobId>,
    /// For each lane and limit set the place of the first hidden job of each class. Stands still until the end.
    first: BTreeMap<(LaneIx, LimitsIx), BTreeSet<(Place, RequirementIx)>>,
    /// Nothing is known of the order: nobody is given anything.
    blind: bool,
    /// Lanes that may have hidden jobs: none is forgotten before the end, and its weight with it.
    lanes: BTreeSet<LaneIx>,
    /// The same for limit sets, and the numbers of their counters.
    limits: BTreeSet<LimitsIx>,
    /// Jobs that are not loaded yet.
    left: usize,
}

impl Book {
    /// Jobs that are not loaded yet; `None` once everything is.
    pub fn loading(&self) -> Option<usize> {
        self.loading.as_ref().map(|loading| loading.left)
    }

    /// From now on these jobs are hidden.
    pub(super) fn hide(&mut self, hidden: Hidden) {
        let early = self.jobs.iter().map(|(_, job)| job.id).collect();
        let lanes: BTreeSet<_> = self.jobs.iter().map(|(_, job)| self.queue.line(job.line).1).collect();
        lanes.iter().for_each(|lane| self.queue.hold_lane(*lane));
        let limits: BTreeSet<_> = self.jobs.iter().map(|(_, job)| self.queue.limits_of(job.line)).collect();
        limits.iter().for_each(|set| self.queue.hold_limits(*set));
        let (first, blind) = (BTreeMap::new(), hidden.lines.is_none());
        let mut loading = Loading { early, first, blind, lanes, limits, left: hidden.jobs };
        for line in hidden.lines.into_iter().flatten() {
            let row = line.first;
            // As one more job, so that neither is forgotten before the end.
            let class = self.queue.enter_requirements(&row.instance, &row.requirements, &row.label);
            let (weight, age) =
                if broken(Mutant::WeightOfHeads) { (row.weight, row.age) } else { (line.weight, line.newest) };
            let lane = self.queue.enter_lane(&row.instance, &row.lane, weight, age);
            let limits = self.queue.enter_limits(&row.instance, &row.limits, line.newest);
            loading.first.entry((lane, limits)).or_default().insert(((row.rank, row.age), class));
        }
        self.jobs.reserve(hidden.jobs);
        self.by_action.reserve(hidden.jobs);
        self.loading = Some(loading);
    }

    /// Takes hidden jobs in; they stay hidden until the last one is there.
    pub(super) fn load(&mut self, now: Timestamp, rows: Vec<JobRow>, last: bool, step: &mut Step) {
        let mut loading = self.loading.take().expect("jobs are loaded only after a restart that hid them");
        for row in rows {
            let known = if broken(Mutant::GoneJobLoaded) {
                self.job_ix(row.job).is_some()
            } else {
                loading.early.contains(&row.job)
            };
            if !known {
                loading.left = loading.left.saturating_sub(1);
                let job = row.job;
                self.restore_job(row, None);
                // Its end may come before that of loading, and the weight that it brought must not go with it.
                let index = self.job_ix(job).expect("it was just restored");
                let line = self.job(index).line;
                let (_, lane) = self.queue.line(line);
                let limits = self.queue.limits_of(line);
                if loading.limits.insert(limits) {
                    self.queue.hold_limits(limits);
                }
                if loading.lanes.insert(lane) {
                    self.queue.hold_lane(lane);
                }
            }
        }
        if last {
            self.unhide(now, loading, step);
        } else {
            self.loading = Some(loading);
        }
    }

    /// Whether the best of the jobs that the book knows comes before every hidden one that the bots of the class may
    /// take.
    pub(super) fn is_first(&self, class: CapabilityIx, index: JobIx) -> bool {
        let Some(loading) = &self.loading else { return true };
        let spot = self.spot(index);
        let (_, own) = self.queue.line(spot.line);
        let owed = self.queue.is_owed(self.queue.limits_of(spot.line));
        let before = |((lane, limits), line): (&(LaneIx, LimitsIx), &BTreeSet<(Place, RequirementIx)>)| {
            let may_go = |need| self.queue.serves(class, need) && !self.queue.is_class_paused(need);
            let hidden = line.iter().find(|(_, need)| may_go(*need));
            hidden.filter(|_| !self.queue.is_blocked(*limits)).is_none_or(|(place, _)| {
                let order = self.queue.is_owed(*limits).cmp(&owed).then(self.queue.share_cmp(own, *lane));
                order.then(spot.place.cmp(place)) == Ordering::Less
            })
        };
        (!loading.blind && loading.first.iter().all(before)) || broken(Mutant::HiddenPassed)
    }

    /// Everything is there: bots that ask may have waited for what was hidden.
    fn unhide(&mut self, now: Timestamp, loading: Loading, step: &mut Step) {
        for ((lane, limits), line) in loading.first {
            for (_, class) in line {
                self.queue.leave_requirements(class);
                self.queue.leave_lane(lane);
                self.queue.leave_limits(limits);
            }
        }
        loading.lanes.into_iter().for_each(|lane| self.queue.leave_lane(lane));
        loading.limits.into_iter().for_each(|set| self.queue.leave_limits(set));
        if broken(Mutant::WaitingNotServed) {
            return;
        }
        let asking = self.all_asking();
        self.serve_asking(now, asking, usize::MAX, step);
    }
}
