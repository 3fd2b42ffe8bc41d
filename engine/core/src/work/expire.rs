//! What is due: leases, delays, workers, locks.

use std::collections::BTreeMap;

use super::{
    Book, Fact, ReceiptId, SpecId, Timer, UnitKey,
    mutant::{Mutant, broken},
    spec::UnitIx,
    unit::State,
};
use crate::Timestamp;

impl Book {
    /// Goes on to an instant, which is not before the last: all that is due by then happens first.
    pub fn advance(&mut self, now: Timestamp) {
        self.now = now.max(self.now);
        if let Some(asked) = &mut self.chooser {
            asked.begin();
        }
        let mut leases: BTreeMap<SpecId, Vec<UnitKey>> = BTreeMap::new();
        let (mut workers, mut locks, mut connections) = (Vec::new(), Vec::new(), Vec::new());
        while self.timers.first().is_some_and(|(at, _)| *at <= self.now) {
            let (at, timer) = self.timers.pop_first().expect("there is a first");
            match timer {
                Timer::Unit(spec, ix) => self.unit_due(at, spec, ix, &mut leases),
                // An older one, if the spec was set otherwise since: then it only looks.
                Timer::Makes(_) => self.opened = true,
                Timer::Worker(worker) => workers.push(worker),
                Timer::Lock(path) => locks.push(path),
                Timer::Receipt(connection) => connections.push(connection),
            }
        }
        for (spec, keys) in leases {
            if !broken(Mutant::LeasesLiveOn) {
                self.emit(Fact::UnitsExpired { spec, keys });
            }
        }
        // After their leases: who is gone believes nothing.
        for worker in workers {
            self.emit(Fact::WorkerGone { worker });
        }
        if !locks.is_empty() {
            self.emit(Fact::Unlocked { paths: locks });
        }
        let receipts: Vec<ReceiptId> =
            connections.into_iter().flat_map(|connection| self.receipts_due(connection)).collect();
        if !receipts.is_empty() {
            self.emit(Fact::ReceiptsDropped { receipts });
        }
    }

    fn unit_due(&mut self, at: Timestamp, id: SpecId, ix: UnitIx, leases: &mut BTreeMap<SpecId, Vec<UnitKey>>) {
        // Gone with many others, and perhaps another has its place.
        let Some(unit) = self.specs.get(&id).and_then(|spec| spec.try_unit(ix)) else { return };
        match unit.state {
            State::Pending { until, .. } if until == at => leases.entry(id).or_default().push(unit.key.clone()),
            State::Available { not_before } if not_before == at => {
                // Not a fact: it follows from the time.
                self.spec_mut(id).make_ready(ix);
                self.refresh(id);
            }
            State::Pending { .. } | State::Available { .. } | State::Ended { .. } => {}
        }
    }
}
