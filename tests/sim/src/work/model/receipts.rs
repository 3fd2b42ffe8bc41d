//! Calls that are sent again.

use std::time::Duration;

use berth_core::{
    Timestamp,
    work::{Assignment, CallId, GetWork, SpecName, UnitKey, Value, WorkerId},
};

use super::{Model, State};

const WAITS: Duration = Duration::from_secs(60);

/// What a call left.
#[derive(Clone)]
pub(super) struct Receipt {
    call: CallId,
    answer: Answer,
    /// `None`: the connection lives.
    waits_until: Option<Timestamp>,
}

#[derive(Clone)]
enum Answer {
    Said(Value),
    /// Units, and how often each had been handed out by then.
    Handed(SpecName, u64, Vec<(UnitKey, u32)>, WorkerId),
}

impl Model {
    pub(crate) fn answered_before(&mut self, call: CallId) -> Option<Value> {
        let place = self.waiting_for(call)?;
        let Answer::Said(said) = self.receipts[place].answer.clone() else { return None };
        self.take_over(place, call);
        Some(said)
    }

    pub(crate) fn keep_answer(&mut self, call: CallId, said: Value) {
        self.keep(call, Answer::Said(said));
    }

    pub(crate) fn connection_ended(&mut self, connection: u64, goodbye: bool) {
        let until = self.now.after(WAITS);
        if goodbye {
            self.receipts.retain(|receipt| receipt.call.connection != connection || receipt.waits_until.is_some());
        }
        for receipt in self.receipts.iter_mut().filter(|receipt| receipt.call.connection == connection) {
            receipt.waits_until = receipt.waits_until.or(Some(until));
        }
    }

    pub(super) fn handed_before(&mut self, ask: &GetWork, until: Timestamp) -> Option<Vec<Assignment>> {
        let call = ask.call?;
        let place = self.waiting_for(call)?;
        let Answer::Handed(name, made, units, worker) = self.receipts[place].answer.clone() else { return None };
        let spec = self.specs.get_mut(&name).filter(|spec| spec.made == made)?;
        let mut handed = Vec::new();
        for (key, attempt) in units {
            let Some(unit) = spec.units.get_mut(&key).filter(|unit| unit.attempts == attempt) else { continue };
            if let State::Pending { worker: Some(owner), until: lease } = &mut unit.state
                && *owner == worker
            {
                *lease = until;
                handed.push(Assignment { spec: name.clone(), key, data: unit.data.clone() });
            }
        }
        if handed.is_empty() {
            return None;
        }
        self.take_over(place, call);
        Some(handed)
    }

    pub(super) fn keep_handed(&mut self, call: CallId, worker: &WorkerId, handed: &[Assignment]) {
        let Some(first) = handed.first() else { return };
        let spec = &self.specs[&first.spec];
        let units = handed.iter().map(|unit| (unit.key.clone(), spec.units[&unit.key].attempts)).collect();
        self.keep(call, Answer::Handed(first.spec.clone(), spec.made, units, worker.clone()));
    }

    pub(super) fn receipt_lines(&self) -> Vec<String> {
        let mut receipts: Vec<&Receipt> = self.receipts.iter().collect();
        receipts.sort_by_key(|receipt| (receipt.call.connection, receipt.call.place));
        let line = |receipt: &Receipt| match &receipt.answer {
            Answer::Said(said) => format!("{:?} said {said:?}", receipt.call),
            Answer::Handed(_, _, units, worker) => format!("{:?} {worker} {units:?}", receipt.call),
        };
        receipts.into_iter().map(line).collect()
    }

    /// The one of the newest connection.
    fn waiting_for(&self, call: CallId) -> Option<usize> {
        let alike = |place: &usize| {
            let receipt = &self.receipts[*place];
            receipt.call.print == call.print && receipt.waits_until.is_some()
        };
        let newest = |index: &usize| (self.receipts[*index].call.connection, self.receipts[*index].call.place);
        (0..self.receipts.len()).filter(alike).max_by_key(newest)
    }

    fn take_over(&mut self, place: usize, call: CallId) {
        let receipt = self.receipts.remove(place);
        self.keep(call, receipt.answer);
    }

    fn keep(&mut self, call: CallId, answer: Answer) {
        let place = (call.connection, call.place);
        self.receipts.retain(|receipt| (receipt.call.connection, receipt.call.place) != place);
        self.receipts.push(Receipt { call, answer, waits_until: None });
    }

    pub(super) fn receipts_wait(&mut self, now: Timestamp) {
        self.receipts.retain(|receipt| receipt.waits_until.is_none_or(|until| until > now));
    }

    /// No connection outlives the server.
    pub(super) fn receipts_restored(&mut self, now: Timestamp) {
        self.receipts.iter_mut().for_each(|receipt| receipt.waits_until = Some(now.after(WAITS)));
    }
}
