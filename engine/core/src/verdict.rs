//! What a policy answers in the middle of a job's life, as core understands it (SEMANTICS: `after-attempt`,
//! `unmatched`, limits and affinity of `place`). The contract for plugins is in `wit/`; the host converts.

use std::{sync::Arc, time::Duration};

use crate::PropertySet;

/// Why an attempt gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AttemptReason {
    /// The bot reported an error.
    Reported,
    /// The bot's session ended, or it gave the lease up.
    BotLost,
    /// It took longer than its execution timeout.
    Timeout,
    /// The command ran and failed: there is a result.
    CommandFailed,
}

/// What becomes of a job after an attempt that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What becomes of the job.
    pub action: AttemptAction,
    /// For how long the bot gets no work; zero: it is not to blame.
    pub quarantine: Duration,
}

/// What becomes of the job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptAction {
    /// It is tried again, at its old place.
    Retry {
        /// After this time; zero: at once.
        after: Duration,
        /// Not on a bot that failed it, as long as another may take it.
        elsewhere: bool,
        /// What a bot must offer from now on; `None`: as before.
        requirements: Option<PropertySet>,
        /// Whether the attempt that failed counts towards the limit.
        counts: bool,
    },
    /// It fails with the report's code, and this explanation beside the report's message.
    Fail {
        /// At most 1 024 bytes, for the client.
        message: Arc<str>,
    },
    /// It ends as the bot reported it.
    Complete,
}

/// A bound on jobs that run or wait at a time, counted under a name within an instance. The default bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The counter's name, 1 to 256 bytes.
    pub name: Arc<str>,
    /// The most that may run at a time.
    pub max_running: Option<u32>,
    /// The most that may wait; more are refused.
    pub max_queued: Option<u32>,
    /// While fewer run, its jobs go before jobs that have no such claim.
    pub min_running: u32,
    /// While fewer run than `min_running` and a job of it has waited this long, an attempt of another counter's job is
    /// evicted for it. At least a second; `None`: nobody is evicted for it.
    pub evict_after: Option<Duration>,
    /// For so long each eviction of one of its own jobs makes `max_running` smaller by one, but not smaller than
    /// `min_running`; zero: it makes no difference.
    pub cool_down: Duration,
}

/// How a counter stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitState {
    /// Its name and its bounds.
    pub limit: Arc<Limit>,
    /// Jobs with a bot.
    pub running: u32,
    /// Jobs that are not over and not with a bot, whatever they wait for.
    pub waiting: u32,
    /// Evictions of its jobs that make it smaller now.
    pub cooling: u32,
}

impl Limit {
    /// The most that may run while so many evictions make it smaller.
    pub(crate) fn max_while(&self, cooling: u32) -> Option<u32> {
        self.max_running.map(|max| max.saturating_sub(cooling).max(self.min_running.min(max)))
    }
}

impl std::fmt::Display for LimitState {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { limit, running, waiting, cooling } = self;
        write!(out, "limit {}: {running} running", limit.name)?;
        limit.max_while(*cooling).map_or(Ok(()), |max| write!(out, " of at most {max}"))?;
        if limit.max_while(*cooling) != limit.max_running {
            write!(out, " for a while after {cooling} evictions")?;
        }
        write!(out, ", {waiting} waiting")?;
        limit.max_queued.map_or(Ok(()), |max| write!(out, " of at most {max}"))
    }
}

/// A wish for a bot that served a job with the same key lately.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affinity {
    /// The key, 1 to 256 bytes.
    pub key: Arc<str>,
    /// What it is worth.
    pub weight: u32,
    /// How long the job waits for such a bot while only others ask, at most 10 s.
    pub wait: Duration,
}
