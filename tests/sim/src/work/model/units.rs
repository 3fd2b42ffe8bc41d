//! Work units: added, listed, deleted.

use berth_core::{
    Timestamp,
    work::{
        DeleteUnits, NewUnit, Prioritize, Priority, Refusal, SpecName, UnitCounts, UnitKey, UnitQuery, UnitState,
        UnitView, Value,
    },
};

use super::{Model, Spec, State, Unit};

impl Model {
    pub(crate) fn add_units(&mut self, name: &SpecName, units: Vec<NewUnit>) -> Result<(), Refusal> {
        let now = self.now;
        let spec = self.find_mut(name)?;
        let last_of = |key: &UnitKey| units.iter().rposition(|unit| unit.key == *key);
        for (place, unit) in units.iter().enumerate() {
            if last_of(&unit.key) == Some(place) {
                add(spec, unit.clone(), 0.0, now);
            }
        }
        Ok(())
    }

    pub(super) fn hand_on(&mut self, from: &SpecName, key: &UnitKey) {
        let now = self.now;
        let spec = &self.specs[from];
        let Some(then) = spec.settings.then.clone().filter(|then| self.specs.contains_key(then)) else { return };
        let parent = &spec.units[key];
        let inherited = parent.priority;
        let children = berth_core::work::Outputs::children(&super::super::scene::Scene, &parent.data);
        let then = self.specs.get_mut(&then).expect("it is there");
        for (place, child) in children.iter().enumerate() {
            if children.iter().rposition(|other| other.key == child.key) == Some(place) {
                add(then, child.clone(), inherited, now);
            }
        }
    }

    pub(crate) fn count_units(&self, name: &SpecName) -> Result<UnitCounts, Refusal> {
        Ok(self.find(name)?.counts())
    }

    pub(crate) fn units(&self, name: &SpecName, query: &UnitQuery) -> Result<Vec<(UnitKey, Value)>, Refusal> {
        let mut found = Vec::new();
        for (key, unit) in &self.find(name)?.units {
            let in_state = query.states.is_empty() || query.states.contains(&unit.kind());
            let from_start = query.start.as_ref().is_none_or(|start| key >= start);
            if in_state && from_start && found.len() < query.limit {
                found.push((key.clone(), unit.shown()));
            }
        }
        Ok(found)
    }

    pub(crate) fn units_by_key(&self, name: &SpecName, keys: &[UnitKey]) -> Result<Vec<Option<Value>>, Refusal> {
        let units = &self.find(name)?.units;
        Ok(keys.iter().map(|key| units.get(key).map(Unit::shown)).collect())
    }

    pub(crate) fn unit_status(&self, name: &SpecName, keys: &[UnitKey]) -> Result<Vec<Option<UnitView>>, Refusal> {
        let units = &self.find(name)?.units;
        Ok(keys.iter().map(|key| units.get(key).map(Unit::view)).collect())
    }

    pub(crate) fn prioritize_units(
        &mut self,
        name: &SpecName,
        keys: &[UnitKey],
        how: Prioritize,
    ) -> Result<(), Refusal> {
        let spec = self.find_mut(name)?;
        let mut done: Vec<&UnitKey> = Vec::new();
        for key in keys {
            // Each is changed once, however often it is named.
            if done.contains(&key) {
                continue;
            }
            done.push(key);
            if let Some(unit) = spec.units.get_mut(key) {
                unit.priority = match how {
                    Prioritize::To(priority) => priority.get(),
                    Prioritize::By(adjustment) => Priority::new(unit.priority + adjustment).get(),
                };
            }
        }
        Ok(())
    }

    pub(crate) fn delete_units(
        &mut self,
        name: &SpecName,
        which: &mut DeleteUnits,
        most: usize,
    ) -> Result<(u64, bool), Refusal> {
        let made = self.made + 1;
        let spec = self.find_mut(name)?;
        let before = spec.units.len();
        let (mut forgotten, mut more) = (0, false);
        match which {
            DeleteUnits::All => {
                spec.units.clear();
                forgotten += std::mem::take(&mut spec.archived_finished);
                forgotten += std::mem::take(&mut spec.archived_failed);
            }
            DeleteUnits::State(state) => {
                let in_state: Vec<UnitKey> =
                    spec.units.iter().filter(|(_, unit)| unit.kind() == *state).map(|(key, _)| key.clone()).collect();
                for key in in_state.iter().take(most) {
                    spec.units.remove(key);
                }
                more = in_state.len() >= most;
                match state {
                    UnitState::Finished if !more => forgotten += std::mem::take(&mut spec.archived_finished),
                    UnitState::Failed if !more => forgotten += std::mem::take(&mut spec.archived_failed),
                    _ => {}
                }
            }
            DeleteUnits::Keys(keys, state) => {
                for _ in 0..most {
                    let Some(key) = keys.pop() else { break };
                    if spec.units.get(&key).is_some_and(|unit| state.is_none_or(|state| state == unit.kind())) {
                        spec.units.remove(&key);
                    }
                }
                more = !keys.is_empty();
            }
        }
        let deleted = (before - spec.units.len()) as u64 + forgotten;
        if matches!(which, DeleteUnits::All) && deleted > 0 {
            // What was known of its units is about nothing any more.
            spec.made = made;
            self.made = made;
        }
        Ok((deleted, more))
    }

    pub(crate) fn archive(&mut self, names: Option<&[SpecName]>, most: usize) -> bool {
        let (now, rules) = (self.now, self.rules);
        let mut left = most;
        for (name, spec) in &mut self.specs {
            if names.is_some_and(|names| !names.contains(name)) {
                continue;
            }
            for failed in [false, true] {
                let mut ended: Vec<(Timestamp, UnitKey)> = Vec::new();
                for (key, unit) in &spec.units {
                    match unit.state {
                        State::Finished { at, .. } if !failed => ended.push((at, key.clone())),
                        State::Failed { at, .. } if failed => ended.push((at, key.clone())),
                        _ => {}
                    }
                }
                ended.sort();
                let keep = rules.completed_max.map_or(ended.len(), |most| most as usize);
                let too_many = ended.len().saturating_sub(keep);
                for (place, (at, key)) in ended.into_iter().enumerate() {
                    let too_old = rules.completed_age.is_some_and(|age| now.since(at) > age);
                    if (place < too_many || too_old) && left > 0 {
                        left -= 1;
                        spec.units.remove(&key);
                        if failed { spec.archived_failed += 1 } else { spec.archived_finished += 1 }
                    }
                }
            }
        }
        left == 0
    }
}

fn add(spec: &mut Spec, unit: NewUnit, inherited: f64, now: Timestamp) {
    let priority = unit.priority.map_or(inherited, Priority::get);
    let not_before = unit.delay.filter(|delay| !delay.is_zero()).map_or(Timestamp(0), |delay| now.after(delay));
    let fresh = State::Available { not_before };
    match spec.units.get_mut(&unit.key) {
        Some(known) => {
            known.data = unit.data;
            known.priority = priority;
            if !matches!(known.state, State::Pending { .. }) {
                known.state = fresh;
            }
        }
        None => {
            let new = Unit { data: unit.data, priority, attempts: 0, state: fresh, lost_by: Vec::new() };
            spec.units.insert(unit.key, new);
        }
    }
}
