//! The clock behind deadlines: a thread that advances wasmtime's epoch once a millisecond while a call is running.
//!
//! Nearly every call is over within microseconds, and to wake the thread for each, or a thousand times a second, would
//! cost a busy core more than the calls. So it looks now and then whether one is running, and ticks while that is so:
//! a call that does not end is stopped at its deadline and at most [`LOOK`] later. While there are no calls at all it
//! sleeps, so that an idle server stays idle.

use std::sync::Arc;
use std::sync::atomic::{
    AtomicBool, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wasmtime::Engine;

/// The unit of deadlines.
pub(crate) const TICK: Duration = Duration::from_millis(1);

/// How often the thread looks whether a call is running.
const LOOK: Duration = Duration::from_millis(20);

/// The same where the thread that runs the steps makes calls: it must not stand still for longer than a batch may take.
const CLOSE_LOOK: Duration = Duration::from_millis(2);

/// Looks without a call in between after which the thread goes to sleep. Waking it costs a caller a system call.
const IDLE_LOOKS: u32 = 10;

/// Owns the thread, and ends it when dropped.
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

struct Shared {
    /// Running now.
    calls: AtomicUsize,
    /// Begun since the start; may wrap.
    begun: AtomicUsize,
    /// Some calls must be looked after more closely, from now on.
    closely: AtomicBool,
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// The clock runs as long as this lives.
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn start(engine: Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            calls: AtomicUsize::new(0),
            begun: AtomicUsize::new(0),
            closely: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("plugin-epoch".to_owned()).spawn(move || tick(&engine, &of_thread))?;
        Ok(Self { shared, thread })
    }

    /// There will be calls that must not take longer than a few milliseconds whatever they do.
    pub(crate) fn look_closely(&self) {
        self.shared.closely.store(true, Relaxed);
    }

    /// To be held during a call.
    pub(crate) fn run(&self) -> Running<'_> {
        self.shared.begun.fetch_add(1, Relaxed);
        self.shared.calls.fetch_add(1, SeqCst);
        // Sequentially consistent on both sides: either we see the thread asleep, or it sees our call.
        if self.shared.asleep.load(SeqCst) {
            self.thread.thread().unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        // Not joined: the thread ends within a tick, and owns nothing that anybody waits for.
        self.shared.stop.store(true, SeqCst);
        self.thread.thread().unpark();
    }
}

fn tick(engine: &Engine, shared: &Shared) {
    let (mut idle_looks, mut seen) = (0, 0);
    while !shared.stop.load(SeqCst) {
        if shared.calls.load(SeqCst) > 0 {
            thread::sleep(TICK);
            engine.increment_epoch();
            continue;
        }
        let begun = shared.begun.load(Relaxed);
        idle_looks = if begun == seen { idle_looks + 1 } else { 0 };
        seen = begun;
        if idle_looks >= IDLE_LOOKS {
            shared.asleep.store(true, SeqCst);
            if shared.calls.load(SeqCst) == 0 && !shared.stop.load(SeqCst) {
                thread::park();
            }
            shared.asleep.store(false, SeqCst);
            idle_looks = 0;
        } else {
            thread::sleep(if shared.closely.load(Relaxed) { CLOSE_LOOK } else { LOOK });
        }
    }
}
