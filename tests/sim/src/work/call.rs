//! A call, asked of the book and of the model; answers are compared as text.

use std::fmt::Debug;

use berth_core::work::{
    Book, CallId, Control, DeleteUnits, GetWork, Heartbeat, LockPath, Locker, NewUnit, Prioritize, SpecName,
    SpecSettings, UnitKey, UnitQuery, UpdateUnit, Value, WorkerId,
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
    /// A call that must not be done twice.
    Once(CallId, Box<Call>),
    ConnectionEnded(u64, bool),
}

/// Both have the same methods: what differs is how they come to their answers.
macro_rules! ask {
    ($call:expr, $who:expr, $ask:ident) => {
        match $call.clone() {
            Call::SetSpec(settings) => text($who.set_spec(settings)),
            Call::Spec(name) => text($who.spec(&name)),
            Call::Specs(start, limit) => text($who.specs(start.as_ref(), limit)),
            Call::DeleteSpec(name) => text($who.delete_spec(&name)),
            Call::ControlSpec(name, control) => text($who.control_spec(&name, control)),
            Call::SpecMeta(name) => text($who.spec_meta(&name)),
            Call::AddUnits(name, units) => text($who.add_units(&name, units)),
            Call::CountUnits(name) => text($who.count_units(&name)),
            Call::Units(name, query) => text($who.units(&name, &query)),
            Call::UnitsByKey(name, keys) => text($who.units_by_key(&name, &keys)),
            Call::Prioritize(name, keys, how) => text($who.prioritize_units(&name, &keys, how)),
            Call::UnitStatus(name, keys) => text($who.unit_status(&name, &keys)),
            Call::Update(name, key, update) => text($who.update_unit(&name, &key, update)),
            Call::GetWork(ask) => text($who.get_work(&ask)),
            Call::ChildUnits(worker) => text($who.child_units(&worker)),
            Call::Heartbeat(beat) => text($who.heartbeat(beat)),
            Call::Unregister(worker) => text($who.unregister(&worker)),
            Call::WorkerModes => text($who.worker_modes()),
            Call::WorkerInfo(worker) => text($who.worker_info(&worker)),
            Call::Lock(locker, timeout, paths) => text($who.lock(&locker, timeout, &paths)),
            Call::LockSome(locker, timeout, paths) => text($who.lock_some(&locker, timeout, &paths)),
            Call::RenewLocks(locker, timeout, paths) => text($who.renew_locks(&locker, timeout, &paths)),
            Call::LockOwners(paths) => text($who.lock_owners(&paths)),
            Call::Unlock(locker, paths) => text($who.unlock(&locker, &paths)),
            Call::Clear | Call::DeleteUnits(..) | Call::Archive(_) | Call::DeleteLocks(_) => {
                unreachable!("it is done step by step")
            }
            Call::Once(call, what) => match $who.answered_before(call) {
                Some(said) => text(said),
                None => {
                    let said: Value = what.$ask($who).as_bytes().into();
                    $who.keep_answer(call, said.clone());
                    text(said)
                }
            },
            Call::ConnectionEnded(connection, goodbye) => text($who.connection_ended(connection, goodbye)),
        }
    };
}

impl Call {
    /// The same call as what may be sent again, if doing it twice could do harm.
    pub(super) fn once(self, call: CallId) -> Self {
        match self {
            Self::GetWork(ask) => Self::GetWork(GetWork { call: Some(call), ..ask }),
            Self::AddUnits(..)
            | Self::Prioritize(..)
            | Self::Update(..)
            | Self::DeleteUnits(..)
            | Self::DeleteSpec(_)
            | Self::Clear
            | Self::SetSpec(_)
            | Self::ControlSpec(..)
            | Self::Lock(..)
            | Self::Unlock(..)
            | Self::Unregister(_) => Self::Once(call, Box::new(self)),
            other => other,
        }
    }

    /// Whether it is done step by step.
    pub(super) fn is_long(&self) -> bool {
        match self {
            Self::Once(_, what) => what.is_long(),
            Self::Clear | Self::DeleteUnits(..) | Self::Archive(_) | Self::DeleteLocks(_) => true,
            _ => false,
        }
    }

    /// Which call it is; `None`: it may be done twice.
    pub(super) fn id(&self) -> Option<CallId> {
        match self {
            Self::Once(call, _) => Some(*call),
            Self::GetWork(ask) => ask.call,
            _ => None,
        }
    }

    /// The same call on another connection.
    pub(super) fn again(self, connection: u64) -> Self {
        let on = |call: CallId| CallId { connection, ..call };
        match self {
            Self::Once(call, what) => Self::Once(on(call), what),
            Self::GetWork(ask) => Self::GetWork(GetWork { call: ask.call.map(on), ..ask }),
            other => other,
        }
    }

    pub(super) fn ask_book(&self, book: &mut Book) -> String {
        ask!(self, book, ask_book)
    }

    pub(super) fn ask_model(&self, model: &mut Model) -> String {
        ask!(self, model, ask_model)
    }
}

pub(super) fn text(answer: impl Debug) -> String {
    format!("{answer:?}")
}
