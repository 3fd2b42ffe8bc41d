//! Facts become state. Cannot fail: what is decided is true.

use super::{
    AddedUnit, Book, Fact, SpecId, SpecSettings, Timer, UnitKey, WorkerId,
    mutant::{Mutant, broken},
    spec::{Spec, UnitIx},
    unit::{State, Unit},
};
use crate::Timestamp;

/// What befalls a worker's belief in its lease when the lease ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    /// The worker knows.
    Ends,
    /// The worker was not asked.
    Stays,
}

impl Book {
    pub(super) fn apply(&mut self, fact: &Fact) {
        match fact {
            Fact::SpecSet { spec, settings } => self.spec_set(*spec, settings),
            Fact::SpecControlled { spec, meta } => {
                self.spec_mut(*spec).meta = meta.clone();
                self.refresh(*spec);
            }
            Fact::SpecDeleted { spec } => self.spec_deleted(*spec),
            Fact::UnitsAdded { spec, units } => {
                for unit in units {
                    self.unit_added(*spec, unit);
                }
                self.refresh(*spec);
            }
            Fact::UnitsLeased { spec, worker, until, keys } => {
                for key in keys {
                    self.leased(*spec, key, worker.as_ref(), *until);
                }
                self.refresh(*spec);
            }
            Fact::ContinuousMade { spec, next } => {
                self.spec_mut(*spec).next_continuous = *next;
                self.refresh(*spec);
            }
            Fact::UnitRenewed { spec, key, until, worker } => {
                let ix = self.ix(*spec, key);
                self.shift(*spec, ix, State::Pending { worker: worker.clone(), until: *until }, Belief::Ends);
                self.refresh(*spec);
            }
            Fact::DataChanged { spec, key, data } => {
                let ix = self.ix(*spec, key);
                self.spec_mut(*spec).unit_mut(ix).data = data.clone();
            }
            Fact::UnitsReleased { spec, keys, .. } => self.available(*spec, keys, Belief::Ends),
            Fact::UnitsExpired { spec, keys } => self.available(*spec, keys, Belief::Stays),
            Fact::UnitsEnded { spec, keys, failed, at, worker, exhausted } => {
                for key in keys {
                    let ix = self.ix(*spec, key);
                    let ended =
                        State::Ended { failed: *failed, at: *at, worker: worker.clone(), exhausted: *exhausted };
                    self.shift(*spec, ix, ended, Belief::Ends);
                    self.forget_holders(*spec, ix);
                }
                self.refresh(*spec);
            }
            Fact::UnitsPrioritized { spec, units } => {
                for (key, priority) in units {
                    let ix = self.ix(*spec, key);
                    self.spec_mut(*spec).reorder(ix, *priority);
                }
                self.refresh(*spec);
            }
            Fact::UnitsDeleted { spec, keys } => {
                self.units_gone(*spec, keys);
                self.refresh(*spec);
            }
            Fact::UnitsCleared { spec, anew } => self.units_cleared(*spec, *anew),
            Fact::ArchivedForgotten { spec, failed } => self.spec_mut(*spec).archived[usize::from(*failed)] = 0,
            Fact::UnitsArchived { spec, keys, failed } => {
                self.units_gone(*spec, keys);
                if !broken(Mutant::ArchiveForgets) {
                    self.spec_mut(*spec).archived[usize::from(*failed)] += keys.len() as u64;
                }
            }
            Fact::WorkerSeen { worker, mode, data, parent, lifetime, at, .. } => {
                let until = at.after(*lifetime);
                self.worker_seen(worker, mode, data, parent.as_ref(), *lifetime, *at, until);
            }
            Fact::WorkerGone { worker } => self.worker_gone(worker),
            Fact::Locked { locker, until, paths } => self.locked(locker, *until, paths),
            Fact::Unlocked { paths } => self.unlocked(paths),
            Fact::ReceiptKept { call, receipt } => self.receipt_kept(*call, receipt, None),
            Fact::ReceiptsDropped { receipts } => receipts.iter().for_each(|id| self.receipt_dropped(*id)),
        }
    }

    fn spec_set(&mut self, id: SpecId, settings: &SpecSettings) {
        match self.specs.get_mut(&id) {
            Some(spec) => spec.set(settings.clone()),
            None => {
                self.names.insert(settings.name.clone(), id);
                self.specs.insert(id, Spec::new(id, settings.clone()));
                self.next_spec = self.next_spec.max(id.0 + 1);
            }
        }
        self.chains = None;
        self.refresh(id);
    }

    fn spec_deleted(&mut self, id: SpecId) {
        let spec = self.taken_out(id);
        self.names.remove(&spec.settings.name);
        self.sweeping.push_back(spec);
    }

