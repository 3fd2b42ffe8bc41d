//! Units go.

use super::{
    Book, DeleteUnits, Fact, Prioritize, Priority, Refusal, SpecId, SpecName, UnitKey, UnitState,
    mutant::{Mutant, broken},
};

impl Book {
    /// Deletes units and answers how many. Unknown keys are ignored. Where all of a state are meant, those that were
    /// archived go as well: they are not counted any more.
    pub fn delete_units(&mut self, name: &SpecName, which: DeleteUnits) -> Result<u64, Refusal> {
        let spec = self.find(name)?;
        let id = spec.id;
        let keys: Vec<UnitKey> = match which {
            DeleteUnits::All => {
                let live: u64 = UnitState::ALL.iter().map(|state| spec.count(*state) as u64).sum();
                let count = live + spec.archived.iter().sum::<u64>();
                if count > 0 {
                    self.emit(Fact::UnitsCleared { spec: id });
                }
                return Ok(count);
            }
            DeleteUnits::Keys(mut keys, state) => {
                keys.sort_unstable();
                keys.dedup();
                let asked = |key: &UnitKey| {
                    spec.by_key(key).is_some_and(|unit| state.is_none_or(|state| unit.state.kind() == state))
                };
                keys.retain(asked);
                keys
            }
            DeleteUnits::State(state) => {
                let keys: Vec<UnitKey> = spec.in_state(state, None).map(|(key, _)| key.clone()).collect();
                let archived = self.forget_archived(id, state);
                return Ok(archived + self.delete_keys(id, keys));
            }
        };
        Ok(self.delete_keys(id, keys))
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
