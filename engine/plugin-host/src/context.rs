//! What all instances of a plugin share: who it is, what it may use, and what its imports are served from.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use berth_core::Timestamp;

use crate::figures::Figures;
use crate::limits::PluginLimits;
use crate::services::Services;

/// Which plugin this is, for logs and errors.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
}

/// See the head of the file.
pub(crate) struct Context {
    pub(crate) identity: Identity,
    /// Whose rows it sees in `kv`: its own name, or that of its shadow while it is only observed.
    pub(crate) table: String,
    pub(crate) limits: PluginLimits,
    pub(crate) services: Services,
    /// A JSON object.
    pub(crate) config: String,
    pub(crate) figures: Figures,
    pub(crate) lines: Lines,
}

/// Counts messages of the running second.
#[derive(Default)]
pub(crate) struct Lines {
    /// Seconds in the upper half, messages in the lower.
    window: AtomicU64,
    dropped: AtomicU64,
}

impl Lines {
    /// Whether one more may be written. Two threads that meet at the turn of a second may write a few more.
    pub(crate) fn take(&self, now: Timestamp, per_second_max: u32) -> bool {
        let second = (now.0 / 1_000_000) << 32;
        let before = self.window.load(Relaxed);
        let written = if before >> 32 == second >> 32 { before & u64::from(u32::MAX) } else { 0 };
        if written >= u64::from(per_second_max) {
            self.dropped.fetch_add(1, Relaxed);
            return false;
        }
        self.window.store(second | (written + 1), Relaxed);
        true
    }

    /// Messages that were not written.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_so_many_messages_and_the_next_one_too() {
        let lines = Lines::default();
        let at = |second: u64| Timestamp(second * 1_000_000 + 7);
        let written = |second| (0..10).filter(|_| lines.take(at(second), 3)).count();
        assert_eq!((written(5), written(5), written(6)), (3, 0, 3));
        assert_eq!(lines.dropped(), 24);
    }
}
