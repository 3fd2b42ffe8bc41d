//! One work spec with its units: which unit is where, and in what order. Holds no rules.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use rustc_hash::FxHashMap;
use slab::Slab;

use super::{
    Priority, SpecId, SpecMeta, SpecSettings, UnitKey, UnitState, WorkerId,
    unit::{State, Unit},
};
use crate::Timestamp;

/// Place of a unit within its spec; another unit may get it once this one is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct UnitIx(pub(super) u32);

/// Place of a unit that may be handed out: the most urgent first, then by key.
type Place = (Reverse<Priority>, UnitKey);

#[derive(Debug)]
pub(super) struct Spec {
    pub(super) id: SpecId,
    /// As last set.
    pub(super) settings: SpecSettings,
    /// As last set or controlled.
    pub(super) meta: SpecMeta,
    /// Before this it makes no unit of its own. Survives being set again.
    pub(super) next_continuous: Timestamp,
    /// Units that were archived: finished, failed.
    pub(super) archived: [u64; 2],
    /// Whether it stands among those that may have work: kept by `Book::refresh`.
    pub(super) open: Option<i64>,
    units: Slab<Unit>,
    index: FxHashMap<UnitKey, UnitIx>,
    by_state: [BTreeMap<UnitKey, UnitIx>; 4],
    queue: BTreeMap<Place, UnitIx>,
    /// When units ended, then their keys: finished, failed. The order in which they are archived.
    ended: [BTreeMap<(Timestamp, UnitKey), UnitIx>; 2],
    /// Units of which workers may believe that they still have them.
    believed: BTreeSet<UnitIx>,
}

impl Spec {
    pub(super) fn new(id: SpecId, settings: SpecSettings) -> Self {
        Self {
            id,
            meta: meta_of(&settings),
            settings,
            next_continuous: Timestamp(0),
            archived: [0; 2],
            open: None,
            units: Slab::new(),
            index: FxHashMap::default(),
            by_state: Default::default(),
            queue: BTreeMap::new(),
            ended: Default::default(),
            believed: BTreeSet::new(),
        }
    }

    pub(super) fn set(&mut self, settings: SpecSettings) {
        self.meta = meta_of(&settings);
        self.settings = settings;
    }

    pub(super) fn find(&self, key: &UnitKey) -> Option<UnitIx> {
        self.index.get(key).copied()
    }

    pub(super) fn unit(&self, ix: UnitIx) -> &Unit {
        &self.units[ix.0 as usize]
    }

    /// The unit, if there still is one at this place.
    pub(super) fn try_unit(&self, ix: UnitIx) -> Option<&Unit> {
        self.units.get(ix.0 as usize)
    }

    pub(super) fn by_key(&self, key: &UnitKey) -> Option<&Unit> {
        Some(self.unit(self.find(key)?))
    }

    pub(super) fn unit_mut(&mut self, ix: UnitIx) -> &mut Unit {
        &mut self.units[ix.0 as usize]
    }

    /// Units in a state, archived ones not included.
    pub(super) fn count(&self, state: UnitState) -> usize {
        self.by_state[state as usize].len()
    }

    pub(super) fn pending(&self) -> u64 {
        self.count(UnitState::Pending) as u64
    }

