//! Old units leave; they still count.

use super::{Book, Fact, SpecId, SpecName, UnitKey};

/// How many units of a spec and a state one step archives: the rest goes in the next.
const ARCHIVED_A_STEP: usize = 1_000;

impl Book {
    /// Drops units that ended and are too old or too many, of these specs or of all. Answers whether there is more to do.
    pub fn archive(&mut self, names: Option<&[SpecName]>) -> bool {
        let specs: Vec<SpecId> = match names {
            Some(names) => names.iter().filter_map(|name| self.names.get(name)).copied().collect(),
            None => self.names.values().copied().collect(),
        };
        let mut more = false;
        for spec in specs {
            for failed in [false, true] {
                let keys = self.too_old(spec, failed);
                more |= keys.len() == ARCHIVED_A_STEP;
                if !keys.is_empty() {
                    self.emit(Fact::UnitsArchived { spec, keys, failed });
                }
            }
        }
        more
    }

    fn too_old(&self, id: SpecId, failed: bool) -> Vec<UnitKey> {
        let spec = self.spec_of(id);
        let count = spec.ended_count(failed) as u64;
        let excess = self.rules.completed_max.map_or(0, |most| count.saturating_sub(most));
        let is_old = |at| self.rules.completed_age.is_some_and(|age| self.now.since(at) > age);
        let old = spec.ended(failed).enumerate().take_while(|(place, (at, _))| (*place as u64) < excess || is_old(*at));
        old.take(ARCHIVED_A_STEP).map(|(_, (_, ix))| spec.unit(ix).key.clone()).collect()
    }
}