    /// What its old units left elsewhere is swept later, so that new ones must not be taken for them.
    fn units_cleared(&mut self, id: SpecId, anew: SpecId) {
        let old = self.taken_out(id);
        let spec = old.emptied(anew);
        self.next_spec = self.next_spec.max(anew.0 + 1);
        self.names.insert(spec.settings.name.clone(), anew);
        self.specs.insert(anew, spec);
        self.refresh(anew);
        self.sweeping.push_back(old);
    }

    fn taken_out(&mut self, id: SpecId) -> Spec {
        let mut spec = self.specs.remove(&id).expect("a fact names a spec that exists");
        if let Some(priority) = spec.open.take() {
            self.close(priority, id);
        }
        self.chains = None;
        spec
    }

    fn unit_added(&mut self, id: SpecId, added: &AddedUnit) {
        let now = self.now;
        let spec = self.spec_mut(id);
        let Some(ix) = spec.find(&added.key) else {
            let ix = spec.insert(Unit::new(added), now);
            return self.wait_for_delay(id, ix, added.not_before);
        };
        spec.reorder(ix, added.priority);
        let unit = spec.unit_mut(ix);
        unit.data = added.data.clone();
        let keeps = matches!(unit.state, State::Pending { .. }) && !broken(Mutant::AddTakesAway);
        if !keeps {
            self.shift(id, ix, State::Available { not_before: added.not_before }, Belief::Stays);
        }
    }

    fn leased(&mut self, id: SpecId, key: &UnitKey, worker: Option<&WorkerId>, until: Timestamp) {
        let ix = self.ix(id, key);
        self.spec_mut(id).unit_mut(ix).attempts += 1;
        self.shift(id, ix, State::Pending { worker: worker.cloned(), until }, Belief::Ends);
    }

    fn available(&mut self, id: SpecId, keys: &[UnitKey], belief: Belief) {
        for key in keys {
            let ix = self.ix(id, key);
            self.shift(id, ix, State::READY, belief);
        }
        self.refresh(id);
    }

    fn units_gone(&mut self, id: SpecId, keys: &[UnitKey]) {
        for key in keys {
            let ix = self.ix(id, key);
            self.leave(id, ix, Belief::Ends);
            self.forget_holders(id, ix);
            self.spec_mut(id).remove(ix);
        }
    }

    /// From one state to another, with all that hangs on either.
    fn shift(&mut self, id: SpecId, ix: UnitIx, to: State, belief: Belief) {
        self.leave(id, ix, belief);
        match &to {
            State::Pending { worker, until } => {
                self.timers.insert((*until, Timer::Unit(id, ix)));
                if let Some(worker) = worker {
                    self.workers.held.insert(worker, id, ix);
                    self.workers.lost.remove(worker, id, ix);
                    self.spec_mut(id).gives_up(ix, worker);
                }
            }
            State::Available { not_before } => self.wait_for_delay(id, ix, *not_before),
            State::Ended { .. } => {}
        }
        let now = self.now;
        self.spec_mut(id).change(ix, to, now);
    }

    fn leave(&mut self, id: SpecId, ix: UnitIx, belief: Belief) {
        let spec = self.specs.get_mut(&id).expect("a fact names a spec that exists");
        match spec.unit(ix).state.clone() {
            State::Pending { worker, until } => {
                self.timers.remove(&(until, Timer::Unit(id, ix)));
                let Some(worker) = worker else { return };
                self.workers.held.remove(&worker, id, ix);
                if belief == Belief::Stays {
                    self.workers.lost.insert(&worker, id, ix);
                    spec.believes(ix, worker);
                }
            }
            // Most never had a delay: nothing to look for.
            State::Available { not_before } if not_before > Timestamp(0) => {
                self.timers.remove(&(not_before, Timer::Unit(id, ix)));
            }
            State::Available { .. } | State::Ended { .. } => {}
        }
    }

    fn wait_for_delay(&mut self, id: SpecId, ix: UnitIx, not_before: Timestamp) {
        if not_before > self.now {
            self.timers.insert((not_before, Timer::Unit(id, ix)));
        }
    }

    /// Nobody can believe any more to have the unit.
    fn forget_holders(&mut self, id: SpecId, ix: UnitIx) {
        for worker in self.spec_mut(id).take_believers(ix) {
            self.workers.lost.remove(&worker, id, ix);
        }
    }

    fn ix(&self, id: SpecId, key: &UnitKey) -> UnitIx {
        self.spec_of(id).find(key).expect("a fact names a unit that exists")
    }
}
