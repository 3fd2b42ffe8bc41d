//! The queue: match classes, lanes, and who goes next. Shared by the books of a partition.
//!
//! Equal requirement sets share a requirement class, equal offers share a capability class; whether one serves
//! the other is decided once for the pair. Within a requirement class jobs stand in lanes, by rank, then age.
//! Capability classes that serve the same requirement classes are a group, which keeps, lane by lane, an ordered
//! set of the heads that it may serve. That set is brought up to date lazily: a head that became *better* is
//! announced in a journal which the group reads before it serves; a head that became *worse* is noticed when it is looked at. So an assignment costs
//! O(lanes served + log n), and neither idle classes nor queued jobs cost anything.

mod bits;
mod class;
mod group;
mod heads;
mod lane;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use slab::Slab;

use self::{
    class::{CapabilityClass, RequirementClass},
    group::{Group, GroupIx},
    lane::Lane,
};
use crate::{
    InstanceName, LaneKey, PropertySet,
    mutant::{Mutant, broken},
};

/// Number of a requirement class in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RequirementIx(pub(crate) u32);

/// Number of a capability class in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct CapabilityIx(pub(crate) u32);

/// Number of a lane in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LaneIx(pub(crate) u32);

/// Number of a job in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobIx(pub(crate) u32);

/// Number of a session in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionIx(pub(crate) u32);

/// Order within a lane: rank, then age (ages are unique).
pub(crate) type Place = (i64, u64);

/// Where a job stands when it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) class: RequirementIx,
    pub(crate) lane: LaneIx,
    pub(crate) place: Place,
}

/// Classes, lanes and waiting bots.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    requirements: Slab<RequirementClass>,
    requirement_index: FxHashMap<class::RequirementKey, RequirementIx>,
    /// Requirement classes without jobs, oldest first: kept for a while, because verdicts cost something.
    retired: VecDeque<(RequirementIx, u64)>,
    retirements: u64,
    capabilities: Slab<CapabilityClass>,
    capability_index: FxHashMap<class::CapabilityKey, CapabilityIx>,
    groups: Slab<Group>,
    /// Groups by what they serve.
    group_index: FxHashMap<u128, GroupIx>,
    lanes: Slab<Lane>,
    lane_index: FxHashMap<(InstanceName, LaneKey), LaneIx>,
    journal: heads::Journal,
    /// Groups with at least one waiting bot.
    asking: indexmap::IndexSet<GroupIx, rustc_hash::FxBuildHasher>,
    waits: u64,
}

impl Queue {
    /// Adds a job that waits.
    pub(crate) fn push(&mut self, spot: Spot, job: JobIx) {
        self.lanes[spot.lane.0 as usize].queued += 1;
        let class = &mut self.requirements[spot.class.0 as usize];
        class.queued += 1;
        let quiet = broken(Mutant::HeadNotAnnounced) && class.queued > 1;
        if class.insert(spot.lane, spot.place, job) && !quiet {
            self.journal.announce(spot.class, spot.lane);
        }
    }

    /// Takes a job out, because it goes to a bot or ends.
    pub(crate) fn remove(&mut self, spot: Spot) {
        self.lanes[spot.lane.0 as usize].queued -= 1;
        let class = &mut self.requirements[spot.class.0 as usize];
        class.queued -= 1;
        class.remove(spot.lane, spot.place);
    }

    /// One more (or one less) job of the lane is with a bot.
    pub(crate) fn count_running(&mut self, lane: LaneIx, more: bool) {
        let running = &mut self.lanes[lane.0 as usize].running;
        *running = if more { *running + 1 } else { running.checked_sub(1).expect("a running job was counted") };
    }

    /// The requirements of a class.
    pub(crate) fn requirements(&self, class: RequirementIx) -> (&PropertySet, &std::sync::Arc<str>) {
        let class = &self.requirements[class.0 as usize];
        (&class.key.requirements, &class.key.label)
    }

    /// The lane's key.
    pub(crate) fn lane(&self, lane: LaneIx) -> &LaneKey {
        &self.lanes[lane.0 as usize].key
    }

    /// How many jobs of the class stand before a place, and how many it has queued in all. Walks the lane.
    pub(crate) fn ahead(&self, spot: Spot) -> (usize, usize) {
        let class = &self.requirements[spot.class.0 as usize];
        (class.ahead(spot.lane, spot.place), class.queued as usize)
    }

    /// How many requirement classes, capability classes and lanes there are.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.requirements.len(), self.capabilities.len(), self.lanes.len())
    }
}
