//! The clock of the storage: when a blob was touched. A port, so that tests say what time it is.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Tells the time in milliseconds since 1970. It must never step back while the process runs.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now_ms(&self) -> u64;
}

/// Wall time at the start plus what a monotonic clock says has gone by: touch times survive a restart, and a
/// stepped wall clock makes no blob old at once.
#[derive(Debug)]
pub struct SystemClock {
    start_ms: u64,
    started: Instant,
}

impl SystemClock {
    /// Reads the wall clock, this once.
    pub fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start_ms: millis(since_epoch.as_millis()), started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        self.start_ms + millis(self.started.elapsed().as_millis())
    }
}

fn millis(wide: u128) -> u64 {
    u64::try_from(wide).unwrap_or(u64::MAX / 2)
}
