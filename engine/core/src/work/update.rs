//! A worker, or its parent, says what became of a unit.
//!
//! Coordinate's clients do not say who they are, and send a call again on a new connection if its reply was lost. So
//! whoever asks for the state that a unit has already is told that it is so, and nothing happens twice.

use super::{
    Book, DAY_S, Fact, LEASE, Refusal, SpecId, SpecName, UnitKey, UnitState, UpdateUnit, Value, WorkerId,
    mutant::{Mutant, broken},
    unit::State,
};
use crate::Timestamp;

impl Book {
    /// Changes one unit. `Ok(false)`: the unit has ended, and that is not undone by what was asked.
    pub fn update_unit(&mut self, name: &SpecName, key: &UnitKey, update: UpdateUnit) -> Result<bool, Refusal> {
        let spec = self.find(name)?;
        let UpdateUnit { lease_s, state, data, worker } = update;
        if lease_s.is_none() && state.is_none() && data.is_none() {
            return Err(Refusal::NothingToDo);
        }
        let id = spec.id;
        let unit = spec.by_key(key).ok_or_else(|| Refusal::NoUnit(key.clone()))?;
        if let (State::Pending { worker: Some(owner), .. }, Some(caller)) = (&unit.state, &worker)
            && owner != caller
            && !broken(Mutant::FenceIgnored)
        {
            return Err(Refusal::LostLease);
        }
        let was = unit.state.clone();
        let target = Target { id, key, worker };
        Ok(match (&was, state) {
            (State::Available { .. }, None) => self.tell(&target, data),
            (State::Available { .. }, Some(UnitState::Available)) => {
                self.tell(&target, data);
                true
            }
            (State::Available { .. } | State::Ended { .. }, Some(UnitState::Pending)) => {
                self.tell(&target, data);
                self.take(&target, lease_s)
            }
            (State::Pending { worker, .. }, None | Some(UnitState::Pending)) => {
                let owner = worker.clone();
                self.tell(&target, data);
                self.renew(target, owner, lease_s, state)
            }
            (State::Pending { .. } | State::Ended { .. }, Some(UnitState::Available)) => {
                self.tell(&target, data);
                let retried = matches!(was, State::Ended { .. });
                self.emit(Fact::UnitsReleased { spec: id, keys: vec![key.clone()], retried });
                true
            }
            (State::Ended { failed: false, .. }, Some(UnitState::Finished)) if broken(Mutant::FinishedTwice) => {
                self.end(target, data, false)
            }
            // As it is already: perhaps the reply to the first call was lost.
            (State::Ended { failed, .. }, Some(UnitState::Finished)) if !failed => true,
            (State::Ended { failed: true, .. }, Some(UnitState::Failed)) => true,
            // Finished stays finished.
            (State::Ended { failed: false, .. }, Some(UnitState::Failed)) if !broken(Mutant::FailWins) => false,
            (State::Ended { .. }, None) => false,
            (_, Some(UnitState::Finished)) => self.end(target, data, false),
            (_, Some(UnitState::Failed)) => self.end(target, data, true),
        })
    }

    /// Answers whether there was anything to tell.
    fn tell(&mut self, target: &Target<'_>, data: Option<Value>) -> bool {
        let Some(data) = data else { return false };
        self.emit(Fact::DataChanged { spec: target.id, key: target.key.clone(), data });
        true
    }

    /// A unit that nobody has becomes the caller's.
    fn take(&mut self, target: &Target<'_>, lease_s: Option<f64>) -> bool {
        let until = renewed(self.now, lease_s.unwrap_or_default()).unwrap_or_else(|| self.now.after(LEASE));
        let keys = vec![target.key.clone()];
        self.emit(Fact::UnitsLeased { spec: target.id, worker: target.worker.clone(), until, keys });
        true
    }

    /// Another lease, or none any more. Where no lease is named, a dictionary alone changes nothing else.
    fn renew(
        &mut self,
        target: Target<'_>,
        owner: Option<WorkerId>,
        lease_s: Option<f64>,
        state: Option<UnitState>,
    ) -> bool {
        let Target { id: spec, key, worker } = target;
        let (until, key) = match lease_s {
            Some(seconds) => (renewed(self.now, seconds), key.clone()),
            None if state.is_none() => return true,
            None => (Some(self.now.after(LEASE)), key.clone()),
        };
        match until {
            Some(until) => {
                let worker = worker.or(owner);
                self.emit(Fact::UnitRenewed { spec, key, until, worker });
            }
            None => self.emit(Fact::UnitsReleased { spec, keys: vec![key], retried: false }),
        }
        true
    }

    fn end(&mut self, target: Target<'_>, data: Option<Value>, failed: bool) -> bool {
        self.tell(&target, data);
        let Target { id, key, worker } = target;
        let owner = self.spec_of(id).by_key(key).and_then(|unit| unit.state.worker().cloned());
        let (keys, at, worker) = (vec![key.clone()], self.now, worker.or(owner));
        self.emit(Fact::UnitsEnded { spec: id, keys, failed, at, worker, exhausted: false });
        if !failed {
            self.hand_on(id, key);
        }
        true
    }
}

/// What an update is about.
struct Target<'a> {
    id: SpecId,
    key: &'a UnitKey,
    worker: Option<WorkerId>,
}

/// `None`: at once over.
fn renewed(now: Timestamp, seconds: f64) -> Option<Timestamp> {
    if seconds.is_nan() || seconds > DAY_S {
        return Some(now.after(LEASE));
    }
    let seconds = if broken(Mutant::NegativeLeaseRenews) { seconds.max(1.0) } else { seconds };
    (seconds > 0.0).then(|| now.after(std::time::Duration::from_secs_f64(seconds)))
}
