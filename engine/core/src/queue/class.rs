//! Match classes: equal requirements and equal offers are one class each; a verdict is reached once a pair.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{
    CapabilityIx, LaneIx, LimitsIx, LineIx, Queue, RequirementIx, bits::BitSet, group::GroupIx, heads::Audience,
};
use crate::{
    InstanceName, Pools, PropertySet,
    mutant::{Mutant, broken},
};

/// How many requirement classes without jobs are remembered.
const RETIRED_MAX: usize = 16_384;

/// What makes two jobs equal for matching.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequirementKey {
    pub(super) instance: InstanceName,
    pub(super) requirements: PropertySet,
    pub(super) label: Arc<str>,
}

/// What makes two bots equal for matching.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct CapabilityKey {
    pub(super) instance: InstanceName,
    pub(super) capabilities: Vec<PropertySet>,
}

/// Jobs that need the same.
#[derive(Debug)]
pub(super) struct RequirementClass {
    pub(super) key: RequirementKey,
    /// Its lines, by their lanes and limits.
    pub(super) lines: FxHashMap<(LaneIx, LimitsIx), LineIx>,
    /// Who wants to hear of new heads.
    pub(super) audience: Audience,
    /// How many hold on to it: its lines, who is about to make one, and jobs that would like its bots.
    pub(super) holders: u32,
    /// When the class last lost its last holder, as a count of such events.
    retired: u64,
    /// Whether an operator keeps its jobs from bots.
    pub(super) paused: bool,
}

/// Bots that offer the same.
#[derive(Debug)]
pub(super) struct CapabilityClass {
    pub(super) key: CapabilityKey,
    sessions: u32,
    /// How well it fits classes of jobs, as far as a policy has said. Empty where containment judges.
    pub(super) fits: FxHashMap<RequirementIx, u32>,
    /// Where its verdicts, its heads and its waiting bots are.
    pub(super) group: GroupIx,
}

/// The built-in rule.
pub(super) fn contains(pools: &Pools, offer: &CapabilityKey, need: &RequirementKey) -> bool {
    reaches(pools, offer, need) && offer.capabilities.iter().any(|set| set.contains_all(&need.requirements))
}

/// Whether bots that offer this may serve the instance of who needs that.
pub(super) fn reaches(pools: &Pools, offer: &CapabilityKey, need: &RequirementKey) -> bool {
    if broken(Mutant::PoolsIgnored) {
        return offer.instance == need.instance;
    }
    pools.serves(&offer.instance, &need.instance)
}

impl Queue {
    /// Finds or makes the class for one more job.
    pub(crate) fn enter_requirements(
        &mut self,
        instance: &InstanceName,
        requirements: &PropertySet,
        label: &Arc<str>,
    ) -> RequirementIx {
        let key =
            RequirementKey { instance: instance.clone(), requirements: requirements.clone(), label: label.clone() };
        if let Some(index) = self.requirement_index.get(&key) {
            let index = *index;
            let class = &mut self.requirements[index.0 as usize];
            class.holders += 1;
            if class.holders == 1 && self.is_judged(index) {
                self.wonder_about(index);
            }
            return index;
        }
        let class = RequirementClass {
            key: key.clone(),
            lines: FxHashMap::default(),
            audience: Audience::default(),
            holders: 1,
            retired: 0,
            paused: self.rests(&key),
        };
        let index = RequirementIx(u32::try_from(self.requirements.insert(class)).expect("fewer than 2^32 classes"));
        if self.edition(instance).is_some() && !broken(Mutant::UnknownServes) {
            self.wonder_about(index);
        } else {
            self.judge(index, |queue, offer| contains(&queue.pools, &queue.capabilities[offer.0 as usize].key, &key));
        }
        self.requirement_index.insert(key, index);
        index
    }

    /// Keeps the class; to be left like one that was entered.
    pub(super) fn hold_requirements(&mut self, index: RequirementIx) {
        self.requirements[index.0 as usize].holders += 1;
    }

    /// Who entered it lets go. A class that nobody holds is kept for a while, then forgotten.
    pub(crate) fn leave_requirements(&mut self, index: RequirementIx) {
        let class = &mut self.requirements[index.0 as usize];
        class.holders -= 1;
        if class.holders > 0 {
            return;
        }
        if self.is_judged(index) {
            self.unlearn(index);
        }
        self.retirements += 1;
        self.requirements[index.0 as usize].retired = self.retirements;
        self.retired.push_back((index, self.retirements));
        while self.retired.len() > RETIRED_MAX {
            let (oldest, when) = self.retired.pop_front().expect("the line was longer than its limit");
            let still = self.requirements.get(oldest.0 as usize).is_some_and(|c| c.holders == 0 && c.retired == when);
            if still {
                let class = self.requirements.remove(oldest.0 as usize);
                self.requirement_index.remove(&class.key);
                self.unjudge(oldest);
            }
        }
    }

    /// Finds or makes the class for one more session.
    pub(crate) fn enter_capabilities(&mut self, instance: &InstanceName, capabilities: &[PropertySet]) -> CapabilityIx {
        let mut sets = capabilities.to_vec();
        sets.sort();
        sets.dedup();
        let key = CapabilityKey { instance: instance.clone(), capabilities: sets };
        if let Some(index) = self.capability_index.get(&key) {
            self.capabilities[index.0 as usize].sessions += 1;
            return *index;
        }
        let mut verdicts = BitSet::default();
        for (index, need) in &self.requirements {
            let index = u32::try_from(index).expect("fewer than 2^32 classes");
            verdicts.set(index, !self.is_judged(RequirementIx(index)) && contains(&self.pools, &key, &need.key));
        }
        let index = CapabilityIx(u32::try_from(self.capabilities.vacant_key()).expect("fewer than 2^32 classes"));
        let group = self.join_group(index, verdicts);
        self.capabilities.insert(CapabilityClass { key: key.clone(), sessions: 1, fits: FxHashMap::default(), group });
        self.capability_index.insert(key, index);
        self.wonder_whom(index);
        index
    }

    /// A session of the class is over; it waits no more.
    pub(crate) fn leave_capabilities(&mut self, index: CapabilityIx) {
        let class = &mut self.capabilities[index.0 as usize];
        class.sessions -= 1;
        if class.sessions == 0 {
            let class = self.capabilities.remove(index.0 as usize);
            self.leave_group(index, class.group);
            self.capability_index.remove(&class.key);
        }
    }

    /// The instance that the bots of a class serve.
    pub(crate) fn instance_of(&self, class: CapabilityIx) -> &InstanceName {
        &self.capabilities[class.0 as usize].key.instance
    }

    /// What the bots of a class offer.
    pub(crate) fn offered(&self, class: CapabilityIx) -> &[PropertySet] {
        &self.capabilities[class.0 as usize].key.capabilities
    }

    /// Whether bots of the one class may take jobs of the other.
    pub(crate) fn serves(&self, offer: CapabilityIx, need: RequirementIx) -> bool {
        self.groups[self.capabilities[offer.0 as usize].group.0 as usize].serves.has(need.0)
    }
}
