//! Lanes: what waits where, and in which order lanes are served.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use berth_policy_sdk::choosing::Lanes as Views;

/// Lanes that a policy gets to see at most.
const VIEWS_MAX: usize = 256;

/// A job that waits: its rank, its arrival and its number; so the order is that of the contract.
pub(crate) type Waiting = (i64, u64, usize);

#[derive(Debug, Default)]
pub(crate) struct Lane {
    pub(crate) weight: u32,
    pub(crate) running: u32,
    pub(crate) waiting: BTreeSet<Waiting>,
    /// The same jobs by their arrival.
    pub(crate) arrivals: BTreeSet<(u64, usize)>,
}

#[derive(Debug, Default)]
pub(crate) struct Lanes(pub(crate) BTreeMap<String, Lane>);

/// The job that a lane would give.
pub(crate) struct Head<'a> {
    pub(crate) lane: &'a str,
    pub(crate) weight: u32,
    pub(crate) running: u32,
    pub(crate) job: Waiting,
}

impl Head<'_> {
    fn cmp(&self, other: &Head<'_>) -> Ordering {
        let share = |one: &Head<'_>, other: &Head<'_>| (u64::from(one.running) + 1) * u64::from(other.weight.max(1));
        share(self, other).cmp(&share(other, self)).then(self.job.cmp(&other.job))
    }
}

impl Lanes {
    /// The first job of each lane that may go now, the best by the built-in order first.
    pub(crate) fn heads(&self, may_go: impl Fn(usize) -> bool) -> Vec<Head<'_>> {
        let mut heads = Vec::new();
        for (name, lane) in &self.0 {
            if let Some(job) = lane.waiting.iter().find(|(_, _, job)| may_go(*job)) {
                heads.push(Head { lane: name, weight: lane.weight, running: lane.running, job: *job });
            }
        }
        heads.sort_by(Head::cmp);
        heads
    }

    /// What a policy that chooses is shown, and whether that is not all. The oldest is that of the lane: in a world
    /// with one kind of bot any bot could take it.
    pub(crate) fn views(&self, heads: &[Head<'_>], now: u64) -> (Views, bool) {
        let mut views = Views::default();
        for head in heads.iter().take(VIEWS_MAX) {
            let lane = &self.0[head.lane];
            views.name.push(head.lane.to_owned());
            views.weight.push(lane.weight.max(1));
            views.queued.push(lane.waiting.len() as u32);
            views.running.push(lane.running);
            let oldest = lane.arrivals.first().map_or(now, |(arrived, _)| *arrived);
            views.head_waited_ms.push(now - oldest);
            views.head_rank.push(head.job.0);
        }
        (views, heads.len() > VIEWS_MAX)
    }
}
