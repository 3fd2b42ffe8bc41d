//! The queue: match classes, lanes, and who goes next. Shared by the books of a partition.
//!
//! Equal requirement sets share a requirement class, equal offers share a capability class; whether one serves
//! the other is decided once for the pair. Within a requirement class jobs stand in lanes, by rank, then age: class and
//! lane together (and limit set, see `limit`) are a *line*. Capability classes that serve the same requirement classes are a group, which keeps, lane
//! by lane, an ordered set of the heads that it may serve. That set is brought up to date lazily: a head that became
//! *better* is announced, and the group reads what concerns it before it serves; a head that became *worse* is noticed
//! when it is looked at. So an assignment costs O(lanes served + log n), and neither idle classes nor queued jobs cost
//! anything.

mod aside;
mod bits;
mod choice;
mod class;
mod cooling;
mod fit;
mod front;
mod group;
mod heads;
mod hunger;
mod lane;
mod limit;
mod line;
mod pause;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use rustc_hash::FxHashMap;
use slab::Slab;

pub(crate) use self::{bits::BitSet, choice::LaneHead, cooling::CounterName, fit::Pair, pause::Pause};
use self::{
    class::{CapabilityClass, RequirementClass},
    cooling::Cooling,
    fit::Judges,
    group::{Group, GroupIx},
    hunger::Hunger,
    lane::Lane,
    limit::{Counter, LimitSet, News},
    line::Line,
};
use crate::{
    InstanceName, LaneKey, Limit, Pools, PropertySet,
    mutant::{Mutant, broken},
    prefetch::prefetch,
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

/// Number of a line in this process: a requirement class in a lane, with one limit set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LineIx(pub(crate) u32);

/// Number of a limit set in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LimitsIx(pub(crate) u32);

impl LimitsIx {
    /// Of jobs without limits.
    pub(crate) const NONE: Self = Self(u32::MAX);
}

/// Number of a job in this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct JobIx(pub(crate) u32);

/// Number of a session in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionIx(pub(crate) u32);

/// Order within a lane: rank, then age (ages are unique).
pub(crate) type Place = (i64, u64);

/// Where a job stands when it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) line: LineIx,
    pub(crate) place: Place,
}

/// What a group will likely serve next, as of the last time.
#[derive(Clone, Copy, Debug, Default)]
struct Guess(LineIx, JobIx);

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
    /// At each group's number what it will likely serve next: so small that it is always near.
    guesses: Vec<Guess>,
    /// Groups by what they serve.
    group_index: FxHashMap<u128, GroupIx>,
    /// Counts changes of who is in which group, so that what was found out about the groups is known to be old.
    formation: u64,
    lanes: Slab<Lane>,
    lane_index: FxHashMap<(InstanceName, LaneKey), LaneIx>,
    lines: Slab<Line>,
    counters: Slab<Counter>,
    counter_index: FxHashMap<(InstanceName, Arc<str>), usize>,
    limit_sets: Slab<LimitSet>,
    limit_index: FxHashMap<Box<[usize]>, LimitsIx>,
    /// What operators have paused: instances, or labels of an instance.
    paused: BTreeSet<pause::Pause>,
    /// Numbers of counters that an operator set.
    set_limits: BTreeMap<CounterName, Arc<Limit>>,
    news: News,
    hunger: Hunger,
    cooling: Cooling,
    journal: heads::Journal,
    /// Groups with at least one waiting bot.
    asking: indexmap::IndexSet<GroupIx, rustc_hash::FxBuildHasher>,
    waits: u64,
    judges: Judges,
    /// Which instances share their bots.
    pools: Pools,
}

impl Queue {
    /// An empty queue.
    pub(crate) fn with(pools: Pools) -> Self {
        Self { pools, ..Self::default() }
    }

    /// Whether bots of the class may serve jobs of the instance.
    pub(crate) fn reaches(&self, class: CapabilityIx, instance: &InstanceName) -> bool {
        self.pools.serves(self.instance_of(class), instance)
    }

    /// Adds a job that waits.
    pub(crate) fn push(&mut self, spot: Spot, job: JobIx) {
        let line = &mut self.lines[spot.line.0 as usize];
        self.lanes[line.lane.0 as usize].queued += 1;
        let is_head = line.waiting.insert(spot.place, job);
        let quiet = broken(Mutant::HeadNotAnnounced) && line.waiting.len() > 1;
        if is_head && !quiet {
            self.announce(spot.line);
        }
    }

    /// Takes a job out, because it goes to a bot or ends.
    pub(crate) fn remove(&mut self, spot: Spot) {
        let line = &mut self.lines[spot.line.0 as usize];
        self.lanes[line.lane.0 as usize].queued -= 1;
        let stood = line.waiting.remove(spot.place);
        assert!(stood, "a queued job stands at its place");
    }

    /// Takes a job out if it is one of the first of its line; answers whether it is.
    pub(crate) fn remove_from_front(&mut self, line: LineIx, job: JobIx) -> bool {
        let line = &mut self.lines[line.0 as usize];
        let removed = line.waiting.remove_from_front(|_, other| other == job);
        self.lanes[line.lane.0 as usize].queued -= u32::from(removed);
        removed
    }

    /// One more (or one less) job of the lane is with a bot.
    pub(crate) fn count_running(&mut self, line: LineIx, more: bool) {
        let lane = self.lines[line.0 as usize].lane;
        let running = &mut self.lanes[lane.0 as usize].running;
        *running = if more { *running + 1 } else { running.checked_sub(1).expect("a running job was counted") };
        self.count_limits(line, more);
    }

    /// The class and the lane of a line.
    pub(crate) fn line(&self, line: LineIx) -> (RequirementIx, LaneIx) {
        let line = &self.lines[line.0 as usize];
        (line.class, line.lane)
    }

    /// The instance of a line.
    pub(crate) fn instance(&self, line: LineIx) -> &InstanceName {
        let (class, _) = self.line(line);
        &self.requirements[class.0 as usize].key.instance
    }

    /// The requirements of a line's class, and its label.
    pub(crate) fn requirements(&self, line: LineIx) -> (&PropertySet, &Arc<str>) {
        let (class, _) = self.line(line);
        let class = &self.requirements[class.0 as usize];
        (&class.key.requirements, &class.key.label)
    }

    /// The key of a line's lane.
    pub(crate) fn lane_key(&self, line: LineIx) -> &LaneKey {
        let (_, lane) = self.line(line);
        &self.lanes[lane.0 as usize].key
    }

    /// How many jobs of the class stand before a place in its lane, and how many it has queued in all. Walks the line.
    pub(crate) fn ahead(&self, spot: Spot) -> (usize, usize) {
        let line = &self.lines[spot.line.0 as usize];
        let alike = self.requirements[line.class.0 as usize].lines.values();
        (line.waiting.ahead(spot.place), alike.map(|line| self.lines[line.0 as usize].waiting.len()).sum())
    }

    /// The line will be looked at soon.
    pub(crate) fn expect(&self, line: LineIx) {
        prefetch(&self.lines[line.0 as usize].lane);
    }

    /// How many requirement classes, capability classes and lanes there are.
    pub(crate) fn sizes(&self) -> (usize, usize, usize) {
        (self.requirements.len(), self.capabilities.len(), self.lanes.len())
    }
}
