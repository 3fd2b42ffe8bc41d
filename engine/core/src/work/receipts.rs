//! Calls that would do harm if they were done twice, and a client that sends one again because it saw no reply.
//!
//! Coordinate's client sends a call again, byte for byte, on a new connection, when the old one broke; nothing in it says
//! whether it was done. So the last such call of every connection leaves a receipt: what it looked like, and what it was
//! answered. Where a client does not wait for each reply, the last few do. While the connection lives, receipts mean
//! nothing. When the client says goodbye, they go. When the connection breaks, or the server does, they wait for a while
//! for calls that look the same: those are answered from them and do nothing more. A call that names itself, as those of
//! gRPC may, is like a connection of its own that broke.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{
    Assignment, Book, Fact, GetWork, SpecId, Timer, UnitKey, Value, WorkerId, lease,
    mutant::{Mutant, broken},
    unit::State,
};
use crate::Timestamp;

/// How long a receipt waits. The client tries five times, with pauses that add up to 16 s.
const WAITS: Duration = Duration::from_secs(60);

/// How many may wait at a time: of more, those that wait longest go.
const WAITING_MAX: usize = 100_000;

/// One call of a client, told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The number of its connection. No later connection has it, not even one to another process on the same disk.
    pub connection: u64,
    /// Which of the connection's receipts is replaced by that of this call.
    pub place: u8,
    /// A print of all that the client sent, its own number of the call among it.
    pub print: u64,
}

impl CallId {
    /// The receipt that the call leaves.
    pub fn receipt(self) -> ReceiptId {
        ReceiptId { connection: self.connection, place: self.place }
    }
}

/// Which receipt: its connection, and its place among those of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReceiptId {
    /// The number of the connection.
    pub connection: u64,
    /// As in [`CallId::place`].
    pub place: u8,
}

impl ReceiptId {
    fn all_of(connection: u64) -> std::ops::RangeInclusive<Self> {
        Self { connection, place: 0 }..=Self { connection, place: u8::MAX }
    }
}

/// What a call was answered.
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// The answer, as the door encodes it.
    Said(Value),
    /// Work was handed out.
    Handed {
        /// To whom.
        worker: WorkerId,
        /// Of which spec.
        spec: SpecId,
        /// Which units, and the number of the attempt that began.
        units: Arc<[(UnitKey, u32)]>,
    },
}

/// A receipt as it stands on disk.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceiptRow {
    /// Which call.
    pub call: CallId,
    /// What it was answered.
    pub receipt: Receipt,
}

#[derive(Debug, Default)]
pub(super) struct Receipts {
    kept: BTreeMap<ReceiptId, Kept>,
    /// Those that wait, by their prints.
    waiting: BTreeSet<(u64, ReceiptId)>,
    /// Connections that ended, in order. Of some nothing waits any more.
    ended: VecDeque<u64>,
}

#[derive(Clone, Debug)]
struct Kept {
    print: u64,
    receipt: Receipt,
    /// Until when it waits; `None`: its connection lives. Lost by a restart: there no connection lives.
    until: Option<Timestamp>,
}

impl Book {
    /// What this call was answered when it was done before. Then it is not to be done again.
    pub fn answered_before(&mut self, call: CallId) -> Option<Value> {
        let (old, receipt) = self.waiting_for(call)?;
        let Receipt::Said(said) = &receipt else { return None };
        let said = said.clone();
        self.take_over(old, call, receipt);
        Some(said)
    }

    /// Keeps what a call was answered, in place of what was kept of its connection.
    pub fn keep_answer(&mut self, call: CallId, said: Value) {
        self.emit(Fact::ReceiptKept { call, receipt: Receipt::Said(said) });
    }

    /// A connection has ended. `goodbye`: its client had every reply, and wanted no more.
    pub fn connection_ended(&mut self, connection: u64, goodbye: bool) {
        let until = self.now.after(WAITS);
        let kept = self.receipts.kept.range_mut(ReceiptId::all_of(connection));
        let living: Vec<(ReceiptId, &mut Kept)> =
            kept.filter(|(_, kept)| kept.until.is_none()).map(|(id, kept)| (*id, kept)).collect();
        if living.is_empty() {
            return;
        }
        if goodbye && !broken(Mutant::GoodbyeIgnored) {
            let receipts = living.into_iter().map(|(id, _)| id).collect();
            return self.emit(Fact::ReceiptsDropped { receipts });
        }
        for (id, kept) in living {
            kept.until = Some(until);
            self.receipts.waiting.insert((kept.print, id));
        }
        self.timers.insert((until, Timer::Receipt(connection)));
        self.receipts.ended.push_back(connection);
        self.bound_receipts();
    }

    /// Numbers below this one were given to connections.
    pub fn connections_end(&self) -> u64 {
        self.receipts.kept.last_key_value().map_or(0, |(id, _)| id.connection + 1)
    }

    /// The receipts of a connection.
    fn receipts_of(&self, connection: u64) -> Vec<ReceiptId> {
        self.receipts.kept.range(ReceiptId::all_of(connection)).map(|(id, _)| *id).collect()
    }

