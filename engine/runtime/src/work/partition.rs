//! One namespace's driver without its loop: calls in, one batch of rows out, with what may leave once it is durable.
//! Synchronous and deterministic: the real driver and the model test run this same code.

use std::collections::{BTreeSet, VecDeque};

use berth_core::{
    Chooser, Timestamp,
    work::{
        Book, Discarded, Fact, LockPath, ReceiptId, STEP_MAX, SpecId, UnitKey, UnitPlace, WorkerId,
        mutant::{Mutant, broken},
    },
};

use super::{codec, telling::Telling};
use crate::{
    partition::{ReleaseFn, RowsFn},
    store::{Batch, Table},
};

/// A call of a client: does what it does, and says what to do once that is durable.
pub type Call = Box<dyn FnOnce(&mut Book) -> ReleaseFn + Send>;

/// Somebody who waits for work: tried when it comes, and again when there may be some. Answers whether it is over.
pub type Waiter = Box<dyn FnMut(&mut Book) -> Option<ReleaseFn> + Send>;

/// Something that takes long: done a step at a time, with other calls in between. Answers when it is over.
pub type Steps = Box<dyn FnMut(&mut Book) -> Option<ReleaseFn> + Send>;

/// Something to be done in its turn.
pub enum Ask {
    /// At once.
    Call(Call),
    /// As soon as there is work.
    Wait(Waiter),
    /// Step by step, from now on.
    Steps(Steps),
    /// Rows that are not the book's: places and tables of who hears of it, and what is to be forgotten of the feed.
    Rows(RowsFn),
}

/// The outcome of one step: commit `batch`, then let `releases` go, in order.
pub struct Turn {
    /// To be made durable; may be empty.
    pub batch: Batch,
    /// What may leave after that: of each call one, in their order.
    pub releases: Vec<ReleaseFn>,
    /// The same of those who waited.
    pub served: Vec<ReleaseFn>,
}

/// A book, and what is needed to write its rows.
pub struct WorkPartition {
    book: Book,
    /// Locks of this namespace survive a restart.
    locks_durable: bool,
    touched: Touched,
    /// None: nothing is told of what happens.
    telling: Option<Telling>,
    /// What is done step by step, in turns.
    begun: VecDeque<Steps>,
    /// How many units are swept in a step.
    swept_max: usize,
    /// Who waits for work, in the order in which they came.
    waiters: Vec<Waiter>,
    /// With so many of them all are tried, work or not: those who have gone say so then.
    waiters_max: usize,
}

/// Things that are done step by step, and of which a batch may bring to their end.
const STEPS_A_TURN: usize = 16;

/// Fewer who wait are not worth a look at who has gone.
const WAITERS_MIN: usize = 64;

/// Rows whose after-images the batch must carry.
#[derive(Default)]
struct Touched {
    specs: BTreeSet<SpecId>,
    /// Found again and again while one batch is handled, so they are sorted once at its end.
    units: Vec<TouchedUnit>,
    workers: BTreeSet<WorkerId>,
    locks: BTreeSet<LockPath>,
    receipts: BTreeSet<ReceiptId>,
}

/// In this order of fields: rows are written in the order of their keys.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct TouchedUnit {
    spec: SpecId,
    key: UnitKey,
    row: UnitRowKind,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum UnitRowKind {
    Body,
    Standing,
}

impl WorkPartition {
    /// A partition that goes on from a recovered (or empty) book.
    pub fn new(book: Book, locks_durable: bool) -> Self {
        Self {
            book,
            locks_durable,
            touched: Touched::default(),
            telling: None,
            begun: VecDeque::new(),
            swept_max: STEP_MAX,
            waiters: Vec::new(),
            waiters_max: WAITERS_MIN,
        }
    }

    /// Tells of what happens in the event feed, from this position on.
    pub fn tell_from(&mut self, next: u64) {
        let next = if broken(Mutant::FeedRestarts) { 1 } else { next };
        self.telling = Some(Telling::new(next, &self.book));
    }

    /// The position that the next record of the feed will have, where there is one.
    pub fn next_sequence(&self) -> Option<u64> {
        self.telling.as_ref().map(Telling::next)
    }

    /// The book, as it will be once everything handed out so far is durable.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// Lets somebody else choose among work specs.
    pub fn set_chooser(&mut self, chooser: Box<dyn Chooser>, namespace: String) {
        self.book.set_chooser(chooser, namespace);
    }

