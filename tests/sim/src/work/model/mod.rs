//! Coordinate's semantics, written to be obvious. Slow on purpose: nothing is remembered that can be counted.

mod get;
mod locks;
mod receipts;
mod specs;
mod units;
mod update;
mod workers;

use std::{collections::BTreeMap, time::Duration};

use berth_core::{
    Timestamp,
    work::{
        LockPath, Locker, Priority, Refusal, Rules, SpecMeta, SpecName, SpecSettings, UnitCounts, UnitKey, UnitState,
        UnitView, Value, WorkerId,
    },
};

use super::{
    hearer::heard,
    scene::{WORKERS, all_paths},
};

/// After a restart nothing runs out sooner.
const GRACE: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone)]
pub(super) struct Model {
    rules: Rules,
    now: Timestamp,
    specs: BTreeMap<SpecName, Spec>,
    workers: BTreeMap<WorkerId, Worker>,
    locks: BTreeMap<LockPath, (Locker, Timestamp)>,
    receipts: Vec<receipts::Receipt>,
    /// Specs that were ever made.
    made: u64,
}

#[derive(Clone)]
struct Spec {
    settings: SpecSettings,
    meta: SpecMeta,
    next_continuous: Timestamp,
    archived_finished: u64,
    archived_failed: u64,
    /// Which of all specs it is: a name may come again.
    made: u64,
    units: BTreeMap<UnitKey, Unit>,
}

#[derive(Clone)]
struct Unit {
    data: Value,
    priority: f64,
    attempts: u32,
    state: State,
    /// Workers whose lease was taken from them without their knowing.
    lost_by: Vec<WorkerId>,
}

#[derive(Clone)]
enum State {
    Available { not_before: Timestamp },
    Pending { worker: Option<WorkerId>, until: Timestamp },
    Finished { at: Timestamp, worker: Option<WorkerId> },
    Failed { at: Timestamp, worker: Option<WorkerId>, too_often: bool },
}

#[derive(Clone)]
struct Worker {
    mode: Value,
    data: Value,
    parent: Option<WorkerId>,
    lifetime: Duration,
    /// When something new was heard, or a minute had passed: what is surely on disk.
    kept: Timestamp,
    seen: Timestamp,
    until: Timestamp,
}

impl Model {
    pub(super) fn new(rules: Rules, now: Timestamp) -> Self {
        Self {
            rules,
            now,
            specs: BTreeMap::new(),
            workers: BTreeMap::new(),
            locks: BTreeMap::new(),
            receipts: Vec::new(),
            made: 0,
        }
    }

    pub(super) fn advance(&mut self, now: Timestamp) {
        self.now = now;
        for spec in self.specs.values_mut() {
            for unit in spec.units.values_mut() {
                if let State::Pending { worker, until } = unit.state.clone()
                    && until <= now
                {
                    unit.state = State::Available { not_before: Timestamp(0) };
                    unit.lost_by.extend(worker);
                }
            }
        }
        let gone: Vec<WorkerId> =
            self.workers.iter().filter(|(_, worker)| worker.until <= now).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|worker| self.forget_worker(worker));
        self.locks.retain(|_, (_, until)| *until > now);
        self.receipts_wait(now);
    }

    /// Another process, some time later.
    pub(super) fn restart(&mut self, now: Timestamp, locks_durable: bool) {
        self.now = now;
        for unit in self.specs.values_mut().flat_map(|spec| spec.units.values_mut()) {
            unit.lost_by.clear();
            if let State::Pending { until, .. } = &mut unit.state {
                *until = (*until).max(now.after(GRACE));
            }
        }
        for worker in self.workers.values_mut() {
            worker.seen = worker.kept;
            worker.until = worker.kept.after(worker.lifetime).after(MINUTE).max(now.after(GRACE));
        }
        if !locks_durable {
            self.locks.clear();
        }
        self.receipts_restored(now);
    }

    /// The same lines as of the book.
    pub(super) fn dump(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, spec) in &self.specs {
            lines.push(format!("{:?} {:?} {:?}", spec.settings, spec.meta, self.count_units(name)));
            lines.extend(spec.units.iter().map(|(key, unit)| format!("{name} {key}: {:?}", Some(unit.view()))));
        }
        lines.push(format!("{:?} {:?}", self.worker_modes(), self.worker_stats()));
        for worker in WORKERS {
            let worker = WorkerId::from(worker);
            let info = self.worker_info(&worker).map(|info| (info.data, info.mode, info.parent, info.expires));
            lines.push(format!("{worker} {info:?} {:?}", self.child_units(&worker)));
        }
        lines.push(format!("{:?}", self.lock_owners(&all_paths())));
        let lock = |(path, (locker, until)): (&_, &(_, _))| format!("{path:?} {locker:?} until {until:?}");
        lines.extend(self.locks.iter().map(lock));
        lines.extend(self.receipt_lines());
        lines
    }

    /// What the event feed must have told by now.
    pub(super) fn told(&self, locks_durable: bool) -> Vec<String> {
        let state = |unit: &Unit| match unit.kind() {
            UnitState::Available => "Available",
            UnitState::Pending => "Pending",
            UnitState::Finished => "Finished",
            UnitState::Failed => "Failed",
        };
        let units = |spec: &Spec| spec.units.iter().map(|(key, unit)| (key.as_bytes().to_vec(), state(unit))).collect();
        let specs = self.specs.iter().map(|(name, spec)| (name.as_bytes().to_vec(), units(spec))).collect();
        let workers = self.workers.keys().map(|worker| worker.as_bytes().to_vec()).collect();
        heard(&specs, &workers, locks_durable.then_some(self.locks.len()))
    }

    fn find(&self, name: &SpecName) -> Result<&Spec, Refusal> {
        self.specs.get(name).ok_or_else(|| Refusal::NoSpec(name.clone()))
    }

    fn find_mut(&mut self, name: &SpecName) -> Result<&mut Spec, Refusal> {
        self.specs.get_mut(name).ok_or_else(|| Refusal::NoSpec(name.clone()))
    }
}

impl Spec {
    fn count(&self, state: UnitState) -> u64 {
        self.units.values().filter(|unit| unit.kind() == state).count() as u64
    }

    fn counts(&self) -> UnitCounts {
        let mut counts = UnitState::ALL.map(|state| self.count(state));
        counts[2] += self.archived_finished;
        counts[3] += self.archived_failed;
        UnitCounts(counts)
    }
}

impl Unit {
    fn kind(&self) -> UnitState {
        match self.state {
            State::Available { .. } => UnitState::Available,
            State::Pending { .. } => UnitState::Pending,
            State::Finished { .. } => UnitState::Finished,
            State::Failed { .. } => UnitState::Failed,
        }
    }

    fn shown(&self) -> Value {
        match self.state {
            // {"traceback": "too many retries"}, with byte strings.
            State::Failed { too_often: true, .. } => {
                let mut map = vec![0xa1, 0x49];
                map.extend(b"traceback");
                map.push(0x50);
                map.extend(b"too many retries");
                map.into()
            }
            _ => self.data.clone(),
        }
    }

    fn view(&self) -> UnitView {
        let (expiration, worker) = match &self.state {
            State::Available { .. } => (None, None),
            State::Pending { worker, until } => (Some(*until), worker.clone()),
            State::Finished { at, worker } | State::Failed { at, worker, .. } => (Some(*at), worker.clone()),
        };
        UnitView {
            state: self.kind(),
            expiration,
            worker,
            data: self.shown(),
            attempts: self.attempts,
            priority: Priority::new(self.priority),
        }
    }
}
