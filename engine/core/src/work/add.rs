//! Units come: from clients, and from finished units of other specs.

use std::collections::BTreeMap;

use super::{
    AddedUnit, Book, Fact, NewUnit, Priority, Refusal, SpecId, SpecName, UnitKey,
    mutant::{Mutant, broken},
};

impl Book {
    /// Adds units, all or none. Of several with one key the last counts. A unit that is there already gets what is new;
    /// if a worker has it, the worker keeps it, and otherwise it is available (again).
    pub fn add_units(&mut self, name: &SpecName, units: Vec<NewUnit>) -> Result<(), Refusal> {
        let id = self.find(name)?.id;
        self.add(id, units, Priority::default());
        Ok(())
    }

    pub(super) fn add(&mut self, id: SpecId, units: Vec<NewUnit>, inherited: Priority) {
        if units.is_empty() {
            return;
        }
        let now = self.now;
        let units = units.into_iter().map(|unit| AddedUnit::of(unit, inherited, now)).collect();
        self.emit(Fact::UnitsAdded { spec: id, units: each_once(units) });
    }

    /// A unit has become finished: what it hands on goes to the spec that `then` names, if there is one.
    pub(super) fn hand_on(&mut self, id: SpecId, key: &UnitKey) {
        let spec = self.spec_of(id);
        let Some(then) = spec.settings.then.as_ref().and_then(|then| self.names.get(then)).copied() else { return };
        let unit = spec.by_key(key).expect("the unit has just ended");
        let inherited = if broken(Mutant::PriorityNotInherited) { Priority::default() } else { unit.priority };
        let children = self.outputs.children(&unit.data);
        self.add(then, children, inherited);
    }
}

/// Order as it came, but each key once and where it came last.
fn each_once(units: Vec<AddedUnit>) -> Vec<AddedUnit> {
    // As in a dump: in order, and then nothing is there twice.
    if units.is_sorted_by(|one, other| one.key < other.key) {
        return units;
    }
    let mut last: BTreeMap<UnitKey, AddedUnit> = BTreeMap::new();
    for unit in units {
        last.insert(unit.key.clone(), unit);
    }
    last.into_values().collect()
}
