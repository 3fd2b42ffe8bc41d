//! One instance of a plugin: its store with the limits it enforces, and what the imports see.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::InstancePre;
use wasmtime::{ResourceLimiter, Store, StoreContextMut, UpdateDeadline};

use crate::bindings::{log, priority, properties};
use crate::epoch::TICK;
use crate::fault::OverLimit;
use crate::limits::Limits;

/// Messages that one call may write, and the length of each.
const MESSAGES_MAX: u32 = 16;
const MESSAGE_BYTES_MAX: usize = 4096;

/// How often a deadline is moved for a call that had to wait for a processor.
const EXTENSIONS_MAX: u32 = 10;

/// Which plugin this is, for logs and errors.
pub(crate) struct Identity {
    pub(crate) name: String,
    /// SHA-256 of the component, in hexadecimal digits.
    pub(crate) digest: String,
}

/// What is needed to make an instance.
pub(crate) struct Blueprint {
    pub(crate) identity: Arc<Identity>,
    pub(crate) limits: Limits,
    pub(crate) pre: InstancePre<State>,
    pub(crate) properties: Option<properties::GuestIndices>,
    pub(crate) priority: Option<priority::GuestIndices>,
}

/// An instance that is ready to be called.
pub(crate) struct Live {
    pub(crate) store: Store<State>,
    pub(crate) properties: Option<properties::Guest>,
    pub(crate) priority: Option<priority::Guest>,
    calls: u32,
}

/// What belongs to an instance: all that its imports see.
pub(crate) struct State {
    identity: Arc<Identity>,
    memory_bytes: usize,
    memory_bytes_max: usize,
    table_elements: usize,
    table_elements_max: usize,
    /// Messages written in this call.
    messages: u32,
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
    /// Makes an instance. Runs code of the guest, under the deadline of `properties`.
    pub(crate) fn build(&self) -> wasmtime::Result<Live> {
        let state = State {
            identity: Arc::clone(&self.identity),
            memory_bytes: 0,
            memory_bytes_max: self.limits.memory_bytes_max,
            table_elements: 0,
            table_elements_max: self.limits.table_elements_max,
            messages: 0,
            deadline_ticks: 0,
            overtime: None,
        };
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| state);
        store.set_hostcall_fuel(self.limits.output_bytes_max);
        store.epoch_deadline_callback(on_deadline);
        set_deadline(&mut store, self.limits.properties_deadline);
        let instance = self.pre.instantiate(&mut store)?;
        let properties = self.properties.as_ref().map(|found| found.load(&mut store, &instance)).transpose()?;
        let priority = self.priority.as_ref().map(|found| found.load(&mut store, &instance)).transpose()?;
        Ok(Live { store, properties, priority, calls: 0 })
    }

    /// Whether an instance that did nothing wrong is used again.
    pub(crate) fn keeps(&self, live: &Live) -> bool {
        // Half of what it may have: the next call must not fail for what the calls before it left behind.
        live.calls < self.limits.calls_per_instance_max
            && live.store.data().memory_bytes <= self.limits.memory_bytes_max / 2
    }
}

impl Live {
    /// To be called before each call.
    pub(crate) fn begin(&mut self, deadline: Duration) {
        self.calls += 1;
        self.store.data_mut().messages = 0;
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
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let used = Duration::new(used.tv_sec.unsigned_abs(), used.tv_nsec.unsigned_abs() as u32);
    let overtime = state.overtime.get_or_insert(Overtime { cpu_time: used, extensions: 0 });
    let in_overtime = used.saturating_sub(overtime.cpu_time);
    let allowed = TICK.saturating_mul(u32::try_from(state.deadline_ticks).unwrap_or(u32::MAX));
    if in_overtime >= allowed || overtime.extensions >= EXTENSIONS_MAX {
        return Ok(UpdateDeadline::Interrupt);
    }
    overtime.extensions += 1;
    Ok(UpdateDeadline::Continue(state.deadline_ticks))
}

impl ResourceLimiter for State {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.memory_bytes + (desired - current);
        if wanted > self.memory_bytes_max {
            return Err(OverLimit { wanted, allowed: self.memory_bytes_max, unit: "bytes of memory" }.into());
        }
        self.memory_bytes = wanted;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        // Otherwise the guest is told, and most then panic, which looks like another mistake.
        Err(error)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let wanted = self.table_elements + (desired - current);
        if wanted > self.table_elements_max {
            return Err(OverLimit { wanted, allowed: self.table_elements_max, unit: "table entries" }.into());
        }
        self.table_elements = wanted;
        Ok(true)
    }
}

impl log::Host for State {
    fn write(&mut self, level: log::Level, text: String) {
        if self.messages == MESSAGES_MAX {
            return;
        }
        self.messages += 1;
        let (plugin, message) = (&*self.identity.name, cut(&text, MESSAGE_BYTES_MAX));
        match level {
            log::Level::Trace => tracing::trace!(target: "berth::plugin", plugin, message),
            log::Level::Debug => tracing::debug!(target: "berth::plugin", plugin, message),
            log::Level::Info => tracing::info!(target: "berth::plugin", plugin, message),
            log::Level::Warn => tracing::warn!(target: "berth::plugin", plugin, message),
            log::Level::Error => tracing::error!(target: "berth::plugin", plugin, message),
        }
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
