//! What the engine counts and learns of jobs, as plugins may read it: figures of a moment ago.
//!
//! Enough to order and to estimate, not to enforce: limits are counted in core.

/// How many jobs are where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Jobs that wait.
    pub queued: u32,
    /// Jobs that a bot has.
    pub running: u32,
}

/// What was learnt of jobs with the same history key. Old ones weigh less and less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Learnt {
    /// Finished jobs that it tells of.
    pub samples: u32,
    /// How long they ran on average, in milliseconds.
    pub mean_ms: u64,
    /// Half of them were faster.
    pub p50_ms: u64,
    /// Nine of ten were faster.
    pub p90_ms: u64,
    /// The slowest.
    pub max_ms: u64,
    /// The most memory that one was seen to use; 0: no bot said.
    pub peak_memory_bytes: u64,
    /// How many of the last 16 failed.
    pub failures: u32,
}

/// Reads of what is counted in one partition. Never waits for anything long.
pub trait StatsView: Send + Sync {
    /// Jobs of a lane.
    fn of_lane(&self, instance: &str, lane: &str) -> Load;

    /// Jobs with a label.
    fn of_label(&self, instance: &str, label: &str) -> Load;

    /// Jobs of a tenant.
    fn of_tenant(&self, instance: &str, tenant: &str) -> Load;

    /// What is known of jobs with this history key.
    fn history_of(&self, key: &str) -> Option<Learnt>;
}

/// Nothing is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoStats;

impl StatsView for NoStats {
    fn of_lane(&self, _: &str, _: &str) -> Load {
        Load::default()
    }

    fn of_label(&self, _: &str, _: &str) -> Load {
        Load::default()
    }

    fn of_tenant(&self, _: &str, _: &str) -> Load {
        Load::default()
    }

    fn history_of(&self, _: &str) -> Option<Learnt> {
        None
    }
}
