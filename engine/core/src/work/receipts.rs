//! Calls that would do harm if they were done twice, and a client that sends one again because it saw no reply.
//!
//! Coordinate's client sends a call again, byte for byte, on a new connection, when the old one broke; nothing in it says
//! whether it was done. So the last such call of every connection leaves a receipt: what it looked like, and what it was
//! answered. While the connection lives, the receipt means nothing. When the client says goodbye, it goes. When the
//! connection breaks, or the server does, it waits for a while for a call that looks the same: that one is answered from
//! the receipt and does nothing more.

use std::{
    collections::{BTreeMap, BTreeSet},
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

/// One call of a client, told from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallId {
    /// The number of its connection. No later connection has it, not even one to another process on the same disk.
    pub connection: u64,
    /// A print of all that the client sent, its own number of the call among it.
    pub print: u64,
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
    /// The last of each connection.
    kept: BTreeMap<u64, Kept>,
    /// Print and connection of those that wait.
    waiting: BTreeSet<(u64, u64)>,
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
        let Some(kept) = self.receipts.kept.get_mut(&connection).filter(|kept| kept.until.is_none()) else { return };
        if goodbye && !broken(Mutant::GoodbyeIgnored) {
            return self.emit(Fact::ReceiptsDropped { connections: vec![connection] });
        }
        kept.until = Some(until);
        self.receipts.waiting.insert((kept.print, connection));
        self.timers.insert((until, Timer::Receipt(connection)));
    }

    /// Numbers below this one were given to connections.
    pub fn connections_end(&self) -> u64 {
        self.receipts.kept.last_key_value().map_or(0, |(connection, _)| connection + 1)
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
    fn waiting_for(&self, call: CallId) -> Option<(u64, Receipt)> {
        let CallId { print, .. } = call;
        let (_, connection) = *self.receipts.waiting.range((print, 0)..=(print, u64::MAX)).next_back()?;
        let receipt = self.receipts.kept[&connection].receipt.clone();
        (!broken(Mutant::ResentDoneTwice)).then_some((connection, receipt))
    }

    /// The reply may be lost again.
    fn take_over(&mut self, old: u64, call: CallId, receipt: Receipt) {
        self.emit(Fact::ReceiptsDropped { connections: vec![old] });
        self.emit(Fact::ReceiptKept { call, receipt });
    }

    pub(super) fn receipt_kept(&mut self, call: CallId, receipt: &Receipt, until: Option<Timestamp>) {
        let CallId { connection, print } = call;
        self.receipt_dropped(connection);
        if let Some(until) = until {
            self.receipts.waiting.insert((print, connection));
            self.timers.insert((until, Timer::Receipt(connection)));
        }
        self.receipts.kept.insert(connection, Kept { print, receipt: receipt.clone(), until });
    }

    pub(super) fn receipt_dropped(&mut self, connection: u64) {
        if let Some(Kept { print, until: Some(until), .. }) = self.receipts.kept.remove(&connection) {
            self.receipts.waiting.remove(&(print, connection));
            self.timers.remove(&(until, Timer::Receipt(connection)));
        }
    }

    /// What was read from disk: the connection broke at the latest when the process before this one ended.
    pub(super) fn receipt_restored(&mut self, row: &ReceiptRow) {
        self.receipt_kept(row.call, &row.receipt, Some(self.now.after(WAITS)));
    }

    /// Every receipt, by connection.
    pub fn receipts(&self) -> impl Iterator<Item = ReceiptRow> + '_ {
        self.receipts.kept.keys().filter_map(|connection| self.receipt_row(*connection))
    }

    /// The row of a receipt.
    pub fn receipt_row(&self, connection: u64) -> Option<ReceiptRow> {
        let Kept { print, receipt, .. } = self.receipts.kept.get(&connection)?;
        Some(ReceiptRow { call: CallId { connection, print: *print }, receipt: receipt.clone() })
    }
}
