//! The rule of Coordinate's Python server: among chains of specs, what is furthest down goes first, so that work that was
//! begun is brought to its end before more is begun.
//!
//! Where that server draws lots between a source that makes its own work, a loop, and any spec that makes its own work,
//! here the kind goes that is furthest behind its share.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Book, Priority, SpecId, SpecName,
    choose::{Brief, Candidate},
};

/// The shares of the kinds that lots are drawn between.
const SOURCE: u128 = 20;
const LOOP: u128 = 10;
const CONTINUOUS: u128 = 1;

/// How specs follow one another. Each has one successor at most.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// From a source on, each in the order of its flow; another chain that runs into one stands before it.
    paths: Vec<Vec<SpecId>>,
    /// Sources that make their own work: they head no path.
    sources: Vec<Vec<SpecId>>,
    loops: Vec<Vec<SpecId>>,
    /// Every spec that makes its own work, alone.
    continuous: Vec<Vec<SpecId>>,
}

impl Book {
    /// `None`: nothing that this rule would serve.
    pub(super) fn classic(&mut self, candidates: &[Candidate]) -> Option<SpecId> {
        if self.chains.is_none() {
            self.chains = Some(self.chains_now());
        }
        let chains = self.chains.as_ref().expect("just made");
        let open: BTreeMap<SpecId, &Brief> = candidates.iter().map(|(id, brief)| (*id, brief)).collect();
        if let Some(id) = self.best(&chains.paths, &open, true, false) {
            return Some(id);
        }
        let kinds =
            [(&chains.sources, SOURCE, false), (&chains.loops, LOOP, false), (&chains.continuous, CONTINUOUS, true)];
        let served = kinds.into_iter().filter_map(|(lists, share, empty)| {
            let id = self.best(lists, &open, false, empty)?;
            let pending: u64 = lists.iter().flatten().filter_map(|id| open.get(id)).map(|brief| brief.pending).sum();
            Some((u128::from(pending) + 1, share, id))
        });
        served.min_by(|one, other| (one.0 * other.1).cmp(&(other.0 * one.1))).map(|(_, _, id)| id)
    }

    /// Only the most urgent count. Of the lists the one with the least score; in it the least score, or, if the last is
    /// to be picked, the one furthest down that its predecessor lets pass.
    fn best(
        &self,
        lists: &[Vec<SpecId>],
        open: &BTreeMap<SpecId, &Brief>,
        last: bool,
        may_be_empty: bool,
    ) -> Option<SpecId> {
        let urgency = |id: &SpecId| {
            let brief = open.get(id)?;
            let default = may_be_empty.then(Priority::default);
            // Below 0 nothing is served by this rule.
            brief.head.or(default).filter(|priority| *priority >= Priority::default())
        };
        let most = lists.iter().flatten().filter_map(urgency).max()?;
        let urgent = lists.iter().map(|list| list.iter().copied().filter(|id| urgency(id) == Some(most)).collect());
        let score = |id: SpecId| (open[&id].pending + 1) as f64 / open[&id].weight as f64;
        let less = |one: &SpecId, other: &SpecId| {
            score(*one).total_cmp(&score(*other)).then_with(|| self.spec_name(*one).cmp(self.spec_name(*other)))
        };
        let best = urgent.filter_map(|list: Vec<SpecId>| Some((list.iter().copied().min_by(less)?, list)));
        let (least, list) = best.min_by(|one, other| less(&one.0, &other.0))?;
        let later = |before: SpecId, id: SpecId| {
            let passes = self.specs[&before].settings.then_preempts;
            if passes || less(&id, &before).is_lt() { id } else { before }
        };
        if last { list.into_iter().reduce(later) } else { Some(least) }
    }

    fn spec_name(&self, id: SpecId) -> &SpecName {
        &self.specs[&id].settings.name
    }

    fn chains_now(&self) -> Chains {
        let then = |id: &SpecId| self.names.get(self.specs[id].settings.then.as_ref()?).copied();
        let next: BTreeMap<SpecId, SpecId> = self.names.values().filter_map(|id| Some((*id, then(id)?))).collect();
        let makes = |id: &SpecId| self.specs[id].settings.continuous;
        let loops = loops(self.names.values(), &next);
        let looped: BTreeSet<SpecId> = loops.iter().flatten().copied().collect();
        let followed: BTreeSet<SpecId> = next.values().copied().collect();
        let sources: Vec<SpecId> =
            self.names.values().filter(|id| !looped.contains(id) && !followed.contains(id)).copied().collect();
        let alone = |ids: &mut dyn Iterator<Item = SpecId>| ids.map(|id| vec![id]).collect();
        Chains {
            paths: paths(&sources, &next, &looped, makes),
            sources: alone(&mut sources.iter().copied().filter(makes)),
            continuous: alone(&mut self.names.values().copied().filter(makes)),
            loops,
        }
    }
}

/// Each loop once.
fn loops<'a>(ids: impl Iterator<Item = &'a SpecId>, next: &BTreeMap<SpecId, SpecId>) -> Vec<Vec<SpecId>> {
    let mut seen = BTreeSet::new();
    let mut loops = Vec::new();
    for start in ids {
        let mut walk = Vec::new();
        let mut at = Some(*start);
        while let Some(id) = at.filter(|id| seen.insert(*id)) {
            walk.push(id);
            at = next.get(&id).copied();
        }
        // Back into this very walk: a loop. Into an older one: nothing new.
        if let Some(from) = at.and_then(|id| walk.iter().position(|one| *one == id)) {
            loops.push(walk.split_off(from));
        }
    }
    loops
}

/// What follows from each source, up to the end or a loop.
fn paths(
    sources: &[SpecId],
    next: &BTreeMap<SpecId, SpecId>,
    looped: &BTreeSet<SpecId>,
    makes: impl Fn(&SpecId) -> bool,
) -> Vec<Vec<SpecId>> {
    let mut path_of: BTreeMap<SpecId, usize> = BTreeMap::new();
    let mut paths: Vec<Vec<SpecId>> = Vec::new();
    for source in sources {
        let mut path = Vec::new();
        let mut into = None;
        let mut at = Some(*source);
        while let Some(id) = at.filter(|id| !looped.contains(id)) {
            into = path_of.get(&id).copied();
            if into.is_some() {
                break;
            }
            path.push(id);
            at = next.get(&id).copied();
        }
        path.retain(|id| *id != *source || !makes(source));
        let number = into.unwrap_or(paths.len());
        path_of.extend(path.iter().map(|id| (*id, number)));
        match into {
            Some(number) => {
                path.append(&mut paths[number]);
                paths[number] = path;
            }
            None => paths.push(path),
        }
    }
    paths
}
