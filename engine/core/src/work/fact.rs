//! Facts of the work book: the typed changes of durable state. State changes by applying them only.

use std::{sync::Arc, time::Duration};

use super::{
    AddedUnit, CallId, LockPath, Locker, Priority, Receipt, ReceiptId, SpecId, SpecMeta, SpecSettings, UnitKey, Value,
    WorkerId,
};
use crate::Timestamp;

/// One change. Facts of several units are of one spec.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A spec was made or set again.
    SpecSet {
        /// Our number of it.
        spec: SpecId,
        /// What it is now.
        settings: Arc<SpecSettings>,
    },
    /// What holds for a spec has changed.
    SpecControlled {
        /// Which.
        spec: SpecId,
        /// All that holds now.
        meta: SpecMeta,
    },
    /// A spec is gone, with all of its units.
    SpecDeleted {
        /// Which.
        spec: SpecId,
    },
    /// Units were added, or added again: a unit that has a worker keeps it, any other is available.
    UnitsAdded {
        /// Of which spec.
        spec: SpecId,
        /// The units, each key once.
        units: Vec<AddedUnit>,
    },
    /// Available units, or such as had ended, were handed out.
    UnitsLeased {
        /// Of which spec.
        spec: SpecId,
        /// To whom.
        worker: Option<WorkerId>,
        /// Until when.
        until: Timestamp,
        /// Which.
        keys: Vec<UnitKey>,
    },
    /// A spec made a unit of its own: when it may make the next.
    ContinuousMade {
        /// Which spec.
        spec: SpecId,
        /// Not before.
        next: Timestamp,
    },
    /// A lease goes on.
    UnitRenewed {
        /// Of which spec.
        spec: SpecId,
        /// Which unit.
        key: UnitKey,
        /// Until when now.
        until: Timestamp,
        /// Who has it: who calls, if it was nobody's.
        worker: Option<WorkerId>,
    },
    /// A unit has another dictionary.
    DataChanged {
        /// Of which spec.
        spec: SpecId,
        /// Which unit.
        key: UnitKey,
        /// The dictionary.
        data: Value,
    },
    /// Units are available again: given back, or asked to be done once more.
    UnitsReleased {
        /// Of which spec.
        spec: SpecId,
        /// Which.
        keys: Vec<UnitKey>,
        /// They had ended.
        retried: bool,
    },
    /// Leases ran out: the units are available again.
    UnitsExpired {
        /// Of which spec.
        spec: SpecId,
        /// Which.
        keys: Vec<UnitKey>,
    },
    /// Units are finished or failed.
    UnitsEnded {
        /// Of which spec.
        spec: SpecId,
        /// Which.
        keys: Vec<UnitKey>,
        /// Failed, not finished.
        failed: bool,
        /// When.
        at: Timestamp,
        /// Who had it, or said so.
        worker: Option<WorkerId>,
        /// They failed because they were handed out too often. Their dictionaries stay, in case they are retried.
        exhausted: bool,
    },
    /// Units have other priorities.
    UnitsPrioritized {
        /// Of which spec.
        spec: SpecId,
        /// Which, and the priority of each.
        units: Vec<(UnitKey, Priority)>,
    },
    /// Units are gone.
    UnitsDeleted {
        /// Of which spec.
        spec: SpecId,
        /// Which.
        keys: Vec<UnitKey>,
    },
    /// Units that were archived do not count any more.
    ArchivedForgotten {
        /// Of which spec.
        spec: SpecId,
        /// The failed ones, not the finished ones.
        failed: bool,
    },
    /// All units of a spec are gone, and those that were archived do not count any more. The spec goes on under another
    /// number, so that whatever of its old units is still about is about nothing.
    UnitsCleared {
        /// Which spec.
        spec: SpecId,
        /// Its number from now on.
        anew: SpecId,
    },
    /// Units that had ended are gone, but still count.
    UnitsArchived {
        /// Of which spec.
        spec: SpecId,
        /// Which.
        keys: Vec<UnitKey>,
        /// Failed, not finished.
        failed: bool,
    },
    /// Something was heard of a worker that is worth keeping.
    WorkerSeen {
        /// Who.
        worker: WorkerId,
        /// What it does.
        mode: Value,
        /// What it tells of itself.
        data: Value,
        /// Its parent.
        parent: Option<WorkerId>,
        /// How long it lives without another sign.
        lifetime: Duration,
        /// When.
        at: Timestamp,
        /// It is new, or told something new.
        is_news: bool,
    },
    /// A worker signed off, or nothing was heard of it for too long.
    WorkerGone {
        /// Who.
        worker: WorkerId,
    },
    /// Paths are locked, or their locks go on.
    Locked {
        /// By whom.
        locker: Locker,
        /// Until when.
        until: Timestamp,
        /// Which.
        paths: Vec<LockPath>,
    },
    /// Locks are gone.
    Unlocked {
        /// Which.
        paths: Vec<LockPath>,
    },
    /// A call was answered, and is not to be done again. What was at its place among those of the connection goes.
    ReceiptKept {
        /// Which.
        call: CallId,
        /// What it was answered.
        receipt: Receipt,
    },
    /// Calls need not be known again.
    ReceiptsDropped {
        /// Which.
        receipts: Vec<ReceiptId>,
    },
}
