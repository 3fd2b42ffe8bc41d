//! Instances for the thread that runs the steps: made ahead on a thread of their own, because a guest's start may take
//! long, and that thread must not wait.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::host::Host;
use crate::instance::Live;
use crate::pool::Pool;

/// Room for one instance that nobody uses yet.
#[derive(Clone, Default)]
pub(crate) struct Spare(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ready: Mutex<Option<Live>>,
    making: AtomicBool,
}

impl Spare {
    /// The instance, if one is ready. Otherwise, and for the next time, one is made; never waits for it.
    pub(crate) fn take(&self, host: &Host, pool: &Arc<Pool>) -> Option<Live> {
        let ready = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).take();
        if ready.is_none() {
            self.make(host, pool);
        }
        ready
    }

    /// Makes one at once, if there is none: for a thread that may wait.
    pub(crate) fn prepare(&self, host: &Host, pool: &Arc<Pool>) {
        let missing = self.0.ready.lock().unwrap_or_else(PoisonError::into_inner).is_none();
        if missing && !self.0.making.swap(true, SeqCst) {
            self.fill(host, pool);
        }
    }

    /// Has one made, unless that is going on.
    pub(crate) fn make(&self, host: &Host, pool: &Arc<Pool>) {
        if self.0.making.swap(true, SeqCst) {
            return;
        }
        let (spare, host, pool) = (self.clone(), host.clone(), Arc::clone(pool));
        let made = thread::Builder::new().name("plugin-spare".to_owned()).spawn(move || spare.fill(&host, &pool));
        if made.is_err() {
            self.0.making.store(false, SeqCst);
        }
    }

    fn fill(&self, host: &Host, pool: &Arc<Pool>) {
        let made = {
            let _clock = host.shared.ticker.run();
            pool.build()
        };
        match made {
            Ok(live) => *self.0.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(live),
            // The pool finds the same out and reports it; here it only means that nobody chooses.
            Err(error) => tracing::warn!(error = format!("{error:#}"), "no instance of a plugin for choosing"),
        }
        self.0.making.store(false, SeqCst);
    }
}
