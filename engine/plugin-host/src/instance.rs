//! One instance of a plugin: its store with the limits it enforces. What its imports do is in `imports.rs`.

use std::sync::Arc;
use std::time::Duration;

use berth_runtime::plugins::{KvSnapshot, KvTransaction, StatsView};
use wasmtime::component::InstancePre;
use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};

use crate::context::Context;
use crate::epoch::TICK;
use crate::exports::{Guests, Indices};
use crate::fault::{Fault, OverLimit};
use crate::stats::Function;

/// How often a deadline is moved for a call that had to wait for a processor.
const EXTENSIONS_MAX: u32 = 10;

/// What is needed to make an instance.
pub(crate) struct Blueprint {
    pub(crate) context: Arc<Context>,
    pub(crate) pre: InstancePre<State>,
    pub(crate) indices: Indices,
}

/// An instance that is ready to be called.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) guests: Guests,
    calls: u32,
}

/// What belongs to an instance: all that its imports see.
pub(crate) struct State {
    pub(crate) context: Arc<Context>,
    /// What is being asked; `None` while the instance is made.
    pub(crate) function: Option<Function>,
    /// The instance name that the question is about.
    pub(crate) instance: String,
    /// Messages written in this call.
    pub(crate) messages: u32,
    /// The last message of this call that told of an error: a panic says there what happened, and then traps.
    pub(crate) last_words: Option<String>,
    /// The time of this call, once it was asked for.
    pub(crate) now_ms: Option<u64>,
    /// The table as this call sees it, once it was asked for.
    pub(crate) kv: Option<KvSnapshot>,
    /// The same where it may be written.
    pub(crate) transaction: Option<KvTransaction>,
    /// The figures that this call sees, once they were asked for.
    pub(crate) stats: Option<Arc<dyn StatsView>>,
    memory_bytes: usize,
    table_elements: usize,
    /// Of this call, in ticks of the clock.
    deadline_ticks: u64,
    /// Set when this call's deadline passed for the first time.
    overtime: Option<Overtime>,
}

struct Overtime {
    /// What this thread had used when the deadline passed.
    cpu_time: Duration,
    extensions: u32,
}

impl Blueprint {
    /// Makes an instance. Runs code of the guest, under the deadline of a call.
    pub(crate) fn build(&self) -> wasmtime::Result<Live> {
        let state = State {
            context: Arc::clone(&self.context),
            function: None,
            instance: String::new(),
            messages: 0,
            last_words: None,
            now_ms: None,
            kv: None,
            transaction: None,
            stats: None,
            memory_bytes: 0,
            table_elements: 0,
            deadline_ticks: 0,
            overtime: None,
        };
        let limits = &self.context.limits;
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(limits.output_bytes_max);
        store.epoch_deadline_callback(on_deadline);
        set_deadline(&mut store, limits.call_deadline);
        let instance = self.pre.instantiate(&mut store)?;
        let guests = self.indices.load(&mut store, &instance)?;
        Ok(Live { store, guests, calls: 0 })
    }

    /// Whether an instance that did nothing wrong is used again.
    pub(crate) fn keeps(&self, live: &Live) -> bool {
        // Half of what it may have: the next call must not fail for what the calls before it left behind.
        let limits = &self.context.limits;
        live.calls < limits.calls_per_instance_max && live.store.data().memory_bytes <= limits.memory_bytes_max / 2
    }
}

impl Live {
    /// What ended a call.
    pub(crate) fn fault(&mut self, error: &wasmtime::Error) -> Fault {
        Fault::from_call(error, self.store.data_mut().last_words.take())
    }

    /// To be called before each call.
    pub(crate) fn begin(&mut self, function: Function, instance: &str) {
        self.calls += 1;
        let state = self.store.data_mut();
        state.function = Some(function);
        state.messages = 0;
        state.last_words = None;
        state.now_ms = None;
        state.kv = None;
        state.transaction = None;
        state.stats = None;
        if state.instance != instance {
            state.instance.clear();
            state.instance.push_str(instance);
        }
        let deadline = state.context.limits.deadline(function);
        set_deadline(&mut self.store, deadline);
    }
}

fn set_deadline(store: &mut Store<State>, deadline: Duration) {
    // The tick that is running does not count.
    let ticks = u64::try_from(deadline.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX / 2).max(1);
    let state = store.data_mut();
    state.deadline_ticks = ticks;
    state.overtime = None;
    store.set_epoch_deadline(ticks + 1);
}

/// The deadline passed. That is the guest's fault only if it used the time: on a busy machine a call may have waited
/// for a processor. Asking for the time used costs a system call, so it is asked for only now: the guest gets the same
/// time again, and once more each time that it was not given a processor for that long.
fn on_deadline(mut store: StoreContextMut<'_, State>) -> wasmtime::Result<UpdateDeadline> {
    let state = store.data_mut();
    let used = thread_time();
    let overtime = state.overtime.get_or_insert(Overtime { cpu_time: used, extensions: 0 });
    let in_overtime = used.saturating_sub(overtime.cpu_time);
    let allowed = TICK.saturating_mul(u32::try_from(state.deadline_ticks).unwrap_or(u32::MAX));
    if in_overtime >= allowed || overtime.extensions >= EXTENSIONS_MAX {
        return Ok(UpdateDeadline::Interrupt);
    }
    overtime.extensions += 1;
    Ok(UpdateDeadline::Continue(state.deadline_ticks))
}

/// The processor time that this thread has used. Costs a system call.
pub(crate) fn thread_time() -> Duration {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32)
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let (wanted, allowed) = (self.memory_bytes + (desired - current), self.context.limits.memory_bytes_max);
        if wanted > allowed {
            return Err(OverLimit { wanted, allowed, unit: "bytes of memory" }.into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Otherwise the guest is told, and most then panic, which looks like another mistake.
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let (wanted, allowed) = (self.table_elements + (desired - current), self.context.limits.table_elements_max);
        if wanted > allowed {
            return Err(OverLimit { wanted, allowed, unit: "table entries" }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }
}

/// The beginning of `text` that fits.
pub(crate) fn cut(text: &str, bytes_max: usize) -> &str {
    if text.len() <= bytes_max { text } else { &text[..text.floor_char_boundary(bytes_max)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(cut("grün", 10), "grün");
        assert_eq!(cut("grün", 3), "gr");
        assert_eq!(cut("grün", 0), "");
    }
}
