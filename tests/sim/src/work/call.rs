//! A call, asked of the book and of the model; answers are compared as text.

use std::fmt::Debug;

use berth_core::work::{
    Book, Control, DeleteUnits, GetWork, Heartbeat, LockPath, Locker, NewUnit, Prioritize, SpecName, SpecSettings,
    UnitKey, UnitQuery, UpdateUnit, Value, WorkerId,
};

use super::model::Model;

#[derive(Clone, Debug)]
pub(super) enum Call {
    SetSpec(SpecSettings),
    Spec(SpecName),
    Specs(Option<SpecName>, usize),
    DeleteSpec(SpecName),
    Clear,
    ControlSpec(SpecName, Control),
    SpecMeta(SpecName),
    AddUnits(SpecName, Vec<NewUnit>),
    CountUnits(SpecName),
    Units(SpecName, UnitQuery),
    UnitsByKey(SpecName, Vec<UnitKey>),
    Prioritize(SpecName, Vec<UnitKey>, Prioritize),
    DeleteUnits(SpecName, DeleteUnits),
    UnitStatus(SpecName, Vec<UnitKey>),
    Update(SpecName, UnitKey, UpdateUnit),
    GetWork(GetWork),
    ChildUnits(WorkerId),
    Heartbeat(Heartbeat),
    Unregister(WorkerId),
    WorkerModes,
    WorkerInfo(WorkerId),
    Archive(Option<Vec<SpecName>>),
    Lock(Locker, f64, Vec<LockPath>),
    LockSome(Locker, f64, Vec<LockPath>),
    RenewLocks(Locker, f64, Vec<LockPath>),
    LockOwners(Vec<LockPath>),
    Unlock(Locker, Vec<LockPath>),
    DeleteLocks(Value),
}

/// Both have the same methods: what differs is how they come to their answers.
macro_rules! ask {
    ($call:expr, $who:expr) => {
        match $call.clone() {
            Call::SetSpec(settings) => text($who.set_spec(settings)),
            Call::Spec(name) => text($who.spec(&name)),
            Call::Specs(start, limit) => text($who.specs(start.as_ref(), limit)),
            Call::DeleteSpec(name) => text($who.delete_spec(&name)),
            Call::Clear => text($who.clear()),
            Call::ControlSpec(name, control) => text($who.control_spec(&name, control)),
            Call::SpecMeta(name) => text($who.spec_meta(&name)),
            Call::AddUnits(name, units) => text($who.add_units(&name, units)),
            Call::CountUnits(name) => text($who.count_units(&name)),
            Call::Units(name, query) => text($who.units(&name, &query)),
            Call::UnitsByKey(name, keys) => text($who.units_by_key(&name, &keys)),
            Call::Prioritize(name, keys, how) => text($who.prioritize_units(&name, &keys, how)),
            Call::DeleteUnits(name, which) => text($who.delete_units(&name, which)),
            Call::UnitStatus(name, keys) => text($who.unit_status(&name, &keys)),
            Call::Update(name, key, update) => text($who.update_unit(&name, &key, update)),
            Call::GetWork(ask) => text($who.get_work(&ask)),
            Call::ChildUnits(worker) => text($who.child_units(&worker)),
            Call::Heartbeat(beat) => text($who.heartbeat(beat)),
            Call::Unregister(worker) => text($who.unregister(&worker)),
            Call::WorkerModes => text($who.worker_modes()),
            Call::WorkerInfo(worker) => text($who.worker_info(&worker)),
            Call::Archive(names) => text($who.archive(names.as_deref())),
            Call::Lock(locker, timeout, paths) => text($who.lock(&locker, timeout, &paths)),
            Call::LockSome(locker, timeout, paths) => text($who.lock_some(&locker, timeout, &paths)),
            Call::RenewLocks(locker, timeout, paths) => text($who.renew_locks(&locker, timeout, &paths)),
            Call::LockOwners(paths) => text($who.lock_owners(&paths)),
            Call::Unlock(locker, paths) => text($who.unlock(&locker, &paths)),
            Call::DeleteLocks(prefix) => text($who.delete_locks(&prefix)),
        }
    };
}

impl Call {
    pub(super) fn ask_book(&self, book: &mut Book) -> String {
        ask!(self, book)
    }

    pub(super) fn ask_model(&self, model: &mut Model) -> String {
        ask!(self, model)
    }
}

fn text(answer: impl Debug) -> String {
    format!("{answer:?}")
}
