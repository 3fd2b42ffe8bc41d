//! Remembers the faults of a plugin, and decides when it has made too many.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use berth_core::Timestamp;

use crate::fault::{Fault, FaultKind};
use crate::instance::cut;
use crate::stats::Function;

/// As many faults are kept to be shown.
const KEPT_MAX: usize = 16;
const DETAILS_BYTES_MAX: usize = 1024;

/// One fault, to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultRecord {
    /// When it happened.
    pub at: Timestamp,
    /// What was asked.
    pub function: Function,
    /// What kind it was.
    pub kind: FaultKind,
    /// What exactly, for a person to read.
    pub details: String,
}

#[derive(Default)]
pub(crate) struct Guard {
    quarantined: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Faults that count, within the window.
    window: VecDeque<Timestamp>,
    /// The last ones, whatever they count.
    kept: VecDeque<FaultRecord>,
}

impl Guard {
    /// Whether the plugin must not be asked.
    pub(crate) fn is_quarantined(&self) -> bool {
        self.quarantined.load(Relaxed)
    }

    /// Keeps a fault. True: it was one too many, and the plugin is in quarantine from now on.
    pub(crate) fn note(&self, at: Timestamp, function: Function, fault: &Fault, max: u32, window: Duration) -> bool {
        let mut inner = self.lock();
        if inner.kept.len() == KEPT_MAX {
            inner.kept.pop_front();
        }
        let details = cut(&fault.details, DETAILS_BYTES_MAX).to_owned();
        inner.kept.push_back(FaultRecord { at, function, kind: fault.kind, details });
        if max == 0 || fault.kind.is_of_load() {
            return false;
        }
        inner.window.push_back(at);
        while inner.window.front().is_some_and(|first| at.since(*first) > window) {
            inner.window.pop_front();
        }
        inner.window.len() >= max as usize && self.close()
    }

    /// Puts it into quarantine. False: it was there already.
    pub(crate) fn close(&self) -> bool {
        !self.quarantined.swap(true, Relaxed)
    }

    /// Ends the quarantine; earlier faults count no more.
    pub(crate) fn open(&self) {
        self.lock().window.clear();
        self.quarantined.store(false, Relaxed);
    }

    /// The last faults, the newest at the end.
    pub(crate) fn kept(&self) -> Vec<FaultRecord> {
        self.lock().kept.iter().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under this lock.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(guard: &Guard, second: u64, kind: FaultKind) -> bool {
        let fault = Fault { kind, details: "x".to_owned() };
        guard.note(Timestamp(second * 1_000_000), Function::Place, &fault, 3, Duration::from_secs(10))
    }

    #[test]
    fn faults_far_apart_are_forgiven_and_too_many_together_are_not() {
        let guard = Guard::default();
        for second in (0..100).step_by(6) {
            assert!(!note(&guard, second, FaultKind::Trap));
        }
        assert!(!note(&guard, 200, FaultKind::Trap) && !note(&guard, 201, FaultKind::Busy));
        assert!(!note(&guard, 202, FaultKind::Trap) && !guard.is_quarantined());
        assert!(note(&guard, 203, FaultKind::Deadline) && guard.is_quarantined());
        assert!(!note(&guard, 203, FaultKind::Deadline), "it is told once");
        assert_eq!(guard.kept().len(), KEPT_MAX);
        guard.open();
        assert!(!note(&guard, 203, FaultKind::Trap) && !guard.is_quarantined());
    }
}
