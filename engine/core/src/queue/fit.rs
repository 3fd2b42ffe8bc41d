//! Verdicts that a policy reaches about pairs of classes, instead of containment.
//!
//! What is not known yet counts as no, and is asked about. A verdict lasts as long as both classes have somebody, and
//! until another set of policies answers. A group's members agree on how well they fit each class that they serve.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{
    CapabilityIx, Queue, RequirementIx,
    class::{self, CapabilityClass},
    group::GroupIx,
};
use crate::{
    InstanceName, JobClass, PropertySet,
    mutant::{Mutant, broken},
};

/// A class of jobs and a class of bots.
pub(crate) type Pair = (RequirementIx, CapabilityIx);

/// Where policies judge, and what they have not been asked yet.
#[derive(Debug, Default)]
pub(super) struct Judges {
    /// Number of the set of policies that judges an instance.
    editions: FxHashMap<InstanceName, u64>,
    /// Pairs that somebody should be asked about. One of its classes may be gone by now.
    pub(super) unasked: BTreeSet<Pair>,
}

impl Queue {
    /// Which set of policies judges pairs of the instance; `None`: containment does.
    pub(crate) fn edition(&self, instance: &InstanceName) -> Option<u64> {
        if self.judges.editions.is_empty() { None } else { self.judges.editions.get(instance).copied() }
    }

    /// Whether a policy says who serves the class.
    pub(super) fn is_judged(&self, need: RequirementIx) -> bool {
        self.edition(&self.requirements[need.0 as usize].key.instance).is_some()
    }

    /// Who judges pairs of the instance from now on. Answers whether that is anybody else: then nothing is known any
    /// more.
    pub(crate) fn set_edition(&mut self, instance: &InstanceName, edition: Option<u64>) -> bool {
        if self.edition(instance) == edition {
            return false;
        }
        let both = self.edition(instance).is_some() && edition.is_some();
        let needs = if both && broken(Mutant::FitsOutliveSwap) { Vec::new() } else { self.needs_of(instance) };
        // While it is still known who said what is forgotten.
        for need in &needs {
            self.unlearn(*need);
        }
        match edition {
            Some(edition) => self.judges.editions.insert(instance.clone(), edition),
            None => self.judges.editions.remove(instance),
        };
        for need in needs {
            if edition.is_some() {
                self.wonder_about(need);
            } else {
                let offers = self.offers_for(need);
                let serves = |offer: &CapabilityIx| {
                    let (offer, need) = (&self.capabilities[offer.0 as usize], &self.requirements[need.0 as usize]);
                    class::contains(&self.pools, &offer.key, &need.key)
                };
                let fits = offers.into_iter().map(|offer| (offer, u32::from(serves(&offer)))).collect();
                self.set_fits(need, &fits);
            }
        }
        true
    }

    /// A class of jobs has somebody: how it fits each offer is to be asked.
    pub(super) fn wonder_about(&mut self, need: RequirementIx) {
        let class = &self.requirements[need.0 as usize];
        if class.holders > 0 {
            let offers = self.offers_for(need);
            self.judges.unasked.extend(offers.into_iter().map(|offer| (need, offer)));
        }
    }

    /// A class of bots is new: how it fits each need is to be asked.
    pub(super) fn wonder_whom(&mut self, offer: CapabilityIx) {
        if self.judges.editions.is_empty() {
            return;
        }
        let needs = self.requirements.iter().map(|(need, _)| (RequirementIx(need as u32), offer));
        let unknown: Vec<_> = needs.filter(|pair| self.is_unknown(*pair)).collect();
        self.judges.unasked.extend(unknown);
    }

    /// Pairs that nobody was asked about yet.
    pub(crate) fn take_unasked(&mut self) -> Vec<Pair> {
        if self.judges.unasked.is_empty() {
            return Vec::new();
        }
        let pairs = std::mem::take(&mut self.judges.unasked);
        pairs.into_iter().filter(|pair| self.is_unknown(*pair)).collect()
    }

    /// To be asked about again, unless that has become idle.
    pub(crate) fn wonder_again(&mut self, pair: Pair) {
        self.judges.unasked.insert(pair);
    }

    /// Whether somebody wants to know how the pair fits, and nobody does.
    pub(crate) fn is_unknown(&self, (need, offer): Pair) -> bool {
        let need_class = self.requirements.get(need.0 as usize).filter(|class| class.holders > 0);
        let offer_class = self.capabilities.get(offer.0 as usize);
        need_class.zip(offer_class).is_some_and(|(need_class, offer_class)| {
            class::reaches(&self.pools, &offer_class.key, &need_class.key)
                && self.edition(&need_class.key.instance).is_some()
                && !offer_class.fits.contains_key(&need)
        })
    }

