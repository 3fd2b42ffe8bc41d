//! Lanes: who shares fairly with whom. Counted over the whole partition, whatever the requirement class.

use std::cmp::Ordering;

use super::{LaneIx, LineIx, Queue};
use crate::{
    InstanceName, LaneKey,
    mutant::{Mutant, broken},
};

/// One lane of an instance.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) instance: InstanceName,
    pub(super) key: LaneKey,
    pub(super) weight: u32,
    /// Age of the job that brought the weight: recovery meets jobs in the order of their ids.
    pub(super) weight_age: u64,
    pub(super) queued: u32,
    pub(super) running: u32,
    /// How many hold on to it, its lines and who is about to make one: it is forgotten with the last.
    holders: u32,
}

impl Lane {
    /// Which lane is served first: the one with the least (running + 1) / weight.
    pub(super) fn share_cmp(&self, other: &Lane) -> Ordering {
        let running = |lane: &Lane| if broken(Mutant::ShareIgnoresRunning) { 1 } else { u64::from(lane.running) + 1 };
        let weight = |lane: &Lane| if broken(Mutant::WeightIgnored) { 1 } else { u64::from(lane.weight) };
        (running(self) * weight(other)).cmp(&(running(other) * weight(self)))
    }
}

impl Queue {
    /// Which of two lanes is served first; equal if that goes by the places of their jobs.
    pub(crate) fn share_cmp(&self, lane: LaneIx, other: LaneIx) -> Ordering {
        self.lanes[lane.0 as usize].share_cmp(&self.lanes[other.0 as usize])
    }

    /// Finds or makes a lane for one more job. The weight of the newest job holds for the lane.
    pub(crate) fn enter_lane(&mut self, instance: &InstanceName, key: &LaneKey, weight: u32, age: u64) -> LaneIx {
        let lanes = &mut self.lanes;
        let index = *self.lane_index.entry((instance.clone(), key.clone())).or_insert_with(|| {
            let lane = Lane {
                instance: instance.clone(),
                key: key.clone(),
                weight: 1,
                weight_age: 0,
                queued: 0,
                running: 0,
                holders: 0,
            };
            LaneIx(u32::try_from(lanes.insert(lane)).expect("fewer than 2^32 lanes"))
        });
        let lane = &mut lanes[index.0 as usize];
        lane.holders += 1;
        if age >= lane.weight_age || broken(Mutant::WeightOfLastRow) {
            (lane.weight, lane.weight_age) = (weight.max(1), age);
        }
        index
    }

    /// A policy was asked again: its newest answer holds for the lane.
    pub(crate) fn weigh(&mut self, line: LineIx, weight: u32, age: u64) {
        let (_, lane) = self.line(line);
        let lane = &mut self.lanes[lane.0 as usize];
        (lane.weight, lane.weight_age) = (weight.max(1), lane.weight_age.max(age));
    }

    /// Keeps the lane with its weight; to be left like one that was entered.
    pub(crate) fn hold_lane(&mut self, index: LaneIx) {
        self.lanes[index.0 as usize].holders += 1;
    }

    /// Who entered it lets go.
    pub(crate) fn leave_lane(&mut self, index: LaneIx) {
        let lane = &mut self.lanes[index.0 as usize];
        lane.holders -= 1;
        if lane.holders == 0 {
            let lane = self.lanes.remove(index.0 as usize);
            self.lane_index.remove(&(lane.instance, lane.key));
        }
    }
}
