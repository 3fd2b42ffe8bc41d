//! Units go.

use super::{
    Book, DeleteUnits, Fact, Prioritize, Priority, Refusal, SpecId, SpecName, UnitKey, UnitState,
    mutant::{Mutant, broken},
};

impl Book {
    /// Deletes units, at most so many of those that are named: to be called with the same value until there is no more.
    /// Answers how many went, and whether there is more. Unknown keys are ignored. Where all, or all of a state, are
    /// meant, those that were archived go as well: they are not counted any more.
    pub fn delete_units(
        &mut self,
        name: &SpecName,
        which: &mut DeleteUnits,
        most: usize,
    ) -> Result<(u64, bool), Refusal> {
        let spec = self.find(name)?;
        let id = spec.id;
        match which {
            // Whatever their number, one change and one range of rows.
            DeleteUnits::All => Ok((self.delete_all(id), false)),
            DeleteUnits::State(state) => Ok(self.delete_in_state(id, *state, most)),
            DeleteUnits::Keys(keys, state) => {
                let state = *state;
                let mut some = keys.split_off(keys.len().saturating_sub(most));
                some.sort_unstable();
                some.dedup();
                let asked = |key: &UnitKey| {
                    spec.by_key(key).is_some_and(|unit| state.is_none_or(|state| unit.state.kind() == state))
                };
                some.retain(asked);
                Ok((self.delete_keys(id, some), !keys.is_empty()))
            }
        }
    }

    fn delete_all(&mut self, id: SpecId) -> u64 {
        let spec = self.spec_of(id);
        let live: u64 = UnitState::ALL.iter().map(|state| spec.count(*state) as u64).sum();
        let count = live + spec.archived.iter().sum::<u64>();
        if count > 0 {
            let anew = if broken(Mutant::ClearedInPlace) { id } else { SpecId(self.next_spec) };
            self.emit(Fact::UnitsCleared { spec: id, anew });
        }
        count
    }

    /// What was archived goes with the last.
    fn delete_in_state(&mut self, id: SpecId, state: UnitState, most: usize) -> (u64, bool) {
        let units = self.spec_of(id).in_state(state, None);
        let keys: Vec<UnitKey> = units.take(most).map(|(key, _)| key.clone()).collect();
        let more = keys.len() == most && !broken(Mutant::StepsEndEarly);
        let archived = if more { 0 } else { self.forget_archived(id, state) };
        (archived + self.delete_keys(id, keys), more)
    }

    fn delete_keys(&mut self, spec: SpecId, keys: Vec<UnitKey>) -> u64 {
        let count = keys.len() as u64;
        if count > 0 {
            self.emit(Fact::UnitsDeleted { spec, keys });
        }
        count
    }

    /// Answers how many there were.
    fn forget_archived(&mut self, id: SpecId, state: UnitState) -> u64 {
        let failed = match state {
            UnitState::Available | UnitState::Pending => return 0,
            UnitState::Finished => false,
            UnitState::Failed => true,
        };
        let count = self.spec_of(id).archived[usize::from(failed)];
        if count > 0 {
            self.emit(Fact::ArchivedForgotten { spec: id, failed });
        }
        count
    }

    /// Changes priorities. Unknown keys are ignored.
    pub fn prioritize_units(&mut self, name: &SpecName, keys: &[UnitKey], how: Prioritize) -> Result<(), Refusal> {
        let spec = self.find(name)?;
        let changed = |key: &UnitKey| {
            let was = spec.by_key(key)?.priority;
            let priority = match how {
                Prioritize::To(priority) => priority,
                Prioritize::By(_) if broken(Mutant::AdjustmentLost) => was,
                Prioritize::By(adjustment) => Priority::new(was.get() + adjustment),
            };
            Some((key.clone(), priority))
        };
        let units: Vec<(UnitKey, Priority)> = keys.iter().filter_map(changed).collect();
        let id = spec.id;
        if !units.is_empty() {
            self.emit(Fact::UnitsPrioritized { spec: id, units });
        }
        Ok(())
    }
}
