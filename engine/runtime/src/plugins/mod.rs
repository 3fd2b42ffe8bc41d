//! What the engine lends to plugins beside the questions: tables of their own, figures, and the event feed.
//!
//! [`kv`] is a plugin's durable table, [`stats`] what the engine counts, [`events`] what happened, as the contract
//! tells it. Not for questions of policy: those are [`crate::policy`]. The plugin host reads these through
//! [`Desk`] and listens as an [`EventsConsumer`].

pub mod events;
pub mod kv;
pub mod stats;

use std::sync::{Arc, OnceLock};

pub use self::{
    events::{Change, ConsumerError, EventsConsumer, FeedEvent},
    kv::{KvEntry, KvError, KvLimits, KvSnapshot, KvTransaction, KvView},
    stats::{Learnt, Load, StatsView},
};

/// Where a guest's imports are served. Everything is kept per partition; the instance name says which one.
pub trait Desk: Send + Sync + 'static {
    /// What a plugin has kept, as of now. The name is the plugin's, or that of the shadow of an observed version.
    /// Empty if it never kept anything.
    fn kv(&self, instance: &str, plugin: &str) -> KvSnapshot;

    /// What the engine counts.
    fn stats(&self, instance: &str) -> Arc<dyn StatsView>;
}

/// Nothing was ever kept, and nothing is counted: for tests, and where no partition is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyDesk;

impl Desk for EmptyDesk {
    fn kv(&self, _: &str, _: &str) -> KvSnapshot {
        KvSnapshot::default()
    }

    fn stats(&self, _: &str) -> Arc<dyn StatsView> {
        Arc::new(stats::NoStats)
    }
}

/// A desk that opens later: plugins are loaded before the engine is there. Until then it is empty.
#[derive(Default)]
pub struct LateDesk(OnceLock<Arc<dyn Desk>>);

impl LateDesk {
    /// From now on the guests' imports are served here. Of several the first counts.
    pub fn open(&self, desk: Arc<dyn Desk>) {
        // There is one engine in a process, so there is one desk.
        let _ = self.0.set(desk);
    }
}

impl Desk for LateDesk {
    fn kv(&self, instance: &str, plugin: &str) -> KvSnapshot {
        self.0.get().map_or_else(KvSnapshot::default, |desk| desk.kv(instance, plugin))
    }

    fn stats(&self, instance: &str) -> Arc<dyn StatsView> {
        self.0.get().map_or_else(|| EmptyDesk.stats(instance), |desk| desk.stats(instance))
    }
}