    /// Sweeps more slowly, so that a test sees what happens in between.
    #[doc(hidden)]
    pub fn set_swept_max(&mut self, most: usize) {
        self.swept_max = most;
    }

    /// What takes long to drop.
    pub(super) fn take_discarded(&mut self) -> Option<Discarded> {
        self.book.take_discarded()
    }

    /// Handles calls at one instant; what is due by then happens first.
    pub fn step(&mut self, now: Timestamp, asked: impl IntoIterator<Item = Ask>) -> Turn {
        let mut turn = Turn { batch: Batch::default(), releases: Vec::new(), served: Vec::new() };
        self.book.advance(now);
        self.record(&mut turn.batch);
        let before = self.waiters.len();
        for ask in asked {
            match ask {
                Ask::Call(call) => turn.releases.push(call(&mut self.book)),
                Ask::Wait(waiter) => self.waiters.push(waiter),
                Ask::Steps(steps) => self.begun.push_back(steps),
                Ask::Rows(add) => add(&mut turn.batch),
            }
            self.record(&mut turn.batch);
        }
        self.go_on(&mut turn);
        self.book.sweep(self.swept_max);
        let all = self.book.take_opened() || self.waiters.len() > self.waiters_max;
        self.serve(if all { 0 } else { before }, &mut turn);
        self.write_touched(&mut turn.batch);
        if let Some(telling) = &mut self.telling {
            telling.finish(self.book.now(), &mut turn.batch);
        }
        turn
    }

    /// Whether another step has something to do, even if nothing arrives.
    pub fn has_begun(&self) -> bool {
        !self.begun.is_empty() || self.book.is_sweeping()
    }

    /// A step of what was begun: of several things in turn, up to the first that has more to do. What is done in one step
    /// does not wait for a batch of its own.
    fn go_on(&mut self, turn: &mut Turn) {
        for _ in 0..STEPS_A_TURN {
            let Some(mut steps) = self.begun.pop_front() else { return };
            let done = steps(&mut self.book);
            self.record(&mut turn.batch);
            match done {
                Some(release) => turn.served.push(release),
                None => return self.begun.push_back(steps),
            }
        }
    }

    /// Tries who waits, from one on: the others would get nothing again.
    fn serve(&mut self, from: usize, turn: &mut Turn) {
        let mut waiting = self.waiters.split_off(from).into_iter();
        for mut waiter in waiting.by_ref() {
            match waiter(&mut self.book) {
                Some(release) => turn.served.push(release),
                None => self.waiters.push(waiter),
            }
            self.record(&mut turn.batch);
        }
        // Handing out opens nothing for the others: they were tried after it, or had their turn.
        self.book.take_opened();
        self.waiters_max = WAITERS_MIN.max(2 * self.waiters.len());
    }

    /// Notes whose after-images are due.
    fn record(&mut self, batch: &mut Batch) {
        let facts = self.book.take_facts();
        if let Some(telling) = &mut self.telling {
            telling.tell(self.book.now(), &facts, batch);
        }
        for fact in facts {
            self.touch(fact, batch);
        }
    }

    fn touch(&mut self, fact: Fact, batch: &mut Batch) {
        use UnitRowKind::{Body, Standing};
        let touched = &mut self.touched;
        match fact {
            Fact::SpecSet { spec, .. }
            | Fact::SpecControlled { spec, .. }
            | Fact::ContinuousMade { spec, .. }
            | Fact::ArchivedForgotten { spec, .. } => {
                touched.specs.insert(spec);
            }
            Fact::SpecDeleted { spec } => {
                touched.specs.insert(spec);
                delete_units(spec, batch);
            }
            Fact::UnitsCleared { spec, anew } => {
                touched.specs.extend([spec, anew]);
                delete_units(spec, batch);
            }
            Fact::UnitsAdded { spec, units } => {
                touched.units(spec, units.into_iter().map(|unit| unit.key), &[Body, Standing]);
            }
            Fact::DataChanged { spec, key, .. } => {
                if !broken(Mutant::DataNotStored) {
                    touched.units(spec, [key], &[Body]);
                }
            }
            Fact::UnitsPrioritized { spec, units } => {
                touched.units(spec, units.into_iter().map(|(key, _)| key), &[Body]);
            }
            Fact::UnitRenewed { spec, key, .. } => touched.units(spec, [key], &[Standing]),
            Fact::UnitsLeased { spec, keys, .. }
            | Fact::UnitsReleased { spec, keys, .. }
            | Fact::UnitsExpired { spec, keys }
            | Fact::UnitsEnded { spec, keys, .. } => touched.units(spec, keys, &[Standing]),
            Fact::UnitsDeleted { spec, keys } => touched.units(spec, keys, &[Body, Standing]),
            Fact::UnitsArchived { spec, keys, .. } => {
                touched.specs.insert(spec);
                touched.units(spec, keys, &[Body, Standing]);
            }
            Fact::WorkerSeen { worker, .. } | Fact::WorkerGone { worker } => {
                touched.workers.insert(worker);
            }
            Fact::Locked { paths, .. } => touched.locks.extend(paths),
            Fact::ReceiptKept { call, .. } => {
                if !broken(Mutant::ReceiptNotStored) {
                    touched.receipts.insert(call.receipt());
                }
            }
            Fact::ReceiptsDropped { receipts } => touched.receipts.extend(receipts),
            Fact::Unlocked { paths } => {
                if !broken(Mutant::UnlockNotStored) {
                    touched.locks.extend(paths);
                }
            }
        }
    }

