//! `get_work`.

use std::time::Duration;

use berth_core::{
    Timestamp,
    work::{Assignment, GetWork, SpecName, UnitKey, UnitState, Value},
};

use super::{Model, Spec, State, Unit};

impl Model {
    pub(crate) fn get_work(&mut self, ask: &GetWork) -> Vec<Assignment> {
        for unit in self.specs.values_mut().flat_map(|spec| spec.units.values_mut()) {
            unit.lost_by.retain(|worker| *worker != ask.worker);
        }
        let until = self.now.after(lease(ask));
        if let Some(again) = self.handed_before(ask, until) {
            return again;
        }
        loop {
            let Some(name) = self.choose(ask) else { return Vec::new() };
            let handed = self.hand_out(&name, ask);
            if !handed.is_empty() {
                if let Some(call) = ask.call {
                    self.keep_handed(call, &ask.worker, &handed);
                }
                return handed;
            }
        }
    }

    fn choose(&self, ask: &GetWork) -> Option<SpecName> {
        let mut able: Vec<(&SpecName, &Spec)> = self.specs.iter().filter(|(_, spec)| self.is_able(spec, ask)).collect();
        let best = able.iter().map(|(_, spec)| spec.settings.priority).max()?;
        able.retain(|(_, spec)| spec.settings.priority == best);
        let weights: i64 = able.iter().map(|(_, spec)| spec.meta.weight).sum();
        let pending: i64 = able.iter().map(|(_, spec)| spec.count(UnitState::Pending) as i64).sum();
        let score = |spec: &Spec| spec.meta.weight * (pending + 1) - weights * spec.count(UnitState::Pending) as i64;
        let mut chosen = able[0];
        for other in &able[1..] {
            if score(other.1) > score(chosen.1) {
                chosen = *other;
            }
        }
        Some(chosen.0.clone())
    }

    fn is_able(&self, spec: &Spec, ask: &GetWork) -> bool {
        let pending = spec.count(UnitState::Pending);
        let named = ask.specs.is_empty() || ask.specs.contains(&spec.settings.name);
        let runs = ask.runtimes.is_empty() || ask.runtimes.contains(&spec.settings.runtime);
        let room = match spec.meta.max_running {
            None | Some(0) => true,
            Some(most) => pending < most,
        };
        let fits = !self.rules.enforce_min_gb || ask.available_gb.is_none_or(|gb| gb >= spec.settings.min_gb);
        let waiting = spec.units.values().any(|unit| self.is_ready(unit));
        let makes = spec.meta.continuous && !waiting && pending == 0 && self.now >= spec.next_continuous;
        !spec.meta.paused && spec.meta.weight > 0 && named && runs && room && fits && (waiting || makes)
    }

    fn is_ready(&self, unit: &Unit) -> bool {
        matches!(unit.state, State::Available { not_before } if not_before <= self.now)
    }

    fn hand_out(&mut self, name: &SpecName, ask: &GetWork) -> Vec<Assignment> {
        let now = self.now;
        let spec = &self.specs[name];
        let mut most = ask.max_jobs.max(1);
        if let Some(limit) = spec.settings.max_getwork.filter(|limit| *limit > 0) {
            most = most.min(limit);
        }
        if let Some(limit) = spec.meta.max_running.filter(|limit| *limit > 0) {
            most = most.min(limit - spec.count(UnitState::Pending));
        }
        let mut queue: Vec<(f64, UnitKey, u32)> = Vec::new();
        for (key, unit) in spec.units.iter().filter(|(_, unit)| self.is_ready(unit)) {
            queue.push((unit.priority, key.clone(), unit.attempts));
        }
        queue.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let nothing_waits = queue.is_empty();

        let spec = self.specs.get_mut(name).expect("it was chosen");
        let mut handed = Vec::new();
        for (_, key, attempts) in queue {
            if handed.len() as u64 == most {
                break;
            }
            let unit = spec.units.get_mut(&key).expect("it was listed");
            if spec.settings.max_retries.is_some_and(|most| most > 0 && attempts >= most) {
                unit.state = State::Failed { at: now, worker: None, too_often: true };
                unit.lost_by.clear();
            } else {
                handed.push(key);
            }
        }
        if nothing_waits {
            let mut micros = now.0;
            let key = loop {
                let key = UnitKey::from(format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000).as_str());
                if !spec.units.contains_key(&key) {
                    break key;
                }
                micros += 1;
            };
            let state = State::Available { not_before: Timestamp(0) };
            let data = Value::from(&[0xa0][..]);
            let made = Unit { data, priority: -1.0, attempts: 0, state, lost_by: Vec::new() };
            spec.units.insert(key.clone(), made);
            spec.next_continuous = now.after(spec.meta.interval.unwrap_or_default());
            handed.push(key);
        }
        let lease = lease(ask);
        let hand = |key: UnitKey| {
            let unit = spec.units.get_mut(&key).expect("it was listed");
            unit.attempts += 1;
            unit.state = State::Pending { worker: Some(ask.worker.clone()), until: now.after(lease) };
            Assignment { spec: name.clone(), key, data: unit.data.clone() }
        };
        handed.into_iter().map(hand).collect()
    }
}

fn lease(ask: &GetWork) -> Duration {
    match ask.lease_s {
        Some(seconds) if (1.0..=86_400.0).contains(&seconds) => Duration::from_secs_f64(seconds),
        _ => Duration::from_secs(300),
    }
}
