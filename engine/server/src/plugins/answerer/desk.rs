//! Tables and figures as a case says.

use std::sync::{Arc, Mutex, PoisonError};

use berth_policy_cases::Surroundings;
use berth_runtime::plugins::{Desk, KvSnapshot, Learnt, Load, StatsView};

/// Set before each case.
#[derive(Default)]
pub(super) struct CaseDesk(Mutex<Around>);

#[derive(Clone, Default)]
struct Around {
    table: KvSnapshot,
    figures: Arc<Figures>,
}

impl CaseDesk {
    /// What the plugin finds from now on.
    pub(super) fn set(&self, surroundings: &Surroundings) {
        let mut table = KvSnapshot::default();
        for (key, value) in &surroundings.kv {
            table.set(&key.as_str().into(), &value.0.clone().into());
        }
        let figures = Arc::new(Figures(surroundings.stats.clone()));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Around { table, figures };
    }

    pub(super) fn table(&self) -> KvSnapshot {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).table.clone()
    }
}

impl Desk for CaseDesk {
    fn kv(&self, _: &str, _: &str) -> KvSnapshot {
        self.table()
    }

    fn stats(&self, _: &str) -> Arc<dyn StatsView> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).figures.clone()
    }
}

#[derive(Default)]
struct Figures(berth_policy_cases::Stats);

fn load(loads: &[berth_policy_cases::Load], instance: &str, name: &str) -> Load {
    let found = loads.iter().find(|load| load.instance == instance && load.name == name);
    found.map_or_else(Load::default, |load| Load { queued: load.queued, running: load.running })
}

impl StatsView for Figures {
    fn of_lane(&self, instance: &str, lane: &str) -> Load {
        load(&self.0.lanes, instance, lane)
    }

    fn of_label(&self, instance: &str, label: &str) -> Load {
        load(&self.0.labels, instance, label)
    }

    fn of_tenant(&self, instance: &str, tenant: &str) -> Load {
        load(&self.0.tenants, instance, tenant)
    }

    fn history_of(&self, key: &str) -> Option<Learnt> {
        let known = self.0.history.iter().find(|history| history.key == key)?;
        Some(Learnt {
            samples: known.samples,
            mean_ms: known.mean_ms,
            p50_ms: known.p50_ms,
            p90_ms: known.p90_ms,
            max_ms: known.max_ms,
            peak_memory_bytes: known.peak_memory_bytes,
            failures: known.failures,
        })
    }
}