    /// Each touched row once, as it is at the end of the batch.
    fn write_touched(&mut self, batch: &mut Batch) {
        let touched = std::mem::take(&mut self.touched);
        for spec in touched.specs {
            let key = codec::spec_key(spec);
            match self.book.spec_row(spec) {
                Some(row) => batch.put(Table::WorkSpecs, &key, |out| codec::encode_spec(&row, out)),
                None => batch.delete(Table::WorkSpecs, &key),
            }
        }
        self.write_units(touched.units, batch);
        for worker in touched.workers {
            match self.book.worker_row(&worker) {
                Some(row) => batch.put(Table::Workers, worker.as_bytes(), |out| codec::encode_worker(&row, out)),
                None if broken(Mutant::WorkerRowKept) => {}
                None => batch.delete(Table::Workers, worker.as_bytes()),
            }
        }
        for receipt in touched.receipts {
            let key = codec::receipt_key(receipt);
            match self.book.receipt_row(receipt) {
                Some(row) => batch.put(Table::WorkReceipts, &key, |out| codec::encode_receipt(&row, out)),
                None => batch.delete(Table::WorkReceipts, &key),
            }
        }
        for path in touched.locks.into_iter().filter(|_| self.locks_durable) {
            let key = codec::lock_key(&path);
            match self.book.lock_row(&path) {
                Some(row) => batch.put(Table::WorkLocks, &key, |out| codec::encode_lock(&row, out)),
                None => batch.delete(Table::WorkLocks, &key),
            }
        }
    }

    fn write_units(&self, mut units: Vec<TouchedUnit>, batch: &mut Batch) {
        units.sort_unstable();
        units.dedup();
        let mut key = Vec::new();
        for TouchedUnit { spec, key: unit, row: kind } in units {
            codec::unit_key(spec, &unit, &mut key);
            let row = self.book.unit_row(spec, &unit);
            match (kind, row) {
                (UnitRowKind::Body, Some(row)) => {
                    batch.put(Table::WorkUnits, &key, |out| codec::encode_body(&row.body, out));
                }
                (UnitRowKind::Body, None) if broken(Mutant::UnitRowKept) => {}
                (UnitRowKind::Body, None) => batch.delete(Table::WorkUnits, &key),
                (UnitRowKind::Standing, Some(row)) => match row.standing {
                    Some(mut standing) => {
                        if broken(Mutant::AttemptsNotStored) {
                            standing.attempts = u32::from(matches!(standing.place, UnitPlace::Pending(..)));
                        }
                        batch.put(Table::WorkStates, &key, |out| codec::encode_standing(&standing, out));
                    }
                    None => batch.delete(Table::WorkStates, &key),
                },
                (UnitRowKind::Standing, None) if broken(Mutant::StateRowKept) => {}
                (UnitRowKind::Standing, None) => batch.delete(Table::WorkStates, &key),
            }
        }
    }
}

impl Touched {
    fn units(&mut self, spec: SpecId, keys: impl IntoIterator<Item = UnitKey>, rows: &[UnitRowKind]) {
        for key in keys {
            self.units.extend(rows.iter().map(|row| TouchedUnit { spec, key: key.clone(), row: *row }));
        }
    }
}

/// All units of a spec, however many, in one change.
fn delete_units(spec: SpecId, batch: &mut Batch) {
    if broken(Mutant::SpecUnitsKept) {
        return;
    }
    for table in [Table::WorkUnits, Table::WorkStates] {
        batch.delete_range(table, &codec::spec_key(spec), &codec::after_spec(spec));
    }
}
