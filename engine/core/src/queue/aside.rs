//! What is asked of the queue off the hot path: who of two goes first, and which classes no bot serves.

use std::{cmp::Ordering, sync::Arc};

use super::{
    CapabilityIx, JobIx, LineIx, Queue, RequirementIx, Spot,
    class::{self, RequirementKey},
};
use crate::{JobClass, LaneKey, Limit, PropertySet};

impl Queue {
    /// Which of two jobs that wait goes first.
    pub(crate) fn compare(&self, one: Spot, other: Spot) -> Ordering {
        let (one_lane, other_lane) = (self.line(one.line).1, self.line(other.line).1);
        let owed = |spot: Spot| self.is_owed(self.limits_of(spot.line));
        let owed = owed(other).cmp(&owed(one));
        owed.then(self.share_cmp(one_lane, other_lane)).then(one.place.cmp(&other.place))
    }

    /// Classes with jobs in their lanes that no open session serves.
    pub(crate) fn unserved_classes(&self) -> impl Iterator<Item = RequirementIx> + '_ {
        let waiting = self.lines.iter().filter(|(_, line)| line.waiting.len() > 0);
        waiting.map(|(_, line)| line.class).filter(|class| !self.is_served(*class))
    }

    /// How many jobs stand in each line, and the label of its class.
    pub(crate) fn queued_by_line(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let waiting = self.lines.iter().map(|(_, line)| (line.class, line.waiting.len()));
        waiting.map(|(class, count)| (&self.requirements[class.0 as usize].key.label, count))
    }

    /// Whether an open session serves the class, or may: not all is known yet.
    pub(crate) fn is_served(&self, class: RequirementIx) -> bool {
        self.groups.iter().any(|(_, group)| group.serves.has(class.0)) || self.may_be_served(class)
    }

    /// Whether jobs of the class stand in its lanes.
    pub(crate) fn has_queued(&self, class: RequirementIx) -> bool {
        let class = self.requirements.get(class.0 as usize);
        class.is_some_and(|class| class.lines.values().any(|line| self.lines[line.0 as usize].waiting.len() > 0))
    }

    /// What jobs of the class have in common.
    pub(crate) fn class_of(&self, class: RequirementIx) -> JobClass {
        let key = &self.requirements[class.0 as usize].key;
        JobClass { instance: key.instance.clone(), requirements: key.requirements.clone(), label: key.label.clone() }
    }

    /// The class of such jobs, if there is or was one lately.
    pub(crate) fn find_class(&self, class: &JobClass) -> Option<RequirementIx> {
        self.requirement_index.get(&key(class)).copied()
    }

    /// Whether bots of the one class may take jobs of the other, which need not have any just now. What is not known
    /// may be so.
    pub(crate) fn would_serve(&self, offer: CapabilityIx, need: &JobClass) -> bool {
        let class = &self.capabilities[offer.0 as usize];
        if self.edition(&need.instance).is_none() {
            return class::contains(&self.pools, &class.key, &key(need));
        }
        let known = self.find_class(need).and_then(|need| class.fits.get(&need));
        class::reaches(&self.pools, &class.key, &key(need)) && known.is_none_or(|fit| *fit > 0)
    }

    /// Jobs of the class that stand in its lanes, lane by lane.
    pub(crate) fn queued_of(&self, class: RequirementIx) -> impl Iterator<Item = JobIx> + '_ {
        let mut lines: Vec<_> = self.requirements[class.0 as usize].lines.iter().collect();
        lines.sort_by_key(|(key, _)| **key);
        lines.into_iter().flat_map(|(_, line)| self.lines[line.0 as usize].waiting.iter())
    }

    /// The line of a job that stands in another lane from now on, or has other limits. The numbers of its counters stay
    /// as they are: they are set by [`Queue::bound`] when the job is counted where it belongs, so that a counter is not
    /// full or free for a moment in between.
    pub(crate) fn change_line(
        &mut self,
        line: LineIx,
        key: &LaneKey,
        weight: u32,
        limits: &[Arc<Limit>],
        age: u64,
    ) -> LineIx {
        let (class, _) = self.line(line);
        let instance = self.instance(line).clone();
        self.hold_requirements(class);
        let lane = self.enter_lane(&instance, key, weight, age);
        let limits = self.enter_limits(&instance, limits, 0);
        self.enter_line(class, lane, limits)
    }

    /// The line of a job whose requirements are other ones from now on.
    pub(crate) fn amend(&mut self, line: LineIx, requirements: &PropertySet) -> LineIx {
        let label = self.requirements(line).1.clone();
        let (instance, lane) = (self.instance(line).clone(), self.line(line).1);
        let class = self.enter_requirements(&instance, requirements, &label);
        self.hold_lane(lane);
        let limits = self.limits_of(line);
        self.hold_limits(limits);
        self.enter_line(class, lane, limits)
    }
}

fn key(class: &JobClass) -> RequirementKey {
    RequirementKey {
        instance: class.instance.clone(),
        requirements: class.requirements.clone(),
        label: class.label.clone(),
    }
}
