//! The rule of Coordinate's Python server: what is furthest down a chain of work specs first; without chains, the work
//! spec with the least (1 + running) / weight among those whose first unit is the most urgent.
//!
//! Where Coordinate draws lots between kinds of work, here the kind goes that is furthest behind its share.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use berth_policy_sdk::choosing::Lanes;

use crate::config::Config;
use crate::graph::Graph;

/// How lots are weighed between a source that makes its own work, a loop, and any work spec that makes its own work.
const SOURCE: u64 = 20;
const LOOP: u64 = 10;
const CONTINUOUS: u64 = 1;

pub(crate) fn choose(config: &Config, lanes: &Lanes) -> Option<u32> {
    let seen = Seen::new(config, lanes);
    if config.is_plain() {
        return seen.best_of(&seen.by_name.values().map(|lane| vec![*lane]).collect::<Vec<_>>(), false);
    }
    let graph = Graph::new(config, lanes.name.iter().map(String::as_str));
    if let Some(lane) = seen.best_of(&seen.lanes_of(&graph.paths), true) {
        return Some(lane);
    }
    let kinds = [(&graph.sources, SOURCE), (&graph.loops, LOOP), (&graph.continuous, CONTINUOUS)];
    let candidates = kinds.into_iter().filter_map(|(names, weight)| {
        let lists = seen.lanes_of(names);
        let lane = seen.best_of(&lists, false)?;
        let running: u64 = lists.iter().flatten().map(|lane| u64::from(lanes.running[*lane])).sum();
        Some((running + 1, weight, lane))
    });
    let behind = |one: &(u64, u64, u32), other: &(u64, u64, u32)| (one.0 * other.1).cmp(&(other.0 * one.1));
    candidates.min_by(behind).map(|(_, _, lane)| lane)
}

struct Seen<'a> {
    config: &'a Config,
    lanes: &'a Lanes,
    by_name: BTreeMap<&'a str, usize>,
}

impl<'a> Seen<'a> {
    fn new(config: &'a Config, lanes: &'a Lanes) -> Self {
        let by_name = lanes.name.iter().enumerate().map(|(lane, name)| (name.as_str(), lane)).collect();
        Self { config, lanes, by_name }
    }

    fn lanes_of(&self, lists: &[Vec<&str>]) -> Vec<Vec<usize>> {
        let lanes = |names: &Vec<&str>| names.iter().filter_map(|name| self.by_name.get(name).copied()).collect();
        lists.iter().map(lanes).collect()
    }

    /// Only the most urgent count; of the lists the one with the least score; in it the least score, or, if the last is
    /// to be picked, the one furthest down that its predecessor lets pass.
    fn best_of(&self, lists: &[Vec<usize>], pick_last: bool) -> Option<u32> {
        // Coordinate's priority is the negative of a rank, and less than 0 is never served.
        let urgency = |lane: &usize| self.lanes.head_rank[*lane];
        let most_urgent = lists.iter().flatten().map(urgency).min().filter(|rank| *rank <= 0)?;
        let urgent = |list: &Vec<usize>| -> Vec<usize> {
            list.iter().copied().filter(|lane| urgency(lane) == most_urgent).collect()
        };
        let lists = lists.iter().map(urgent);
        let least = |list: &Vec<usize>| list.iter().copied().min_by(|one, other| self.by_score(*one, *other));
        let best = lists.filter_map(|list| Some((least(&list)?, list)));
        let (least, list) = best.min_by(|one, other| self.by_score(one.0, other.0))?;
        let lane = if pick_last { self.furthest(&list) } else { least };
        Some(lane as u32)
    }

    fn furthest(&self, list: &[usize]) -> usize {
        let preempted =
            |lane: usize| self.config.specs.get(&self.lanes.name[lane]).is_none_or(|spec| spec.then_preempts);
        let later = |before: usize, lane: usize| {
            let better = self.by_score(lane, before) == Ordering::Less;
            if better || preempted(before) { lane } else { before }
        };
        list.iter().copied().reduce(later).unwrap_or_default()
    }

    fn by_score(&self, one: usize, other: usize) -> Ordering {
        let share = |one: usize, other: usize| {
            (u64::from(self.lanes.running[one]) + 1) * u64::from(self.lanes.weight[other].max(1))
        };
        share(one, other).cmp(&share(other, one)).then_with(|| self.lanes.name[one].cmp(&self.lanes.name[other]))
    }
}
