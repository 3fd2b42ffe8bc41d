//! Which policy the server asks: the plugins of the active set, or the built-in rule.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use berth_core::{InstanceName, PolicyChanged};
use berth_plugin_host::{Host, HostOptions, Limits, Observer, Quarantined, Services};
use berth_runtime::{
    Engine,
    builtin::BuiltinPolicy,
    feed::Listeners,
    memory::{Disk, MemoryStore},
    plugins::LateDesk,
    policy::Policy,
    store::{Batch, PartitionId, Store},
};
use tokio::sync::mpsc;

use crate::{
    config::{Config, PolicyKind},
    plugins::{
        registry::Registry,
        source::TrustedKey,
        start::{FilePolicies, Started},
    },
};

/// The policy, and the same as plugins where it is made of them.
pub(crate) struct Policies {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) plugins: Option<InForce>,
}

/// Plugins that answer, before there is an engine.
pub(crate) struct InForce {
    registry: Registry,
    /// To be stored when the engine runs.
    batch: Batch,
    /// To be told then.
    told: Vec<PolicyChanged>,
    desk: Arc<LateDesk>,
    fallen: mpsc::UnboundedReceiver<Quarantined>,
}

/// Hands over what the host tells, which may be told on a thread that must not wait. As many messages as versions are
/// quarantined: not bounded, because none may be lost and each needs an operator.
struct Bell(mpsc::UnboundedSender<Quarantined>);

impl Observer for Bell {
    fn quarantined(&self, what: &Quarantined) {
        // An error: nobody listens any more, at shutdown.
        let _ = self.0.send(what.clone());
    }
}

pub(crate) fn start(config: &Config, store: &Arc<dyn Store>, partition: PartitionId) -> anyhow::Result<Policies> {
    if config.raw.policy.kind == PolicyKind::BuiltIn {
        return Ok(Policies { policy: Arc::new(BuiltinPolicy), plugins: None });
    }
    let (bell, fallen) = mpsc::unbounded_channel();
    let desk = Arc::new(LateDesk::default());
    let services = Services { desk: desk.clone(), observer: Arc::new(Bell(bell)), ..Services::default() };
    let compiled = compiled_folder(&config.data);
    let host = host(config, services, Some(compiled.clone()))?;
    let registry = Registry::open(host, store.clone(), partition, trusted(config)?, compiled)?;
    let Started { policy, batch, told } = registry.start(&file(config))?;
    let in_force = InForce { registry, batch, told, desk, fallen };
    Ok(Policies { policy, plugins: Some(in_force) })
}

/// Does with the plugins of a configuration what a first start does, in memory: each is compiled, its configuration is
/// checked against its schema, its examples are run, and each must export what it is to answer.
pub(crate) fn rehearse(config: &Config) -> anyhow::Result<()> {
    if config.raw.policy.kind == PolicyKind::BuiltIn {
        return Ok(());
    }
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::default()));
    let host = host(config, Services::default(), None)?;
    let registry = Registry::open(host, store, PartitionId(0), trusted(config)?, compiled_folder(&config.data))?;
    registry.start(&file(config)).map(drop)
}

fn host(config: &Config, services: Services, compiled: Option<PathBuf>) -> anyhow::Result<Host> {
    let raw = &config.raw.policy;
    let mut limits = Limits::default();
    limits.plugin.call_deadline = Duration::from_millis(raw.properties_deadline_ms);
    limits.plugin.place_deadline = Duration::from_millis(raw.place_deadline_ms);
    limits.plugin.memory_bytes_max = raw.memory_bytes_max;
    Host::with(HostOptions { limits, services, compiled }).context("the host for plugins cannot start")
}

fn trusted(config: &Config) -> anyhow::Result<Vec<TrustedKey>> {
    let keys = config.raw.policy.trusted_keys.iter().map(|key| TrustedKey::parse(key));
    keys.collect::<Result<_, _>>().map_err(|problem| anyhow::anyhow!("policy.trusted_keys: {problem}"))
}

fn file(config: &Config) -> FilePolicies {
    FilePolicies { plugins: config.raw.plugins.clone(), instances: config.raw.policy.instances.clone() }
}

/// Machine code of plugins: for this user alone.
fn compiled_folder(data: &Path) -> PathBuf {
    data.join("plugins").join("compiled")
}

impl InForce {
    /// Gives the plugins their engine, stores what was decided at start, and follows what the host tells.
    pub(crate) fn attach(self, engine: Engine, listeners: Arc<Listeners>, instances: &[String]) -> Arc<Registry> {
        let Self { registry, batch, told, desk, mut fallen } = self;
        desk.open(listeners.clone());
        let instances = instances.iter().map(|name| InstanceName::from(name.as_str())).collect();
        registry.attach(engine, listeners, instances);
        let registry = Arc::new(registry);
        let of_task = Arc::clone(&registry);
        tokio::spawn(async move {
            // Bots are served meanwhile: rows are written when all jobs of a long queue are loaded.
            if let Err(error) = of_task.begin(batch, told).await {
                tracing::error!(%error, "the active set of policies is not stored");
            }
            while let Some(what) = fallen.recv().await {
                if let Err(error) = of_task.fallen(&what).await {
                    let (plugin, digest) = (what.plugin, what.digest);
                    tracing::error!(plugin, digest, %error, "the quarantine of a plugin is not stored");
                }
            }
        });
        registry
    }
}
