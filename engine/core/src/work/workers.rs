//! Workers: who lives, whose child it is, and what it has.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rustc_hash::FxHashMap;

use super::{
    Book, DAY_S, Fact, Heartbeat, Lifetime, Refusal, SpecId, Timer, Value, WorkerId, WorkerInfo, WorkerStats,
    mutant::{Mutant, broken},
    spec::UnitIx,
};
use crate::Timestamp;

/// A heartbeat that says nothing new is kept on disk once in so long. What a restart finds may be older by this, and
/// gets as much time more.
pub(super) const KEPT_EVERY: Duration = Duration::from_secs(60);

/// Lifetimes in place of such that make no sense.
const LIFETIME_OF_NEGATIVE: Duration = Duration::from_secs(300);
const LIFETIME_OF_LONG: Duration = Duration::from_secs(3600);

#[derive(Debug, Default)]
pub(super) struct Workers {
    records: BTreeMap<WorkerId, Worker>,
    /// By parent.
    children: BTreeMap<WorkerId, BTreeSet<WorkerId>>,
    children_count: u64,
    /// Units that are pending, by who has them. He need not have sent a heartbeat.
    pub(super) held: UnitsByWorker,
    /// Units by who lost them and was not heard of since.
    pub(super) lost: UnitsByWorker,
}

/// What is known of a worker.
#[derive(Clone, Debug)]
struct Worker {
    mode: Value,
    data: Value,
    parent: Option<WorkerId>,
    lifetime: Duration,
    /// What the row says of the last heartbeat.
    kept_at: Timestamp,
    /// The last heartbeat, and when the worker is forgotten without another. Lost by a restart.
    seen: Timestamp,
    until: Timestamp,
}

impl Workers {
    pub(super) fn children_of(&self, parent: &WorkerId) -> impl Iterator<Item = &WorkerId> {
        self.children.get(parent).into_iter().flatten()
    }
}

impl Book {
    /// A worker lives. What it tells replaces what it told before.
    pub fn heartbeat(&mut self, beat: Heartbeat) -> Lifetime {
        let Heartbeat { worker, mode, expire_s, data, parent } = beat;
        let (lifetime, verdict) = lifetime(expire_s);
        let parent = parent.filter(|parent| !parent.as_bytes().is_empty());
        let now = self.now;
        let known = self.workers.records.get_mut(&worker).filter(|record| {
            record.mode == mode
                && (record.data == data || broken(Mutant::HeartbeatDataLost))
                && record.parent == parent
                && record.lifetime == lifetime
        });
        let is_news = known.is_none();
        if let Some(record) = known
            && now < record.kept_at.after(KEPT_EVERY)
        {
            let was = std::mem::replace(&mut record.until, now.after(lifetime));
            record.seen = now;
            let until = record.until;
            if was != until {
                self.timers.remove(&(was, Timer::Worker(worker.clone())));
                self.timers.insert((until, Timer::Worker(worker)));
            }
            return verdict;
        }
        self.emit(Fact::WorkerSeen { worker, mode, data, parent, lifetime, at: now, is_news });
        verdict
    }

    /// A worker signs off. Its units stay its own until their leases end.
    pub fn unregister(&mut self, worker: &WorkerId) -> Result<(), Refusal> {
        if !self.workers.records.contains_key(worker) {
            return Err(Refusal::NoWorker(worker.clone()));
        }
        self.emit(Fact::WorkerGone { worker: worker.clone() });
        Ok(())
    }

    /// Each worker and its mode, by name.
    pub fn worker_modes(&self) -> Vec<(WorkerId, Value)> {
        self.workers.records.iter().map(|(worker, record)| (worker.clone(), record.mode.clone())).collect()
    }

    /// What a worker told last.
    pub fn worker_info(&self, worker: &WorkerId) -> Option<WorkerInfo> {
        let record = self.workers.records.get(worker)?;
        Some(WorkerInfo {
            data: record.data.clone(),
            mode: record.mode.clone(),
            parent: record.parent.clone(),
            age: self.now.since(record.seen),
            expires: record.until,
        })
    }

