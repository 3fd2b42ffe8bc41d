//! The rule of Coordinate's Go server: of the work specs with the highest priority, the one that is furthest behind its
//! share. Coordinate draws lots with these scores; here the highest wins, and of equals the first by name.

use std::cmp::Reverse;

use berth_policy_sdk::choosing::Lanes;

use crate::config::Config;

pub(crate) fn choose(config: &Config, lanes: &Lanes) -> Option<u32> {
    let priority = |lane: &usize| config.specs.get(&lanes.name[*lane]).map_or(0, |spec| spec.priority);
    let highest = (0..lanes.name.len()).map(|lane| priority(&lane)).max()?;
    let candidates: Vec<usize> = (0..lanes.name.len()).filter(|lane| priority(lane) == highest).collect();
    let weight = |lane: usize| i128::from(lanes.weight[lane].max(1));
    let running = |lane: usize| i128::from(lanes.running[lane]);
    let all_running: i128 = candidates.iter().map(|lane| running(*lane)).sum();
    let all_weight: i128 = candidates.iter().map(|lane| weight(*lane)).sum();
    let score = |lane: usize| weight(lane) * (all_running + 1) - all_weight * running(lane);
    let best = candidates.into_iter().max_by_key(|lane| (score(*lane), Reverse(&lanes.name[*lane])));
    best.map(|lane| lane as u32)
}
