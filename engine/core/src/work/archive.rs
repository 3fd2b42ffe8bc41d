//! Old units leave; they still count.

use super::{Book, Fact, SpecId, SpecName, UnitKey};

impl Book {
    /// Drops units that ended and are too old or too many, of these specs or of all; at most so many at a time. Answers
    /// whether there is more.
    pub fn archive(&mut self, names: Option<&[SpecName]>, most: usize) -> bool {
        let specs: Vec<SpecId> = match names {
            Some(names) => names.iter().filter_map(|name| self.names.get(name)).copied().collect(),
            None => self.names.values().copied().collect(),
        };
        let mut left = most;
        for (spec, failed) in specs.into_iter().flat_map(|spec| [(spec, false), (spec, true)]) {
            let keys = self.too_old(spec, failed, left);
            left -= keys.len();
            if !keys.is_empty() {
                self.emit(Fact::UnitsArchived { spec, keys, failed });
            }
        }
        left == 0
    }

    fn too_old(&self, id: SpecId, failed: bool, most: usize) -> Vec<UnitKey> {
        let spec = self.spec_of(id);
        let count = spec.ended_count(failed) as u64;
        let excess = self.rules.completed_max.map_or(0, |most| count.saturating_sub(most));
        let is_old = |at| self.rules.completed_age.is_some_and(|age| self.now.since(at) > age);
        let old = spec.ended(failed).enumerate().take_while(|(place, (at, _))| (*place as u64) < excess || is_old(*at));
        old.take(most).map(|(_, (_, ix))| spec.unit(ix).key.clone()).collect()
    }
}
