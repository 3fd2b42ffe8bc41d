//! Looks at units.

use super::{
    Book, ChildUnit, Refusal, SpecId, SpecName, Totals, UnitCounts, UnitKey, UnitQuery, UnitState, UnitView, Value,
    WorkerId,
    mutant::{Mutant, broken},
    spec::UnitIx,
    unit::{State, Unit},
};

impl Book {
    /// How many units there are, archived ones included.
    pub fn count_units(&self, name: &SpecName) -> Result<UnitCounts, Refusal> {
        let spec = self.find(name)?;
        let mut counts = UnitState::ALL.map(|state| spec.count(state) as u64);
        counts[UnitState::Finished as usize] += spec.archived[0];
        counts[UnitState::Failed as usize] += spec.archived[1];
        Ok(UnitCounts(counts))
    }

    /// What there is in all.
    pub fn totals(&self) -> Totals {
        let mut units = UnitCounts::default();
        for spec in self.specs.values() {
            for state in UnitState::ALL {
                units.0[state as usize] += spec.count(state) as u64;
            }
        }
        Totals { specs: self.specs.len() as u64, units, workers: self.worker_stats(), locks: self.locks.len() as u64 }
    }

    /// Units in order of their keys, with the dictionaries that they have now.
    pub fn units(&self, name: &SpecName, query: &UnitQuery) -> Result<Vec<(UnitKey, Value)>, Refusal> {
        let spec = self.find(name)?;
        let asked = |state: &UnitState| query.states.is_empty() || query.states.contains(state);
        let mut lists: Vec<_> = UnitState::ALL
            .into_iter()
            .filter(asked)
            .map(|state| spec.in_state(state, query.start.as_ref()).peekable())
            .collect();
        let mut found = Vec::new();
        while found.len() < query.limit {
            let first = lists.iter_mut().filter_map(|list| Some((list.peek()?.0, list))).min_by_key(|(key, _)| *key);
            let Some((_, list)) = first else { break };
            let (key, ix) = list.next().expect("it was peeked at");
            if !(broken(Mutant::StartExclusive) && query.start.as_ref() == Some(key)) {
                found.push((key.clone(), spec.unit(ix).shown()));
            }
        }
        Ok(found)
    }

    /// The dictionaries of these units; `None` for a unit that is not there.
    pub fn units_by_key(&self, name: &SpecName, keys: &[UnitKey]) -> Result<Vec<Option<Value>>, Refusal> {
        let spec = self.find(name)?;
        Ok(keys.iter().map(|key| spec.by_key(key).map(Unit::shown)).collect())
    }

    /// How these units stand; `None` for a unit that is not there.
    pub fn unit_status(&self, name: &SpecName, keys: &[UnitKey]) -> Result<Vec<Option<UnitView>>, Refusal> {
        let spec = self.find(name)?;
        Ok(keys.iter().map(|key| spec.by_key(key).map(view)).collect())
    }

    /// The units of each child of a worker: what it has, and what it may believe to have.
    pub fn child_units(&self, worker: &WorkerId) -> Vec<(WorkerId, Vec<ChildUnit>)> {
        let children = self.workers.children_of(worker);
        children.map(|child| (child.clone(), self.units_of(child))).collect()
    }

    fn units_of(&self, worker: &WorkerId) -> Vec<ChildUnit> {
        let held = self.workers.held.of(worker).chain(self.workers.lost.of(worker));
        let mut units: Vec<ChildUnit> = held.filter_map(|(spec, ix)| self.child_unit(spec, ix)).collect();
        units.sort_by(|one, other| (&one.spec, &one.key).cmp(&(&other.spec, &other.key)));
        units
    }

    fn child_unit(&self, spec: SpecId, ix: UnitIx) -> Option<ChildUnit> {
        let spec = self.specs.get(&spec)?;
        let unit = spec.try_unit(ix)?;
        let (worker, expires) = match &unit.state {
            State::Pending { worker, until } => (worker.clone(), Some(*until)),
            State::Available { .. } | State::Ended { .. } => (None, None),
        };
        Some(ChildUnit { spec: spec.settings.name.clone(), key: unit.key.clone(), data: unit.shown(), worker, expires })
    }
}

fn view(unit: &Unit) -> UnitView {
    let expiration = match unit.state {
        State::Available { .. } => None,
        State::Pending { until, .. } => Some(until),
        State::Ended { at, .. } => Some(at),
    };
    UnitView {
        state: unit.state.kind(),
        expiration,
        worker: unit.state.worker().cloned(),
        data: unit.shown(),
        attempts: unit.attempts,
        priority: unit.priority,
    }
}
