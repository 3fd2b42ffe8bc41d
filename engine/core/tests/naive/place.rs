//! New places once more: what an answer changes, and who is asked about when.

use super::*;
use berth_core::{Again, JobPlaced, Place, PoliciesChanged};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
/// About as many jobs one question is.
const ASKED: usize = 512;

impl Naive {
    pub(super) fn place(&mut self, now: Timestamp, place: &Place) {
        if place.generation < self.generation {
            return;
        }
        self.generation = place.generation;
        for item in &place.items {
            let known = |job: &&mut Job| job.id == item.job && !matches!(job.state, State::Completed { .. });
            let Some(job) = self.jobs.iter_mut().find(known) else { continue };
            let again = item.again.map(|after| now.after(after.max(SECOND)));
            let keys = job.affinities.clone();
            let was = (job.lane.clone(), job.weight, job.rank, job.limits.clone(), job.again.is_some());
            job.look = again;
            if was == (item.lane.clone(), item.weight.max(1), item.rank, item.limits.clone(), again.is_some())
                && keys == item.affinities
            {
                continue;
            }
            let (id, runs) = (job.id, matches!(job.state, State::Leased { .. }));
            if runs {
                self.note_freed(id);
            }
            let job = self.job_mut(id);
            (job.limits, job.affinities) = (item.limits.clone(), item.affinities.clone());
            (job.lane, job.weight, job.rank, job.again) = (item.lane.clone(), item.weight.max(1), item.rank, again);
            let (instance, lane, weight) = (job.instance.clone(), job.lane.clone(), job.weight);
            let (rank, limits) = (job.rank, job.limits.clone());
            let (affinities, lane_key) = (item.affinities.clone(), lane.clone());
            let placed = JobPlaced { job: id, lane: lane_key, weight, rank, limits: limits.clone(), affinities, again };
            self.facts.push(Fact::JobPlaced(Box::new(placed)));
            self.forget_unnamed();
            self.set_weight(&instance, &lane, weight);
            self.set_limits(&instance, &limits);
            self.serve(now, id);
        }
    }

    pub(super) fn policies_changed(&mut self, changed: &PoliciesChanged) {
        self.generation = self.generation.max(changed.generation);
        self.facts.extend(changed.changes.iter().map(|change| Fact::PolicyChanged(Box::new(change.clone()))));
    }

    /// When a new job is asked about.
    pub(super) fn first_look(now: Timestamp, again: Again) -> Option<Timestamp> {
        again.after.map(|after| now.after(after.max(SECOND)))
    }

    pub(super) fn looks(&self) -> impl Iterator<Item = (Timestamp, JobId)> + '_ {
        let waits = |job: &&Job| !matches!(job.state, State::Leased { .. } | State::Completed { .. });
        let jobs = self.jobs.iter().filter(|_| !self.loading).filter(waits);
        jobs.filter_map(|job| Some((job.look?, job.id)))
    }

    /// After everything else that is due.
    pub(super) fn ask_places(&mut self, now: Timestamp) {
        let mut due: Vec<_> = self.looks().filter(|(at, _)| *at <= now).collect();
        due.sort();
        assert!(due.len() <= ASKED, "the model asks once");
        for (_, job) in due {
            self.job_mut(job).look = Some(now.after(MINUTE));
            self.place_asks.push(job);
        }
    }
}
