//! The instances of one plugin. One is taken for each call and given back if nothing went wrong.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::fault::{Fault, FaultKind};
use crate::instance::{Blueprint, Live};

pub(crate) struct Pool {
    blueprint: Blueprint,
    instances: Mutex<Instances>,
    freed: Condvar,
}

struct Instances {
    /// The last one given back is the next one taken: its memory is warm.
    idle: Vec<Live>,
    /// Idle or taken.
    existing: u32,
}

/// An instance for one call. If it is dropped instead of given back, it is gone: after a fault, or a panic of ours.
pub(crate) struct Taken<'a> {
    pool: &'a Pool,
    /// Empty only on the way back.
    live: Option<Live>,
}

impl Pool {
    /// A pool with its first instance, so that a guest that cannot start is found out at once.
    pub(crate) fn new(blueprint: Blueprint) -> wasmtime::Result<Self> {
        let first = blueprint.build()?;
        let instances = Mutex::new(Instances { idle: vec![first], existing: 1 });
        Ok(Self { blueprint, instances, freed: Condvar::new() })
    }

    /// An instance for this thread. Waits for one no longer than `patience`.
    pub(crate) fn take(&self, patience: Duration) -> Result<Taken<'_>, Fault> {
        let full = |instances: &mut Instances| {
            instances.idle.is_empty() && instances.existing >= self.blueprint.context.limits.instances_max
        };
        let mut instances = self.lock();
        if full(&mut instances) {
            let waited = self.freed.wait_timeout_while(instances, patience, full);
            let (still, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() {
                let details = format!("all {} instances are busy", still.existing);
                return Err(Fault { kind: FaultKind::Busy, details });
            }
            instances = still;
        }
        if let Some(live) = instances.idle.pop() {
            return Ok(Taken { pool: self, live: Some(live) });
        }
        // Counted before it is made, and made without the lock: this is a slow path.
        instances.existing += 1;
        drop(instances);
        let mut place = Taken { pool: self, live: None };
        let made = self.blueprint.build();
        place.live =
            Some(made.map_err(|error| Fault { kind: FaultKind::Instantiation, details: format!("{error:#}") })?);
        Ok(place)
    }

    /// An instance beside those of the pool, for one thread alone.
    pub(crate) fn build(&self) -> wasmtime::Result<Live> {
        self.blueprint.build()
    }

    /// Whether an instance is used again.
    pub(crate) fn keeps(&self, live: &Live) -> bool {
        self.blueprint.keeps(live)
    }

    /// Lets go of the instances that nobody uses: the plugin will not be asked for a while.
    pub(crate) fn rest(&self) {
        let idle = std::mem::take(&mut self.lock().idle);
        let gone = u32::try_from(idle.len()).expect("a pool has few instances");
        // Their memory is returned first, so that there is room when the places are free.
        drop(idle);
        self.lock().existing -= gone;
        self.freed.notify_all();
    }

    /// How many instances there are.
    pub(crate) fn len(&self) -> u32 {
        self.lock().existing
    }

    fn lock(&self) -> MutexGuard<'_, Instances> {
        // Nothing panics under this lock.
        self.instances.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken<'_> {
    /// The instance.
    pub(crate) fn live(&mut self) -> &mut Live {
        self.live.as_mut().expect("an instance is there until it is given back")
    }

    /// Back for the next caller: the call went well.
    pub(crate) fn give_back(mut self) {
        if let Some(live) = self.live.take_if(|live| self.pool.blueprint.keeps(live)) {
            self.pool.lock().idle.push(live);
            self.pool.freed.notify_one();
            // Its place is not free, so the rest of `drop` must not happen.
            std::mem::forget(self);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        // The memory is returned first, so that there is room when the place is free.
        self.live = None;
        self.pool.lock().existing -= 1;
        self.pool.freed.notify_one();
    }
}
