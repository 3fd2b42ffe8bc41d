//! A worker asks for work.

use super::{
    AddedUnit, Assignment, Book, EMPTY, Fact, GetWork, Priority, SpecId, UnitKey, lease,
    mutant::{Mutant, broken},
    spec::Spec,
};
use crate::Timestamp;

/// How many units that were handed out too often one look at a spec may end.
const EXHAUSTED_MAX: usize = 1_000;

impl Book {
    /// Hands out units of one spec; none if there is nothing for this worker now.
    pub fn get_work(&mut self, ask: &GetWork) -> Vec<Assignment> {
        // Who asks for more does not believe any more to have what it lost.
        for (spec, ix) in self.workers.lost.take(&ask.worker) {
            if let Some(spec) = self.specs.get_mut(&spec).filter(|spec| spec.try_unit(ix).is_some()) {
                spec.gives_up(ix, &ask.worker);
            }
        }
        if let Some(again) = self.handed_before(ask) {
            return again;
        }
        // A spec that has nothing but units that were handed out too often is through after one round.
        while let Some(id) = self.choose(ask) {
            let handed_out = self.hand_out(id, ask);
            if !handed_out.is_empty() {
                return handed_out;
            }
        }
        Vec::new()
    }

    fn hand_out(&mut self, id: SpecId, ask: &GetWork) -> Vec<Assignment> {
        let spec = self.spec_of(id);
        let (keys, exhausted) = next_units(spec, units_max(spec, ask.max_jobs));
        let keys = if keys.is_empty() && exhausted.is_empty() { vec![self.make_unit(id)] } else { keys };
        if !exhausted.is_empty() {
            let at = self.now;
            let (failed, worker) = (true, None);
            self.emit(Fact::UnitsEnded { spec: id, keys: exhausted, failed, at, worker, exhausted: true });
        }
        let spec = self.spec_of(id);
        let assignment = |key: &UnitKey| {
            let unit = spec.by_key(key).expect("it was found in the queue");
            Assignment { spec: spec.settings.name.clone(), key: key.clone(), data: unit.data.clone() }
        };
        let assignments: Vec<Assignment> = keys.iter().map(assignment).collect();
        if !keys.is_empty() {
            let seconds = if broken(Mutant::LeaseTimeIgnored) { None } else { ask.lease_s };
            let until = self.now.after(lease(seconds));
            self.emit(Fact::UnitsLeased { spec: id, worker: Some(ask.worker.clone()), until, keys: keys.clone() });
            if let Some(call) = ask.call {
                self.keep_handed(call, &ask.worker, id, &keys);
            }
        }
        assignments
    }

    /// A continuous spec has nothing else to do. Its units are named by the time; a name that is taken is passed over.
    fn make_unit(&mut self, id: SpecId) -> UnitKey {
        let spec = self.spec_of(id);
        let key = (self.now.0..)
            .map(|micros| UnitKey::from(format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).as_str()))
            .find(|key| spec.find(key).is_none())
            .expect("names do not run out");
        let next = self.now.after(spec.meta.interval.unwrap_or_default());
        let unit =
            AddedUnit { key: key.clone(), data: EMPTY.into(), priority: Priority::GENERATED, not_before: Timestamp(0) };
        self.emit(Fact::UnitsAdded { spec: id, units: vec![unit] });
        self.emit(Fact::ContinuousMade { spec: id, next });
        key
    }
}

/// As many as were asked for, and as the spec gives at a time and may have pending.
fn units_max(spec: &Spec, asked: u64) -> usize {
    let at_a_time = spec.settings.max_getwork.filter(|most| *most > 0 && !broken(Mutant::MaxGetworkIgnored));
    let room = spec.meta.max_running.filter(|most| *most > 0).map(|most| most.saturating_sub(spec.pending()));
    let room = room.filter(|_| !broken(Mutant::MaxRunningIgnored));
    let most = asked.max(1).min(at_a_time.unwrap_or(u64::MAX)).min(room.unwrap_or(u64::MAX));
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// The first units of the queue, and those before them that were handed out too often.
fn next_units(spec: &Spec, most: usize) -> (Vec<UnitKey>, Vec<UnitKey>) {
    let retries = spec.settings.max_retries.filter(|most| *most > 0 && !broken(Mutant::RetriesUnbounded));
    let (mut keys, mut exhausted) = (Vec::new(), Vec::new());
    for ix in spec.ready() {
        if keys.len() >= most || exhausted.len() >= EXHAUSTED_MAX {
            break;
        }
        let unit = spec.unit(ix);
        let is_exhausted = retries.is_some_and(|most| unit.attempts >= most);
        if is_exhausted { &mut exhausted } else { &mut keys }.push(unit.key.clone());
    }
    (keys, exhausted)
}