    /// Those of a connection that have waited long enough.
    pub(super) fn receipts_due(&self, connection: u64) -> Vec<ReceiptId> {
        let kept = self.receipts.kept.range(ReceiptId::all_of(connection));
        kept.filter(|(_, kept)| kept.until.is_some_and(|until| until <= self.now)).map(|(id, _)| *id).collect()
    }

    fn bound_receipts(&mut self) {
        while let Some(oldest) = self.receipts.ended.front().copied() {
            let receipts = self.receipts_of(oldest);
            if !receipts.is_empty() && self.receipts.waiting.len() <= WAITING_MAX {
                return;
            }
            self.receipts.ended.pop_front();
            if !receipts.is_empty() {
                self.emit(Fact::ReceiptsDropped { receipts });
            }
        }
    }

    /// The units that this very call was handed before, as far as the worker still has them: with a whole lease again.
    pub(super) fn handed_before(&mut self, ask: &GetWork) -> Option<Vec<Assignment>> {
        let call = ask.call?;
        let (old, receipt) = self.waiting_for(call)?;
        let Receipt::Handed { worker, spec: id, units } = &receipt else { return None };
        let spec = self.specs.get(id)?;
        let still = |(key, attempt): &&(UnitKey, u32)| {
            spec.by_key(key).is_some_and(|unit| {
                unit.attempts == *attempt
                    && matches!(&unit.state, State::Pending { worker: Some(owner), .. } if owner == worker)
            })
        };
        let keys: Vec<UnitKey> = units.iter().filter(still).map(|(key, _)| key.clone()).collect();
        let handed = |key: &UnitKey| {
            let data = spec.by_key(key).expect("it is still there").data.clone();
            Assignment { spec: spec.settings.name.clone(), key: key.clone(), data }
        };
        let assignments: Vec<Assignment> = keys.iter().map(handed).collect();
        if assignments.is_empty() {
            return None;
        }
        let (id, until, worker) = (*id, self.now.after(lease(ask.lease_s)), Some(worker.clone()));
        for key in keys {
            self.emit(Fact::UnitRenewed { spec: id, key, until, worker: worker.clone() });
        }
        self.take_over(old, call, receipt);
        Some(assignments)
    }

    pub(super) fn keep_handed(&mut self, call: CallId, worker: &WorkerId, spec: SpecId, keys: &[UnitKey]) {
        let attempt = |key: &UnitKey| self.specs[&spec].by_key(key).expect("it was handed out").attempts;
        let units = keys.iter().map(|key| (key.clone(), attempt(key))).collect();
        self.emit(Fact::ReceiptKept { call, receipt: Receipt::Handed { worker: worker.clone(), spec, units } });
    }

    /// The newest receipt that waits for a call like this.
    fn waiting_for(&self, call: CallId) -> Option<(ReceiptId, Receipt)> {
        let of = |connection, place| (call.print, ReceiptId { connection, place });
        let (_, id) = *self.receipts.waiting.range(of(0, 0)..=of(u64::MAX, u8::MAX)).next_back()?;
        let receipt = self.receipts.kept[&id].receipt.clone();
        (!broken(Mutant::ResentDoneTwice)).then_some((id, receipt))
    }

    /// The reply may be lost again.
    fn take_over(&mut self, old: ReceiptId, call: CallId, receipt: Receipt) {
        self.emit(Fact::ReceiptsDropped { receipts: vec![old] });
        self.emit(Fact::ReceiptKept { call, receipt });
    }

    pub(super) fn receipt_kept(&mut self, call: CallId, receipt: &Receipt, until: Option<Timestamp>) {
        let (id, print) = (call.receipt(), call.print);
        self.receipt_dropped(id);
        if broken(Mutant::OnlyLastKnown) {
            self.receipts_of(id.connection).into_iter().for_each(|other| self.receipt_dropped(other));
        }
        if let Some(until) = until {
            self.receipts.waiting.insert((print, id));
            self.timers.insert((until, Timer::Receipt(id.connection)));
        }
        self.receipts.kept.insert(id, Kept { print, receipt: receipt.clone(), until });
    }

    pub(super) fn receipt_dropped(&mut self, id: ReceiptId) {
        if let Some(Kept { print, until: Some(until), .. }) = self.receipts.kept.remove(&id) {
            self.receipts.waiting.remove(&(print, id));
            if self.receipts_of(id.connection).is_empty() {
                self.timers.remove(&(until, Timer::Receipt(id.connection)));
            }
        }
    }

    /// What was read from disk: the connection broke at the latest when the process before this one ended.
    pub(super) fn receipt_restored(&mut self, row: &ReceiptRow) {
        self.receipt_kept(row.call, &row.receipt, Some(self.now.after(WAITS)));
        if self.receipts.ended.back() != Some(&row.call.connection) {
            self.receipts.ended.push_back(row.call.connection);
        }
    }

    /// Every receipt, by connection and place.
    pub fn receipts(&self) -> impl Iterator<Item = ReceiptRow> + '_ {
        self.receipts.kept.keys().filter_map(|id| self.receipt_row(*id))
    }

    /// The row of a receipt.
    pub fn receipt_row(&self, id: ReceiptId) -> Option<ReceiptRow> {
        let Kept { print, receipt, .. } = self.receipts.kept.get(&id)?;
        let call = CallId { connection: id.connection, place: id.place, print: *print };
        Some(ReceiptRow { call, receipt: receipt.clone() })
    }
}