    /// Whether there are bots of which it is not known whether they serve the class.
    pub(crate) fn may_be_served(&self, need: RequirementIx) -> bool {
        if !self.is_judged(need) || broken(Mutant::UnknownIsUnmatched) {
            return false;
        }
        let key = &self.requirements[need.0 as usize].key;
        let mut offers = self.capabilities.iter().filter(|(_, offer)| class::reaches(&self.pools, &offer.key, key));
        offers.any(|(_, offer)| !offer.fits.contains_key(&need))
    }

    /// What a pair is about: label and requirements, and what is offered.
    pub(crate) fn pair(&self, (need, offer): Pair) -> (JobClass, &[PropertySet]) {
        (self.class_of(need), self.offered(offer))
    }

    /// The bots' class of such an offer, if there is one.
    pub(crate) fn find_offer(&self, instance: &InstanceName, capabilities: &[PropertySet]) -> Option<CapabilityIx> {
        let key = class::CapabilityKey { instance: instance.clone(), capabilities: capabilities.to_vec() };
        self.capability_index.get(&key).copied()
    }

    /// How well pairs fit that were not known. Answers those that are news, and fit.
    pub(crate) fn learn(&mut self, answers: impl Iterator<Item = (Pair, u32)>) -> Vec<Pair> {
        let mut by_need: BTreeMap<RequirementIx, BTreeMap<CapabilityIx, u32>> = BTreeMap::new();
        for ((need, offer), fit) in answers {
            if self.is_unknown((need, offer)) {
                by_need.entry(need).or_default().entry(offer).or_insert(fit);
            }
        }
        let mut news = Vec::new();
        for (need, fits) in by_need {
            self.set_fits(need, &fits);
            for (offer, fit) in fits {
                self.capabilities[offer.0 as usize].fits.insert(need, fit);
                if fit > 0 {
                    news.push((need, offer));
                }
            }
        }
        news
    }

    /// Nobody is of the class any more, or somebody else judges it: nothing is known of it.
    pub(super) fn unlearn(&mut self, need: RequirementIx) {
        let offers = self.offers_for(need);
        self.set_fits(need, &offers.iter().map(|offer| (*offer, 0)).collect());
        for offer in offers {
            self.capabilities[offer.0 as usize].fits.remove(&need);
        }
    }

    /// How well the members of a group fit a class; 0: not at all. Where containment judges, all fit equally well.
    pub(super) fn fit_of(&self, group: GroupIx, need: RequirementIx) -> u32 {
        let group = &self.groups[group.0 as usize];
        if !group.serves.has(need.0) || self.judges.editions.is_empty() {
            return u32::from(group.serves.has(need.0));
        }
        let member = group.members.first().expect("a group has a member");
        self.capabilities[member.0 as usize].fits.get(&need).copied().unwrap_or(1)
    }

    /// How well bots of the one class fit jobs of the other; 0: not at all.
    pub(crate) fn fit(&self, offer: CapabilityIx, need: RequirementIx) -> u32 {
        self.fit_of(self.capabilities[offer.0 as usize].group, need)
    }

    /// Puts offers into the groups where they belong, once they fit the class this well.
    fn set_fits(&mut self, need: RequirementIx, fits: &BTreeMap<CapabilityIx, u32>) {
        let mut by_group: BTreeMap<GroupIx, BTreeMap<u32, Vec<CapabilityIx>>> = BTreeMap::new();
        for (offer, fit) in fits {
            let group = self.capabilities[offer.0 as usize].group;
            by_group.entry(group).or_default().entry(*fit).or_default().push(*offer);
        }
        let mut moves = Vec::new();
        for (group, by_fit) in by_group {
            let old = self.fit_of(group, need);
            for (fit, members) in by_fit.into_iter().filter(|(fit, _)| *fit != old) {
                let all = members.len() == self.groups[group.0 as usize].members.len();
                moves.push((if all { group } else { self.split(group, members) }, old, fit));
            }
        }
        for (group, old, fit) in moves {
            self.refit(group, need, old, fit);
        }
    }

    /// Of the bots that may serve the class's instance.
    fn offers_for(&self, need: RequirementIx) -> Vec<CapabilityIx> {
        let key = &self.requirements[need.0 as usize].key;
        let reach = |(_, offer): &(usize, &CapabilityClass)| class::reaches(&self.pools, &offer.key, key);
        self.capabilities.iter().filter(reach).map(|(index, _)| CapabilityIx(index as u32)).collect()
    }

    /// In the order of what they are.
    pub(crate) fn needs_of(&self, instance: &InstanceName) -> Vec<RequirementIx> {
        let needs = self.requirements.iter().filter(|(_, need)| need.key.instance == *instance);
        let mut needs: Vec<_> = needs.map(|(index, _)| RequirementIx(index as u32)).collect();
        needs.sort_by_cached_key(|need| self.class_of(*need));
        needs
    }
}
