//! Workers.

use std::time::Duration;

use berth_core::work::{ChildUnit, Heartbeat, Lifetime, Refusal, Value, WorkerId, WorkerInfo, WorkerStats};

use super::{MINUTE, Model, State, Worker};

impl Model {
    pub(crate) fn heartbeat(&mut self, beat: Heartbeat) -> Lifetime {
        let (seconds, told) = match beat.expire_s {
            seconds if seconds < 0.0 => (300.0, Lifetime::WasNegative),
            seconds if seconds > 86_400.0 => (3_600.0, Lifetime::WasTooLong),
            seconds => (seconds, Lifetime::AsAsked),
        };
        let lifetime = Duration::from_secs_f64(seconds);
        let parent = beat.parent.filter(|parent| *parent != WorkerId::from(""));
        let now = self.now;
        let kept = match self.workers.get(&beat.worker) {
            Some(known)
                if known.mode == beat.mode
                    && known.data == beat.data
                    && known.parent == parent
                    && known.lifetime == lifetime
                    && now < known.kept.after(MINUTE) =>
            {
                known.kept
            }
            _ => now,
        };
        let until = now.after(lifetime);
        let record = Worker { mode: beat.mode, data: beat.data, parent, lifetime, kept, seen: now, until };
        self.workers.insert(beat.worker, record);
        told
    }

    pub(crate) fn unregister(&mut self, worker: &WorkerId) -> Result<(), Refusal> {
        if !self.workers.contains_key(worker) {
            return Err(Refusal::NoWorker(worker.clone()));
        }
        self.forget_worker(worker);
        Ok(())
    }

    pub(super) fn forget_worker(&mut self, worker: &WorkerId) {
        self.workers.remove(worker);
        for unit in self.specs.values_mut().flat_map(|spec| spec.units.values_mut()) {
            unit.lost_by.retain(|loser| loser != worker);
        }
    }

    pub(crate) fn worker_modes(&self) -> Vec<(WorkerId, Value)> {
        self.workers.iter().map(|(id, worker)| (id.clone(), worker.mode.clone())).collect()
    }

    pub(crate) fn worker_info(&self, worker: &WorkerId) -> Option<WorkerInfo> {
        let known = self.workers.get(worker)?;
        Some(WorkerInfo {
            data: known.data.clone(),
            mode: known.mode.clone(),
            parent: known.parent.clone(),
            age: self.now.since(known.seen),
            expires: known.until,
        })
    }

    pub(crate) fn worker_stats(&self) -> WorkerStats {
        let children = self.workers.values().filter(|worker| worker.parent.is_some()).count();
        WorkerStats { workers: self.workers.len() as u64, children: children as u64 }
    }

    pub(crate) fn child_units(&self, parent: &WorkerId) -> Vec<(WorkerId, Vec<ChildUnit>)> {
        let children = self.workers.iter().filter(|(_, worker)| worker.parent.as_ref() == Some(parent));
        children.map(|(child, _)| (child.clone(), self.units_of(child))).collect()
    }

    fn units_of(&self, child: &WorkerId) -> Vec<ChildUnit> {
        let mut units = Vec::new();
        for (name, spec) in &self.specs {
            for (key, unit) in &spec.units {
                let (worker, expires) = match &unit.state {
                    State::Pending { worker, until } => (worker.clone(), Some(*until)),
                    _ => (None, None),
                };
                if worker.as_ref() == Some(child) || unit.lost_by.contains(child) {
                    units.push(ChildUnit { spec: name.clone(), key: key.clone(), data: unit.shown(), worker, expires });
                }
            }
        }
        units
    }
}
