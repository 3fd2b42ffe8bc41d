//! What all plugins share: the engine with its limits, the imports, the clock for deadlines, and the room for instances.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::cache::Cache;
use crate::epoch::Ticker;
use crate::imports;
use crate::instance::State;
use crate::limits::Limits;
use crate::services::Services;

/// Instances of a plugin beside those of its pool: one for the thread that runs the steps, and one that is made ahead.
const APART: u32 = 2;
/// Core instances, memories and tables of one component: toolchains add adapters, of which one has a memory.
const CORE_INSTANCES: u32 = 4;

/// The engine that runs plugins. One a process; cheap to clone.
#[derive(Clone)]
pub struct Host {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    pub(crate) ticker: Ticker,
    pub(crate) limits: Limits,
    pub(crate) services: Services,
    pub(crate) cache: Option<Cache>,
    plugins: AtomicU32,
}

/// What a host is started with.
#[derive(Clone, Default)]
pub struct HostOptions {
    /// What plugins may use.
    pub limits: Limits,
    /// What is behind their imports, and who is told.
    pub services: Services,
    /// Where compiled code is kept, so that a component is compiled once. A folder of its own, for this user alone:
    /// who can write there can run code as Berth. `None`: nothing is kept.
    pub compiled: Option<PathBuf>,
}

/// Why there can be no plugins in this process at all.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// wasmtime does not run with these limits on this machine.
    #[error("cannot start the engine for plugins: {0}")]
    Engine(String),
    /// The thread for deadlines could not be started.
    #[error("cannot start the thread for deadlines of plugins: {0}")]
    Thread(#[from] std::io::Error),
    /// The folder for compiled code cannot be used.
    #[error("cannot keep compiled plugins in {}: {reason}", path.display())]
    Compiled {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// A component's share of the room for instances. Given back when dropped.
pub(crate) struct Room(Arc<Shared>);

impl Host {
    /// Starts the engine with these limits, for plugins that are served from nothing. Does not load anything yet.
    pub fn new(limits: Limits) -> Result<Self, HostError> {
        Self::with(HostOptions { limits, ..HostOptions::default() })
    }

    /// Starts the engine. Does not load anything yet.
    pub fn with(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { limits, services, compiled } = options;
        let words = |error: wasmtime::Error| HostError::Engine(format!("{error:#}"));
        let engine = engine(&limits).map_err(words)?;
        let mut linker = Linker::new(&engine);
        imports::add_to(&mut linker).map_err(words)?;
        let cache = compiled.map(|folder| Cache::open(folder, &engine)).transpose()?;
        let ticker = Ticker::start(engine.clone())?;
        let shared = Shared { engine, linker, ticker, limits, services, cache, plugins: AtomicU32::new(0) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The limits that the host was started with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Whether instances come from a pool that was reserved at start. Otherwise each is made on demand, which is
    /// slower but needs less address space.
    pub fn is_pooled(&self) -> bool {
        self.shared.engine.get_pooling_config().is_some()
    }

    /// Room for one more plugin, if there is.
    pub(crate) fn reserve(&self) -> Option<Room> {
        let taken = self.shared.plugins.fetch_add(1, Relaxed);
        let room = Room(Arc::clone(&self.shared));
        (taken < self.shared.limits.plugins_max).then_some(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.0.plugins.fetch_sub(1, Relaxed);
    }
}

/// The engine: with a pool of instances, or without where there can be none.
fn engine(limits: &Limits) -> wasmtime::Result<Engine> {
    let mut pooled = config(limits);
    pooled.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(limits)));
    Engine::new(&pooled).or_else(|error| {
        // Each slot reserves gigabytes of addresses; some machines limit those.
        tracing::info!(error = format!("{error:#}"), "no pool for plugin instances; making them on demand");
        Engine::new(&config(limits))
    })
}

fn config(limits: &Limits) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        // Costs a call three times what it does without, and is on by default where the crate feature is.
        .concurrency_support(false)
        .max_wasm_stack(limits.stack_bytes_max)
        // The same question gets the same answer, on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true);
    config
}

fn pool(limits: &Limits) -> PoolingAllocationConfig {
    let components = limits.plugins_max.saturating_mul(limits.plugin.instances_max.saturating_add(APART));
    let core_instances = components.saturating_mul(CORE_INSTANCES);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(components)
        .total_core_instances(core_instances)
        .total_memories(components)
        .total_tables(core_instances)
        .max_memory_size(limits.memory_bytes_ceiling)
        .table_elements(limits.table_elements_ceiling);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrency_support_is_off_whatever_features_other_crates_switch_on() {
        let host = Host::new(Limits::default()).unwrap();
        assert!(!host.shared.engine.get_concurrency_support());
        assert!(host.shared.engine.get_epoch_interruption());
    }

    #[test]
    fn a_host_starts_with_the_default_limits_and_reserves_no_more_than_it_has() {
        let host = Host::new(Limits { plugins_max: 2, ..Limits::default() }).unwrap();
        let first = host.reserve();
        let second = host.reserve();
        assert!(first.is_some() && second.is_some());
        assert!(host.reserve().is_none());
        drop(first);
        assert!(host.reserve().is_some());
    }
}
