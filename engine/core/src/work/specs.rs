//! Work specs: set, shown, controlled, deleted.

use std::{ops::Bound, sync::Arc};

use super::{
    Book, Control, Fact, Refusal, SpecId, SpecMeta, SpecName, SpecSettings, Value,
    mutant::{Mutant, broken},
};

impl Book {
    /// Makes a spec, or sets it again: all that holds follows from the settings alone, but for the time at which it may
    /// make its next unit. Its units stay.
    pub fn set_spec(&mut self, settings: SpecSettings) {
        let spec = self.names.get(&settings.name).copied().unwrap_or(SpecId(self.next_spec));
        self.emit(Fact::SpecSet { spec, settings: Arc::new(settings) });
    }

    /// The dictionary of a spec, as it was sent.
    pub fn spec(&self, name: &SpecName) -> Option<Value> {
        self.find(name).ok().map(|spec| spec.settings.raw.clone())
    }

    /// Dictionaries by name, from a name on, at most so many; and the first name that is left.
    pub fn specs(&self, start: Option<&SpecName>, limit: usize) -> (Vec<Value>, Option<SpecName>) {
        let mut names = self.spec_names_from(start);
        let found = names.by_ref().take(limit).map(|name| self.specs[&self.names[name]].settings.raw.clone()).collect();
        (found, names.next().cloned())
    }

    /// Names by order, from a name on.
    pub fn spec_names_from(&self, start: Option<&SpecName>) -> impl Iterator<Item = &SpecName> {
        let names = match start {
            Some(name) => self.names.range::<SpecName, _>(name..),
            None => self.names.range::<SpecName, _>(..),
        };
        names.map(|(name, _)| name)
    }

    /// What a spec was set to; what was controlled since is in [`Book::spec_meta`].
    pub fn spec_settings(&self, name: &SpecName) -> Result<&SpecSettings, Refusal> {
        Ok(&self.find(name)?.settings)
    }

    /// Deletes a spec with all of its units.
    pub fn delete_spec(&mut self, name: &SpecName) -> Result<(), Refusal> {
        let spec = self.find(name)?.id;
        self.emit(Fact::SpecDeleted { spec });
        Ok(())
    }

    /// Deletes every spec, at most so many at a time: to be called with the same value, at first `None`, until there is
    /// no more. Answers how many went, and whether there is more. What is set meanwhile stays if its place in the order of
    /// names was passed. Workers and locks stay.
    pub fn clear(&mut self, last: &mut Option<SpecName>, most: usize) -> (u64, bool) {
        let from = last.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range::<SpecName, _>((from, Bound::Unbounded));
        let specs: Vec<(SpecName, SpecId)> = names.take(most).map(|(name, spec)| (name.clone(), *spec)).collect();
        for (_, spec) in &specs {
            self.emit(Fact::SpecDeleted { spec: *spec });
        }
        let count = specs.len();
        *last = specs.into_iter().next_back().map(|(name, _)| name);
        (count as u64, count == most)
    }

    /// Changes what holds for a spec until it is set again.
    pub fn control_spec(&mut self, name: &SpecName, control: Control) -> Result<(), Refusal> {
        let spec = self.find(name)?;
        let Control { continuous, paused, weight, interval, max_running } = control;
        if continuous == Some(true) && !spec.settings.continuous {
            return Err(Refusal::NotContinuous(name.clone()));
        }
        let was = &spec.meta;
        let meta = SpecMeta {
            paused: paused.unwrap_or(was.paused),
            continuous: continuous.unwrap_or(was.continuous),
            interval: interval.unwrap_or(was.interval),
            max_running: max_running.filter(|_| !broken(Mutant::ControlIgnored)).unwrap_or(was.max_running),
            weight: weight.unwrap_or(was.weight),
        };
        let spec = spec.id;
        self.emit(Fact::SpecControlled { spec, meta });
        Ok(())
    }

    /// What holds for a spec now.
    pub fn spec_meta(&self, name: &SpecName) -> Result<SpecMeta, Refusal> {
        Ok(self.find(name)?.meta.clone())
    }
}
