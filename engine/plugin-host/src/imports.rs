//! What a guest can call. Each import gets the instance's `State` and nothing else: whoever holds the store could call
//! back into the guest.

use berth_runtime::plugins::{KvError, KvView, Load, StatsView};
use wasmtime::component::{HasSelf, Linker};

use crate::bindings::{v0_1, v1};
use crate::fault::Misuse;
use crate::instance::{State, cut};

/// What of a last message is kept for the fault that follows.
const LAST_WORDS_BYTES_MAX: usize = 512;

/// The imports of all versions of the contract. What of it a component may use is decided when it is loaded.
pub(crate) fn add_to(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    v0_1::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::log::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::config::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::clock::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::kv::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::stats::add_to_linker::<State, HasSelf<State>>(linker, |state| state)?;
    v1::metrics::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl State {
    /// Remembered answers depend on nothing but question and configuration.
    fn must_be_impure(&self, import: &str) -> wasmtime::Result<()> {
        match self.function {
            Some(function) if !function.is_pure() => Ok(()),
            Some(function) => {
                Err(misuse(format!("{import} is not allowed here: answers of {} are remembered", function.name())))
            }
            None => Err(misuse(format!("{import} is not allowed here: the instance is not asked anything yet"))),
        }
    }

    fn log(&mut self, level: v1::log::Level, text: &str) {
        let (context, limits) = (&self.context, &self.context.limits);
        if matches!(level, v1::log::Level::Error) {
            self.last_words = Some(cut(text, LAST_WORDS_BYTES_MAX).to_owned());
        }
        if self.messages >= limits.log_lines_max {
            return;
        }
        self.messages += 1;
        if !context.lines.take(context.services.clock.now(), limits.log_lines_per_second_max) {
            return;
        }
        let (plugin, message) = (&*context.identity.name, cut(text, limits.log_line_bytes_max));
        match level {
            v1::log::Level::Trace => tracing::trace!(target: "berth::plugin", plugin, message),
            v1::log::Level::Debug => tracing::debug!(target: "berth::plugin", plugin, message),
            v1::log::Level::Info => tracing::info!(target: "berth::plugin", plugin, message),
            v1::log::Level::Warn => tracing::warn!(target: "berth::plugin", plugin, message),
            v1::log::Level::Error => tracing::error!(target: "berth::plugin", plugin, message),
        }
    }

    /// What was committed when this call asked first, or with what it wrote itself.
    fn table(&mut self) -> &dyn KvView {
        if let Some(transaction) = &self.transaction {
            return transaction;
        }
        let (desk, instance, table) = (&self.context.services.desk, &self.instance, &self.context.table);
        self.kv.get_or_insert_with(|| desk.kv(instance, table))
    }

    fn figures(&mut self) -> &dyn StatsView {
        let (desk, instance) = (&self.context.services.desk, &self.instance);
        &**self.stats.get_or_insert_with(|| desk.stats(instance))
    }
}

fn misuse(details: String) -> wasmtime::Error {
    Misuse(details).into()
}

impl v0_1::log::Host for State {
    fn write(&mut self, level: v0_1::log::Level, text: String) {
        let level = match level {
            v0_1::log::Level::Trace => v1::log::Level::Trace,
            v0_1::log::Level::Debug => v1::log::Level::Debug,
            v0_1::log::Level::Info => v1::log::Level::Info,
            v0_1::log::Level::Warn => v1::log::Level::Warn,
            v0_1::log::Level::Error => v1::log::Level::Error,
        };
        self.log(level, &text);
    }
}

impl v1::log::Host for State {
    fn write(&mut self, level: v1::log::Level, text: String) -> wasmtime::Result<()> {
        self.log(level, &text);
        Ok(())
    }
}

impl v1::config::Host for State {
    fn get(&mut self) -> wasmtime::Result<String> {
        Ok(self.context.config.clone())
    }
}

impl v1::clock::Host for State {
    fn now_ms(&mut self) -> wasmtime::Result<u64> {
        self.must_be_impure("clock.now-ms")?;
        let clock = &self.context.services.clock;
        Ok(*self.now_ms.get_or_insert_with(|| clock.now().0 / 1000))
    }
}

impl v1::kv::Host for State {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.must_be_impure("kv.get")?;
        Ok(self.table().get(&key).map(|value| value.to_vec()))
    }

    fn scan(&mut self, prefix: String, after: Option<String>, limit: u32) -> wasmtime::Result<Vec<v1::kv::Entry>> {
        self.must_be_impure("kv.scan")?;
        let rows = self.table().scan(&prefix, after.as_deref(), limit as usize);
        Ok(rows.into_iter().map(|(key, value)| v1::kv::Entry { key: key.to_string(), value: value.to_vec() }).collect())
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<Result<(), v1::kv::KvError>> {
        self.must_be_impure("kv.set")?;
        let Some(transaction) = &mut self.transaction else { return Ok(Err(v1::kv::KvError::ReadOnly)) };
        Ok(transaction.set(&key, &value).map_err(for_guest))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<Result<(), v1::kv::KvError>> {
        self.must_be_impure("kv.delete")?;
        let Some(transaction) = &mut self.transaction else { return Ok(Err(v1::kv::KvError::ReadOnly)) };
        Ok(transaction.delete(&key).map_err(for_guest))
    }
}

fn for_guest(error: KvError) -> v1::kv::KvError {
    match error {
        KvError::ReadOnly => v1::kv::KvError::ReadOnly,
        KvError::TooLarge => v1::kv::KvError::TooLarge,
        KvError::Full => v1::kv::KvError::Full,
    }
}

impl v1::stats::Host for State {
    fn of_lane(&mut self, instance: String, lane: String) -> wasmtime::Result<v1::stats::Load> {
        self.must_be_impure("stats.of-lane")?;
        Ok(load(self.figures().of_lane(&instance, &lane)))
    }

    fn of_label(&mut self, instance: String, label: String) -> wasmtime::Result<v1::stats::Load> {
        self.must_be_impure("stats.of-label")?;
        Ok(load(self.figures().of_label(&instance, &label)))
    }

    fn of_tenant(&mut self, instance: String, tenant: String) -> wasmtime::Result<v1::stats::Load> {
        self.must_be_impure("stats.of-tenant")?;
        Ok(load(self.figures().of_tenant(&instance, &tenant)))
    }

    fn history_of(&mut self, key: String) -> wasmtime::Result<Option<v1::stats::History>> {
        self.must_be_impure("stats.history-of")?;
        Ok(self.figures().history_of(&key).map(|learnt| v1::stats::History {
            samples: learnt.samples,
            mean_ms: learnt.mean_ms,
            p50_ms: learnt.p50_ms,
            p90_ms: learnt.p90_ms,
            max_ms: learnt.max_ms,
            peak_memory_bytes: learnt.peak_memory_bytes,
            failures: learnt.failures,
        }))
    }
}

fn load(load: Load) -> v1::stats::Load {
    v1::stats::Load { queued: load.queued, running: load.running }
}

impl v1::metrics::Host for State {
    fn count(&mut self, name: String, by: u64) -> wasmtime::Result<()> {
        self.must_be_impure("metrics.count")?;
        self.context.figures.count(&name, by).map_err(misuse)
    }

    fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.must_be_impure("metrics.gauge")?;
        self.context.figures.gauge(&name, value).map_err(misuse)
    }

    fn observe(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.must_be_impure("metrics.observe")?;
        self.context.figures.observe(&name, value).map_err(misuse)
    }
}
