//! Units go.

use super::{
    Book, DeleteUnits, Fact, Prioritize, Priority, Refusal, SpecName, UnitKey, UnitState,
    mutant::{Mutant, broken},
};

impl Book {
    /// Deletes units and answers how many. Unknown keys are ignored.
    pub fn delete_units(&mut self, name: &SpecName, which: DeleteUnits) -> Result<u64, Refusal> {
        let spec = self.find(name)?;
        let id = spec.id;
        let keys: Vec<UnitKey> = match which {
            DeleteUnits::All => {
                let count = UnitState::ALL.iter().map(|state| spec.count(*state) as u64).sum();
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
            DeleteUnits::State(state) => spec.in_state(state, None).map(|(key, _)| key.clone()).collect(),
        };
        let count = keys.len() as u64;
        if count > 0 {
            self.emit(Fact::UnitsDeleted { spec: id, keys });
        }
        Ok(count)
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
