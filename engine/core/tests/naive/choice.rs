//! A policy that chooses lanes, and what it is shown. Moody, but the same question gets the same answer: so it can sit in
//! the book and beside the model, and each shows it what it believes.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::*;
use berth_core::{Chooser, LANE_VIEWS_MAX, LaneView, WorkerView};

/// Chooses for the book.
#[derive(Debug)]
pub struct Whim;

impl Chooser for Whim {
    fn asks(&mut self, _instance: &str) -> bool {
        true
    }

    fn choose(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> Option<usize> {
        whim(worker, lanes, truncated)
    }
}

/// Mostly one of the lanes; sometimes nothing, or one that there is not.
fn whim(worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> Option<usize> {
    let mut hasher = DefaultHasher::new();
    (worker.instance, worker.bot_id, worker.capabilities, worker.busy, worker.slots, worker.recent, truncated)
        .hash(&mut hasher);
    for lane in lanes {
        (lane.name, lane.weight, lane.queued, lane.running, lane.head_waited, lane.head_rank).hash(&mut hasher);
    }
    let mood = hasher.finish();
    match mood % 8 {
        0 => None,
        1 => Some(lanes.len() + (mood >> 8) as usize % 3),
        _ => Some((mood >> 8) as usize % lanes.len()),
    }
}

impl Naive {
    /// The job that the policy has the bot take, if it is asked and chooses well.
    pub(super) fn chosen(&self, now: Timestamp, session: &Session) -> Option<JobId> {
        let asked = self.asking.iter().any(|(instance, asking)| *instance == session.instance && asking.choosing);
        if !asked || self.loading {
            return None;
        }
        let waiting = || self.jobs.iter().filter(|job| job.state == State::Queued);
        let fitting = waiting().filter(|job| self.fits(session, job) && !self.avoids(job, session));
        let mut heads: Vec<&Job> = fitting.filter(|job| !self.is_blocked(job)).collect();
        heads.sort_by(|job, other| self.order(job, other));
        // A claim is not for a policy to pass over.
        let claims = heads.first().is_some_and(|job| self.is_owed(job));
        heads.retain(|job| self.is_owed(job) == claims);
        let mut lanes = BTreeSet::new();
        heads.retain(|job| lanes.insert((job.instance.clone(), job.lane.clone())));
        if heads.len() < 2 {
            return None;
        }
        let truncated = heads.len() > LANE_VIEWS_MAX;
        heads.truncate(LANE_VIEWS_MAX);
        let view = |head: &&Job| {
            let of_lane = |job: &&Job| job.instance == head.instance && job.lane == head.lane;
            let (running, weight) = self.share(head);
            (
                head.lane.0.clone(),
                weight as u32,
                waiting().filter(of_lane).count() as u32,
                running as u32 - 1,
                now.since(head.queued_at),
                head.rank,
            )
        };
        let views: Vec<_> = heads.iter().map(view).collect();
        let views = views.iter().map(|(name, weight, queued, running, head_waited, head_rank)| LaneView {
            name,
            weight: *weight,
            queued: *queued,
            running: *running,
            head_waited: *head_waited,
            head_rank: *head_rank,
        });
        let worker = WorkerView {
            instance: &session.instance.0,
            bot_id: &session.bot_id,
            capabilities: &session.capabilities,
            busy: (session.leases.len() + session.ghosts.len()) as u32,
            slots: session.slots,
            recent: &session.keys.iter().map(|(_, key)| &**key).collect::<Vec<_>>(),
        };
        whim(&worker, &views.collect::<Vec<_>>(), truncated).and_then(|lane| heads.get(lane)).map(|head| head.id)
    }
}
