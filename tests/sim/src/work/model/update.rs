//! `update_work_unit`, case by case as the documentation has it.

use std::time::Duration;

use berth_core::{
    Timestamp,
    work::{Refusal, SpecName, UnitKey, UnitState, UpdateUnit, WorkerId},
};

use super::{Model, State, Unit};

impl Model {
    pub(crate) fn update_unit(&mut self, name: &SpecName, key: &UnitKey, call: UpdateUnit) -> Result<bool, Refusal> {
        let now = self.now;
        let spec = self.find_mut(name)?;
        if call.lease_s.is_none() && call.state.is_none() && call.data.is_none() {
            return Err(Refusal::NothingToDo);
        }
        let unit = spec.units.get_mut(key).ok_or_else(|| Refusal::NoUnit(key.clone()))?;
        let owner = match &unit.state {
            State::Pending { worker, .. } => worker.clone(),
            _ => None,
        };
        if owner.is_some() && call.worker.is_some() && owner != call.worker {
            return Err(Refusal::LostLease);
        }
        let kind = unit.kind();
        match call.state {
            Some(UnitState::Available) => {
                set_data(unit, &call);
                if kind != UnitState::Available {
                    unit.state = State::Available { not_before: Timestamp(0) };
                }
                Ok(true)
            }
            Some(UnitState::Pending) => {
                set_data(unit, &call);
                let asked = lease_of(call.lease_s);
                match (kind, asked) {
                    (UnitState::Pending, Lease::Over) => give_back(unit),
                    (UnitState::Pending, Lease::For(lease)) => {
                        hold(unit, call.worker.or(owner), now.after(lease));
                    }
                    (_, asked) => {
                        unit.attempts += 1;
                        let lease = if let Lease::For(lease) = asked { lease } else { Duration::from_secs(300) };
                        hold(unit, call.worker, now.after(lease));
                    }
                }
                Ok(true)
            }
            Some(UnitState::Finished) => {
                if kind == UnitState::Finished {
                    return Ok(true);
                }
                set_data(unit, &call);
                let worker = call.worker.or(last_owner(unit));
                unit.state = State::Finished { at: now, worker };
                unit.lost_by.clear();
                self.hand_on(name, key);
                Ok(true)
            }
            Some(UnitState::Failed) => {
                match kind {
                    UnitState::Failed => return Ok(true),
                    UnitState::Finished => return Ok(false),
                    UnitState::Available | UnitState::Pending => {}
                }
                set_data(unit, &call);
                let worker = call.worker.or(last_owner(unit));
                unit.state = State::Failed { at: now, worker, too_often: false };
                unit.lost_by.clear();
                Ok(true)
            }
            None => match kind {
                UnitState::Finished | UnitState::Failed => Ok(false),
                UnitState::Available => {
                    set_data(unit, &call);
                    Ok(call.data.is_some())
                }
                UnitState::Pending => {
                    set_data(unit, &call);
                    if call.lease_s.is_some() {
                        match lease_of(call.lease_s) {
                            Lease::Over => give_back(unit),
                            Lease::For(lease) => hold(unit, call.worker.or(owner), now.after(lease)),
                        }
                    }
                    Ok(true)
                }
            },
        }
    }
}

enum Lease {
    Over,
    For(Duration),
}

fn lease_of(seconds: Option<f64>) -> Lease {
    match seconds {
        None => Lease::For(Duration::from_secs(300)),
        Some(seconds) if seconds <= 0.0 => Lease::Over,
        Some(seconds) if seconds > 86_400.0 => Lease::For(Duration::from_secs(300)),
        Some(seconds) => Lease::For(Duration::from_secs_f64(seconds)),
    }
}

fn set_data(unit: &mut Unit, call: &UpdateUnit) {
    if let Some(data) = &call.data {
        unit.data = data.clone();
    }
}

fn give_back(unit: &mut Unit) {
    unit.state = State::Available { not_before: Timestamp(0) };
}

fn hold(unit: &mut Unit, worker: Option<WorkerId>, until: Timestamp) {
    unit.lost_by.retain(|loser| Some(loser) != worker.as_ref());
    unit.state = State::Pending { worker, until };
}

fn last_owner(unit: &Unit) -> Option<WorkerId> {
    match &unit.state {
        State::Available { .. } => None,
        State::Pending { worker, .. } | State::Finished { worker, .. } | State::Failed { worker, .. } => worker.clone(),
    }
}
