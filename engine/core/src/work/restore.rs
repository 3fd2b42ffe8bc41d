//! Rows: what of the book stands on disk, and the way back.
//!
//! A unit has two rows, so that its dictionary is not written again each time its state changes: `body` and `state`. A
//! unit without the second was never handed out and may be at once.

use std::{sync::Arc, time::Duration};

use super::{
    Book, LockPath, Locker, Outputs, Priority, ReceiptRow, Rules, SpecId, SpecMeta, SpecSettings, UnitKey, Value,
    WorkerId,
    mutant::{Mutant, broken},
    spec::{Spec, UnitIx},
    unit::{State, Unit},
    workers::KEPT_EVERY,
};
use crate::Timestamp;

/// What ran out while the server was down gets so long to come back (SEMANTICS: time).
const GRACE: Duration = Duration::from_secs(30);

/// A spec as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecRow {
    /// Our number of it.
    pub spec: SpecId,
    /// As last set.
    pub settings: SpecSettings,
    /// As last set or controlled.
    pub meta: SpecMeta,
    /// Before this it makes no unit of its own.
    pub next_continuous: Timestamp,
    /// Units that were archived: finished, failed.
    pub archived: [u64; 2],
}

/// What of a unit seldom changes.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitBody {
    /// Its dictionary.
    pub data: Value,
    /// Its priority.
    pub priority: Priority,
}

/// Where a unit stands, on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitStanding {
    /// How often it was handed out.
    pub attempts: u32,
    /// The rest.
    pub place: UnitPlace,
}

/// Where a unit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitPlace {
    /// It may be handed out from then on.
    Available(Timestamp),
    /// A worker has it, until then.
    Pending(Option<WorkerId>, Timestamp),
    /// It has ended.
    Ended {
        /// Failed, not finished.
        failed: bool,
        /// When.
        at: Timestamp,
        /// Who had it.
        worker: Option<WorkerId>,
        /// It failed because it was handed out too often.
        exhausted: bool,
    },
}

/// A unit as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitRow {
    /// The first row.
    pub body: UnitBody,
    /// The second, if there is one.
    pub standing: Option<UnitStanding>,
}

/// A worker as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRow {
    /// Who.
    pub worker: WorkerId,
    /// What it does.
    pub mode: Value,
    /// What it tells of itself.
    pub data: Value,
    /// Its parent.
    pub parent: Option<WorkerId>,
    /// How long it lives without another sign.
    pub lifetime: Duration,
    /// When it was last heard of; up to a minute before that was.
    pub at: Timestamp,
}

/// A lock as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct LockRow {
    /// Which path.
    pub path: LockPath,
    /// Who has it.
    pub locker: Locker,
    /// Until when.
    pub until: Timestamp,
}

impl Book {
    /// The row of a spec.
    pub fn spec_row(&self, spec: SpecId) -> Option<SpecRow> {
        let spec = self.specs.get(&spec)?;
        Some(SpecRow {
            spec: spec.id,
            settings: spec.settings.clone(),
            meta: spec.meta.clone(),
            next_continuous: spec.next_continuous,
            archived: spec.archived,
        })
    }

    /// The rows of a unit.
    pub fn unit_row(&self, spec: SpecId, key: &UnitKey) -> Option<UnitRow> {
        let unit = self.specs.get(&spec)?.by_key(key)?;
        let place = match &unit.state {
            State::Available { not_before } => UnitPlace::Available(*not_before),
            State::Pending { worker, until } => UnitPlace::Pending(worker.clone(), *until),
            State::Ended { failed, at, worker, exhausted } => {
                UnitPlace::Ended { failed: *failed, at: *at, worker: worker.clone(), exhausted: *exhausted }
            }
        };
        let is_fresh = unit.attempts == 0 && unit.state == State::READY;
        let standing = (!is_fresh).then_some(UnitStanding { attempts: unit.attempts, place });
        Some(UnitRow { body: UnitBody { data: unit.data.clone(), priority: unit.priority }, standing })
    }

    /// The row of a worker.
    pub fn worker_row(&self, worker: &WorkerId) -> Option<WorkerRow> {
        self.row_of_worker(worker)
    }

    /// The row of a lock.
    pub fn lock_row(&self, path: &LockPath) -> Option<LockRow> {
        self.row_of_lock(path)
    }
}

/// A book that is being read from its rows.
pub struct Restoring {
    book: Book,
}

impl Restoring {
    /// Nothing was read yet.
    pub fn new(rules: Rules, outputs: Arc<dyn Outputs>, now: Timestamp) -> Self {
        let mut book = Book::new(rules, outputs);
        book.now = now;
        Self { book }
    }

    /// A spec, before its units.
    pub fn spec(&mut self, row: SpecRow) {
        let book = &mut self.book;
        let mut spec = Spec::new(row.spec, row.settings);
        spec.meta = row.meta;
        spec.next_continuous = row.next_continuous;
        spec.archived = row.archived;
        book.next_spec = book.next_spec.max(row.spec.0 + 1);
        book.names.insert(spec.settings.name.clone(), spec.id);
        book.specs.insert(spec.id, spec);
    }

    /// A unit of a spec that was read. `false`: there is no such spec.
    pub fn unit(&mut self, spec: SpecId, key: UnitKey, row: UnitRow) -> bool {
        let book = &mut self.book;
        let now = book.now;
        let Some(found) = book.specs.get_mut(&spec) else { return false };
        let (attempts, place) = match row.standing {
            Some(UnitStanding { attempts, place }) => (attempts, place),
            None => (0, UnitPlace::Available(Timestamp(0))),
        };
        let state = match place {
            UnitPlace::Available(not_before) => State::Available { not_before },
            UnitPlace::Pending(worker, until) => {
                let until = if broken(Mutant::RestoreWithoutGrace) { until } else { until.max(now.after(GRACE)) };
                State::Pending { worker, until }
            }
            UnitPlace::Ended { failed, at, worker, exhausted } => State::Ended { failed, at, worker, exhausted },
        };
        let UnitBody { data, priority } = row.body;
        let unit = Unit { key, data, priority, attempts, state: state.clone(), former: Vec::new() };
        let ix = found.insert(unit, now);
        book.restored(spec, ix, state);
        true
    }

    /// A worker.
    pub fn worker(&mut self, row: WorkerRow) {
        let until = row.at.after(row.lifetime).after(KEPT_EVERY).max(self.book.now.after(GRACE));
        let WorkerRow { worker, mode, data, parent, lifetime, at } = row;
        self.book.worker_seen(&worker, &mode, &data, parent.as_ref(), lifetime, at, until);
    }

    /// A lock.
    pub fn lock(&mut self, row: LockRow) {
        self.book.locked(&row.locker, row.until, &[row.path]);
    }

    /// A receipt.
    pub fn receipt(&mut self, row: &ReceiptRow) {
        self.book.receipt_restored(row);
    }

    /// Everything was read.
    pub fn finish(mut self) -> Book {
        let ids: Vec<SpecId> = self.book.names.values().copied().collect();
        for id in ids {
            self.book.refresh(id);
        }
        self.book
    }
}

impl Book {
    /// What hangs on the state of a unit that was read.
    fn restored(&mut self, id: SpecId, ix: UnitIx, state: State) {
        let due = match state {
            State::Pending { worker, until } => {
                if let Some(worker) = worker {
                    self.workers.held.insert(&worker, id, ix);
                }
                until
            }
            State::Available { not_before } if not_before > self.now => not_before,
            State::Available { .. } | State::Ended { .. } => return,
        };
        self.timers.insert((due, super::Timer::Unit(id, ix)));
    }
}