    /// Units in one state, in order of their keys, from a key on.
    pub(super) fn in_state<'a>(
        &'a self,
        state: UnitState,
        from: Option<&UnitKey>,
    ) -> impl Iterator<Item = (&'a UnitKey, UnitIx)> + use<'a> {
        let units = &self.by_state[state as usize];
        let range = match from {
            Some(key) => units.range::<UnitKey, _>(key..),
            None => units.range::<UnitKey, _>(..),
        };
        range.map(|(key, ix)| (key, *ix))
    }

    /// Units that may be handed out, in their order.
    pub(super) fn ready(&self) -> impl Iterator<Item = UnitIx> + '_ {
        self.queue.values().copied()
    }

    pub(super) fn ready_count(&self) -> u64 {
        self.queue.len() as u64
    }

    /// Priority of the unit that goes next.
    pub(super) fn head_priority(&self) -> Option<Priority> {
        self.queue.first_key_value().map(|((priority, _), _)| priority.0)
    }

    /// Units that ended, the oldest first.
    pub(super) fn ended(&self, failed: bool) -> impl Iterator<Item = (Timestamp, UnitIx)> + '_ {
        self.ended[usize::from(failed)].iter().map(|((at, _), ix)| (*at, *ix))
    }

    pub(super) fn ended_count(&self, failed: bool) -> usize {
        self.ended[usize::from(failed)].len()
    }

    /// Puts a new unit in its place.
    pub(super) fn insert(&mut self, unit: Unit, now: Timestamp) -> UnitIx {
        let key = unit.key.clone();
        let ix = UnitIx(u32::try_from(self.units.insert(unit)).expect("no memory holds so many units"));
        self.index.insert(key, ix);
        self.file(ix, now);
        ix
    }

    /// Takes a unit out for good.
    pub(super) fn remove(&mut self, ix: UnitIx) -> Unit {
        self.unfile(ix);
        let unit = self.units.remove(ix.0 as usize);
        self.index.remove(&unit.key);
        unit
    }

    /// Moves a unit to another state.
    pub(super) fn change(&mut self, ix: UnitIx, state: State, now: Timestamp) {
        self.unfile(ix);
        self.unit_mut(ix).state = state;
        self.file(ix, now);
    }

    /// Changes a unit's priority.
    pub(super) fn reorder(&mut self, ix: UnitIx, priority: Priority) {
        let unit = &mut self.units[ix.0 as usize];
        let was = std::mem::replace(&mut unit.priority, priority);
        if let Some(ix) = self.queue.remove(&(Reverse(was), unit.key.clone())) {
            self.queue.insert((Reverse(priority), unit.key.clone()), ix);
        }
    }

    /// A delay has passed.
    pub(super) fn make_ready(&mut self, ix: UnitIx) {
        let unit = &mut self.units[ix.0 as usize];
        unit.state = State::READY;
        self.queue.insert((Reverse(unit.priority), unit.key.clone()), ix);
    }

    fn file(&mut self, ix: UnitIx, now: Timestamp) {
        let unit = &self.units[ix.0 as usize];
        let kind = unit.state.kind();
        self.by_state[kind as usize].insert(unit.key.clone(), ix);
        match unit.state {
            State::Available { not_before } if not_before <= now => {
                self.queue.insert((Reverse(unit.priority), unit.key.clone()), ix);
            }
            State::Ended { failed, at, .. } => {
                self.ended[usize::from(failed)].insert((at, unit.key.clone()), ix);
            }
            State::Available { .. } | State::Pending { .. } => {}
        }
    }

    fn unfile(&mut self, ix: UnitIx) {
        let unit = &self.units[ix.0 as usize];
        self.by_state[unit.state.kind() as usize].remove(&unit.key);
        match unit.state {
            State::Available { .. } => {
                self.queue.remove(&(Reverse(unit.priority), unit.key.clone()));
            }
            State::Ended { failed, at, .. } => {
                self.ended[usize::from(failed)].remove(&(at, unit.key.clone()));
            }
            State::Pending { .. } => {}
        }
    }

    /// A worker lost the unit, and does not know it.
    pub(super) fn believes(&mut self, ix: UnitIx, worker: WorkerId) {
        self.unit_mut(ix).former.push(worker);
        self.believed.insert(ix);
    }

    /// The worker knows better now.
    pub(super) fn gives_up(&mut self, ix: UnitIx, worker: &WorkerId) {
        let unit = &mut self.units[ix.0 as usize];
        unit.former.retain(|former| former != worker);
        if unit.former.is_empty() {
            self.believed.remove(&ix);
        }
    }

    /// Who believed it: nobody does any more.
    pub(super) fn take_believers(&mut self, ix: UnitIx) -> Vec<WorkerId> {
        self.believed.remove(&ix);
        std::mem::take(&mut self.unit_mut(ix).former)
    }

    /// The same spec under another number, and without a unit.
    pub(super) fn emptied(&self, id: SpecId) -> Spec {
        let empty = Spec::new(id, self.settings.clone());
        Spec { meta: self.meta.clone(), next_continuous: self.next_continuous, ..empty }
    }

    /// Of a spec that is gone: a unit that left something elsewhere, each once.
    pub(super) fn next_trace(&mut self) -> Option<UnitIx> {
        let pending = self.by_state[UnitState::Pending as usize].pop_first().map(|(_, ix)| ix);
        pending.or_else(|| self.believed.pop_first())
    }
}

fn meta_of(settings: &SpecSettings) -> SpecMeta {
    SpecMeta {
        paused: settings.paused,
        continuous: settings.continuous,
        interval: settings.interval,
        max_running: settings.max_running,
        weight: settings.weight,
    }
}
