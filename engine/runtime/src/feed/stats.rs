//! The engine's own consumer of the feed: counts of jobs in memory, and what is learnt of jobs in a durable table.
//!
//! The table is one like a plugin's, under a name that no plugin has: so each job is learnt from exactly once, and it
//! is bounded by dropping the keys that were used the longest ago.

use std::sync::{Arc, Mutex, MutexGuard};

use berth_proto::store as pb;
use prost::Message;

use super::{
    figures::{Figures, Kind},
    learn, lookup,
};
use crate::{
    Engine, EngineError,
    plugins::{
        events::{Change, ConsumerError, EventsConsumer, FeedEvent},
        kv::{KvLimits, KvSnapshot, KvTransaction, KvView},
        stats::{Learnt, Load, StatsView},
    },
};

/// The name of its table and place.
pub(crate) const NAME: &str = "@stats";

/// Keys that are kept at most.
const KEYS_MAX: usize = 65_536;

/// How many go at once, so that the whole table is looked at seldom.
const KEYS_DROPPED: usize = 4_096;

/// Jobs of the book that are looked at in one go.
const JOBS_A_LOOK: usize = 1_024;

/// Bounds of its table: the longest history key is that of the contract.
pub(crate) const LIMITS: KvLimits = KvLimits { key_bytes_max: 1_024, value_bytes_max: 4 << 10, bytes_max: 256 << 20 };

/// Counts jobs and learns from them.
#[derive(Debug, Default)]
pub struct Stats {
    figures: Mutex<Figures>,
    /// Events before this position are in the figures already: they were taken from the book later.
    counted_from: u64,
}

impl Stats {
    /// Begins with what is in the book. Waits until all of it is loaded.
    pub async fn begin(engine: &Engine) -> Result<Self, EngineError> {
        let (store, partition) = (engine.history().store().clone(), engine.history().partition());
        let counted_from = store.next_sequence(partition)?;
        let stats = Self { figures: Mutex::default(), counted_from };
        let mut from = Some(0);
        while let Some(place) = from {
            let (jobs, next) = engine.read(move |book| book.jobs_from(place, JOBS_A_LOOK)).await?;
            from = next;
            let store = store.clone();
            let ids: Vec<_> = jobs.iter().map(|job| job.job).collect();
            let who = tokio::task::spawn_blocking(move || lookup::who(&*store, partition, &ids)).await;
            let mut who = who.map_err(|_| EngineError::Stopping)??;
            let mut figures = lock(&stats.figures);
            for job in jobs.into_iter().filter(|job| !matches!(job.stage, berth_core::Stage::Completed(_))) {
                let tenant = who.remove(&job.job).unwrap_or_default().tenant;
                let kind = Kind { instance: job.instance.0, lane: job.lane.0, label: job.label, tenant };
                figures.put(job.job, kind, job.lease.is_some());
            }
        }
        Ok(stats)
    }
}

impl EventsConsumer for Stats {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        let mut figures = lock(&self.figures);
        events.iter().filter(|event| event.sequence >= self.counted_from).for_each(|event| figures.hear(event));
        drop(figures);
        for event in events {
            if let Change::JobCompleted(completed) = &event.change
                && let Some(lesson) = &completed.lesson
            {
                let mut row = read(kv, &lesson.history).unwrap_or_default();
                learn::learn(&mut row, lesson, completed.ran_ms, event.sequence);
                // A key that does not fit is not learnt of: nothing depends on it.
                let _ = kv.set(&lesson.history, &row.encode_to_vec());
            }
        }
        drop_oldest(kv, KEYS_MAX, KEYS_DROPPED);
        Ok(())
    }
}

/// The figures as of now.
pub(crate) struct StatsNow {
    pub(crate) stats: Option<Arc<Stats>>,
    pub(crate) table: KvSnapshot,
}

impl StatsNow {
    fn load(&self, look: impl FnOnce(&Figures) -> Load) -> Load {
        self.stats.as_ref().map_or_else(Load::default, |stats| look(&lock(&stats.figures)))
    }
}

impl StatsView for StatsNow {
    fn of_lane(&self, instance: &str, lane: &str) -> Load {
        self.load(|figures| figures.of_lane(instance, lane))
    }

    fn of_label(&self, instance: &str, label: &str) -> Load {
        self.load(|figures| figures.of_label(instance, label))
    }

    fn of_tenant(&self, instance: &str, tenant: &str) -> Load {
        self.load(|figures| figures.of_tenant(instance, tenant))
    }

    fn history_of(&self, key: &str) -> Option<Learnt> {
        read(&self.table, key).map(|row| learn::summary(&row))
    }
}

/// A row that cannot be read is as good as none: it is learnt anew.
fn read(table: &impl KvView, key: &str) -> Option<pb::Learnt> {
    table.get(key).and_then(|row| pb::Learnt::decode(row).ok())
}

/// Keeps the table within its bound.
fn drop_oldest(kv: &mut KvTransaction, max: usize, dropped: usize) {
    if kv.rows() <= max {
        return;
    }
    let table = kv.outcome();
    let used = |row: &bytes::Bytes| pb::Learnt::decode(row.clone()).map_or(0, |row| row.used);
    let mut keys: Vec<_> = table.entries().map(|(key, row)| (used(row), key)).collect();
    keys.sort_unstable();
    let count = keys.len() - max + dropped;
    for (_, key) in keys.into_iter().take(count) {
        kv.delete(key).expect("a transaction can be written");
    }
}

fn lock(figures: &Mutex<Figures>) -> MutexGuard<'_, Figures> {
    figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_that_were_used_last_are_kept() {
        let mut table = KvSnapshot::default();
        for number in 0..20_u64 {
            let row = pb::Learnt { used: number * 7 % 20, ..Default::default() };
            table.set(&format!("{number}").into(), &row.encode_to_vec().into());
        }
        let mut kv = KvTransaction::new(table, LIMITS);
        drop_oldest(&mut kv, 20, 5);
        assert_eq!(kv.rows(), 20);
        kv.set("new", &pb::Learnt { used: 100, ..Default::default() }.encode_to_vec()).unwrap();
        drop_oldest(&mut kv, 20, 5);
        let mut used: Vec<_> = kv.outcome().entries().map(|(key, _)| read(&kv, key).unwrap().used).collect();
        used.sort_unstable();
        assert_eq!(used, (6..20).chain([100]).collect::<Vec<_>>());
    }
}
