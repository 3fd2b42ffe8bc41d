//! The rule, in two parts that need not know of each other.
//!
//! *Aging* is a rank. A job that gains a step of priority in each `aging-ms` overtakes another exactly if it came
//! earlier by `aging-ms` times the steps between them. That does not change while both wait, so that the rank is the
//! time of arrival, later by `aging-ms` for each step: nobody has to be asked twice.
//!
//! *The percentage* is a choice of lanes. Jobs of one priority stand in one lane, by age. A bot takes the lane with the
//! best head, or, for some of the assignments, the one whose head has waited longest. Which of the two it is follows
//! from the question, by a checksum: with the same question comes the same answer, and no two questions are the same.

use std::collections::BTreeMap;

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::{Jobs, Places};

use crate::config::Config;

/// Weights are powers of two, the more urgent the heavier: for Berth's own rule, which decides if `choose` does not.
const WEIGHT_BITS_MAX: i32 = 30;

pub(crate) fn place(config: &Config, jobs: &Jobs, now_ms: u64) -> Places {
    let ranks =
        jobs.priority.iter().zip(&jobs.waited_ms).map(|(priority, waited)| rank(config, *priority, *waited, now_ms));
    let mut places = Places { rank: Some(ranks.collect()), ..Places::default() };
    if config.some_go_by_age() {
        by_priority(jobs, &mut places);
    }
    places
}

fn rank(config: &Config, priority: i32, waited_ms: u64, now_ms: u64) -> i64 {
    match config.aging_ms {
        0 => priority.into(),
        aging_ms => {
            let arrived_ms = i64::try_from(now_ms.saturating_sub(waited_ms)).unwrap_or(i64::MAX);
            arrived_ms.saturating_add(i64::from(priority) * i64::from(aging_ms))
        }
    }
}

/// A lane for each priority.
fn by_priority(jobs: &Jobs, places: &mut Places) {
    let mut lanes = BTreeMap::new();
    let mut lane_of = |priority: i32| {
        *lanes.entry(priority).or_insert_with(|| {
            places.strings.push(format!("priority {priority}"));
            (jobs.strings.len() + places.strings.len() - 1) as u32
        })
    };
    places.lane = Some(jobs.priority.iter().map(|priority| lane_of(*priority)).collect());
    places.weight = Some(jobs.priority.iter().map(|priority| weight(*priority)).collect());
}

/// Priority 0 is in the middle; beyond fifteen steps all are alike.
fn weight(priority: i32) -> u32 {
    1 << (WEIGHT_BITS_MAX / 2).saturating_sub(priority).clamp(0, WEIGHT_BITS_MAX)
}

pub(crate) fn choose(config: &Config, worker: &Worker, lanes: &Lanes) -> Option<u32> {
    let by_priority = draw(worker, lanes) < config.priority_assignment_percentage;
    let indexes = 0..lanes.name.len().min(lanes.head_rank.len()).min(lanes.head_waited_ms.len());
    let waited = |at: usize| std::cmp::Reverse(lanes.head_waited_ms[at]);
    let best = match by_priority {
        true => indexes.min_by_key(|at| (lanes.head_rank[*at], waited(*at))),
        false => indexes.min_by_key(|at| (waited(*at), lanes.head_rank[*at])),
    };
    best.map(|at| at as u32)
}

/// A number from 0 to 99 that follows from the question: after each assignment other jobs are queued and running.
fn draw(worker: &Worker, lanes: &Lanes) -> u32 {
    let names = worker.bot_id.bytes().map(u64::from);
    let counts = lanes.queued.iter().chain(&lanes.running).copied().map(u64::from);
    let times = lanes.head_waited_ms.iter().copied();
    let sum = names.chain([u64::from(worker.busy)]).chain(counts).chain(times).fold(0, mix);
    (((sum >> 32) * 100) >> 32) as u32
}

/// A step of SplitMix64, in which each bit of what came before reaches all bits.
fn mix(sum: u64, next: u64) -> u64 {
    let sum = (sum ^ next).wrapping_add(0x9e37_79b9_7f4a_7c15);
    let sum = (sum ^ (sum >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let sum = (sum ^ (sum >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    sum ^ (sum >> 31)
}

#[cfg(test)]
mod tests;