    /// How many workers there are.
    pub fn worker_stats(&self) -> WorkerStats {
        WorkerStats { workers: self.workers.records.len() as u64, children: self.workers.children_count }
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one fact, and until when it holds")]
    pub(super) fn worker_seen(
        &mut self,
        worker: &WorkerId,
        mode: &Value,
        data: &Value,
        parent: Option<&WorkerId>,
        lifetime: Duration,
        at: Timestamp,
        until: Timestamp,
    ) {
        self.worker_left(worker);
        let record = Worker {
            mode: mode.clone(),
            data: data.clone(),
            parent: parent.cloned(),
            lifetime,
            kept_at: at,
            seen: at,
            until,
        };
        self.workers.records.insert(worker.clone(), record);
        if let Some(parent) = parent {
            self.workers.children.entry(parent.clone()).or_default().insert(worker.clone());
            self.workers.children_count += 1;
        }
        self.timers.insert((until, Timer::Worker(worker.clone())));
    }

    pub(super) fn worker_gone(&mut self, worker: &WorkerId) {
        self.worker_left(worker);
        drop(self.workers.lost.take(worker));
    }

    /// What a row says of a worker.
    pub(super) fn row_of_worker(&self, worker: &WorkerId) -> Option<super::WorkerRow> {
        let record = self.workers.records.get(worker)?;
        Some(super::WorkerRow {
            worker: worker.clone(),
            mode: record.mode.clone(),
            data: record.data.clone(),
            parent: record.parent.clone(),
            lifetime: record.lifetime,
            at: record.kept_at,
        })
    }

    fn worker_left(&mut self, worker: &WorkerId) {
        let Some(record) = self.workers.records.remove(worker) else { return };
        self.timers.remove(&(record.until, Timer::Worker(worker.clone())));
        let Some(parent) = record.parent else { return };
        self.workers.children_count -= 1;
        let siblings = self.workers.children.get_mut(&parent).expect("a child stands with its parent");
        siblings.remove(worker);
        if siblings.is_empty() {
            self.workers.children.remove(&parent);
        }
    }
}

fn lifetime(seconds: f64) -> (Duration, Lifetime) {
    if seconds > DAY_S {
        (LIFETIME_OF_LONG, Lifetime::WasTooLong)
    } else if seconds >= 0.0 {
        (Duration::from_secs_f64(seconds), Lifetime::AsAsked)
    } else {
        (LIFETIME_OF_NEGATIVE, Lifetime::WasNegative)
    }
}

/// Which units belong to whom.
#[derive(Debug, Default)]
pub(super) struct UnitsByWorker(FxHashMap<WorkerId, BTreeSet<(SpecId, UnitIx)>>);

impl UnitsByWorker {
    pub(super) fn insert(&mut self, worker: &WorkerId, spec: SpecId, ix: UnitIx) {
        match self.0.get_mut(worker) {
            Some(units) => drop(units.insert((spec, ix))),
            None => drop(self.0.insert(worker.clone(), BTreeSet::from([(spec, ix)]))),
        }
    }

    pub(super) fn remove(&mut self, worker: &WorkerId, spec: SpecId, ix: UnitIx) {
        let Some(units) = self.0.get_mut(worker) else { return };
        units.remove(&(spec, ix));
        if units.is_empty() {
            self.0.remove(worker);
        }
    }

    /// Of which specs there are units.
    pub(super) fn specs(&self) -> impl Iterator<Item = SpecId> + '_ {
        self.0.values().flatten().map(|(spec, _)| *spec)
    }

    pub(super) fn take(&mut self, worker: &WorkerId) -> BTreeSet<(SpecId, UnitIx)> {
        self.0.remove(worker).unwrap_or_default()
    }

    pub(super) fn of(&self, worker: &WorkerId) -> impl Iterator<Item = (SpecId, UnitIx)> + '_ {
        self.0.get(worker).into_iter().flatten().copied()
    }
}
