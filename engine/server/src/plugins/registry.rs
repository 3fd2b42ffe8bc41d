//! The plugins of a server: which there are, and how they are loaded. What changes the set that is active is in
//! `changes`, who hears events in `listening`, what is tried out in `observing`.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use berth_core::InstanceName;
use berth_plugin_host::{Generation, Host, HostOptions, Limits, LoadOptions, Plugin, PluginPolicy};
use berth_runtime::{
    Engine, EngineError,
    feed::{Begin, Listeners},
    plugins::KvSnapshot,
    store::{Batch, PartitionId, Store, StoreError},
    work::Namespaces,
};
use bytes::Bytes;

use super::{
    bundled,
    examples::{self, Report},
    ledger::{Ledger, Refused, VersionKey},
    listening::Hearing,
    observing::{Findings, Observed},
    rows::{self, VersionRow},
    settings::{self, Settings},
    source::{self, TrustedKey},
    versions::{component_of, exports_of, load_options, now_ms, version_id},
};

/// Room that is left for versions that come: one that is loaded, one that is tried out, one for a swap.
const ROOM_LEFT: usize = 4;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RegistryError {
    /// The operator asked for something that cannot be.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The plugin cannot be loaded: the text says why.
    #[error("{0}")]
    Plugin(String),
    /// The server cannot do it now.
    #[error("{0}")]
    Server(String),
}

impl From<EngineError> for RegistryError {
    fn from(error: EngineError) -> Self {
        Self::Server(error.to_string())
    }
}

/// Which of a plugin's tables.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kept<'a> {
    Executions,
    /// Of executions, by the version that is asked beside the active one.
    Observed,
    /// Of the work of a namespace.
    Work(&'a str),
}

/// What an operator wants to load.
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) component: Bytes,
    /// SHA-256 that the component must have; empty: any.
    pub(crate) digest: String,
    pub(crate) settings: Settings,
    pub(crate) signature: Vec<u8>,
}

/// See the head of the file. Shared by all threads.
pub(crate) struct Registry {
    pub(super) host: Host,
    policy: OnceLock<Arc<PluginPolicy>>,
    store: Arc<dyn Store>,
    partition: PartitionId,
    trusted: Vec<TrustedKey>,
    /// Where compiled code is kept.
    compiled: PathBuf,
    attached: OnceLock<Attached>,
    state: Mutex<State>,
    /// Held over a whole change.
    pub(super) changing: tokio::sync::Mutex<()>,
}

/// What is there when the engine runs.
struct Attached {
    engine: Engine,
    instances: Vec<InstanceName>,
    hearing: Hearing,
}

pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) loaded: HashMap<VersionKey, Arc<Plugin>>,
    pub(super) observed: Option<Observed>,
    /// What the last observation found that is over.
    pub(super) found: Option<Findings>,
}

/// A version that is in memory, to be measured.
pub(crate) struct Measured {
    /// Its digest, with that of its settings.
    pub(crate) version: String,
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) quarantined: bool,
}

impl Registry {
    /// With what is stored. Nothing is loaded yet.
    pub(crate) fn open(
        host: Host,
        store: Arc<dyn Store>,
        partition: PartitionId,
        trusted: Vec<TrustedKey>,
        compiled: PathBuf,
    ) -> anyhow::Result<Self> {
        let ledger = Ledger::new(rows::read(&*store, partition)?);
        Ok(Self {
            host,
            policy: OnceLock::new(),
            store,
            partition,
            trusted,
            compiled,
            attached: OnceLock::new(),
            state: Mutex::new(State { ledger, loaded: HashMap::new(), observed: None, found: None }),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// The policy that sets are put in force in.
    pub(super) fn put_policy(&self, policy: &Arc<PluginPolicy>) {
        assert!(self.policy.set(Arc::clone(policy)).is_ok(), "a registry is started once");
    }

    /// Rows are written through the engine, in their turn; plugins that hear events listen to its feed; it is told what
    /// there is to ask of these instances.
    pub(crate) fn attach(&self, engine: Engine, listeners: Arc<Listeners>, instances: Vec<InstanceName>) {
        let attached = Attached { engine, instances, hearing: Hearing::new(listeners) };
        assert!(self.attached.set(attached).is_ok(), "a registry belongs to one engine");
    }

    /// Lets plugins hear of the work of namespaces, as they come and go. For as long as the server runs.
    pub(crate) async fn hear_work(&self, namespaces: Namespaces) {
        let mut changes = namespaces.changes();
        // What happened before anybody listened is not told; of a namespace that comes later, everything is.
        let mut begin = Begin::Now;
        loop {
            changes.borrow_and_update();
            if let Err(error) = self.hearing().follow(self.policy(), namespaces.all(), &begin).await {
                tracing::warn!(%error, "plugins do not hear of the work of a namespace");
            }
            begin = Begin::Oldest;
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    /// All versions in memory: also those that a fault took out of service, because that is when somebody looks.
    pub(crate) fn measured(&self) -> Vec<Measured> {
        let state = self.lock();
        let mut measured = Vec::new();
        let observed = state.observed.as_ref();
        let observed = observed.map(|observed| (observed.key(), observed.plugin()));
        let others = state.loaded.iter().filter(|(key, _)| observed.is_none_or(|(observed, _)| observed != *key));
        for (key, plugin) in others.chain(observed) {
            let quarantined = state.ledger.version(key).is_some_and(|row| row.quarantine.is_some());
            measured.push(Measured { version: key.1.clone(), plugin: Arc::clone(plugin), quarantined });
        }
        measured
    }

    /// The plugins that answer now.
    pub(crate) fn in_force(&self) -> Arc<Generation> {
        self.policy().active()
    }

    /// Looks at the ledger and at what is loaded.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Ledger, &HashMap<VersionKey, Arc<Plugin>>) -> R) -> R {
        let state = self.lock();
        look(&state.ledger, &state.loaded)
    }

    /// Checks a plugin and keeps nothing: what it is, and how its examples came out.
    pub(crate) fn check(&self, wanted: &Wanted) -> Result<(Arc<Plugin>, Report), RegistryError> {
        self.verify(wanted)?;
        let plugin = self.compile(&wanted.name, &wanted.component, &wanted.settings, |options| options)?;
        let report = self.examples(&wanted.name, &wanted.component, &wanted.settings, &plugin);
        Ok((plugin, report.map_err(RegistryError::Plugin)?))
    }

    /// Stores a version. Answers its key, and whether it was there already.
    pub(crate) async fn load(self: &Arc<Self>, wanted: Wanted) -> Result<(VersionKey, bool), RegistryError> {
        let _changing = self.changing.lock().await;
        let digest = source::digest_of(&wanted.component);
        let key = (wanted.name.clone(), version_id(&digest, &wanted.settings));
        let registry = Arc::clone(self);
        let (wanted, plugin, report) = blocking(move || {
            let (plugin, report) = registry.check(&wanted)?;
            Ok((wanted, plugin, report))
        })
        .await?;
        report.verdict().map_err(RegistryError::Plugin)?;
        if let Some(mut row) = self.look(|ledger, _| ledger.version(&key).filter(|row| row.loaded_at > 0).cloned()) {
            // What was loaded last is what an activation without a digest means.
            row.loaded_at = now_ms();
            let mut batch = Batch::default();
            rows::put_version(&mut batch, &row);
            self.write(batch).await?;
            self.lock().ledger.add_version(row);
            return Ok((key, true));
        }
        let bundled = bundled::is_own(&key.0, &digest);
        let row = VersionRow {
            name: key.0.clone(),
            digest: key.1.clone(),
            source: if bundled { "bundled" } else { "api" }.to_owned(),
            settings: wanted.settings,
            loaded_at: now_ms(),
            quarantine: None,
        };
        let mut batch = Batch::default();
        if !bundled {
            rows::put_component(&mut batch, &digest, &wanted.component);
        }
        rows::put_version(&mut batch, &row);
        self.write(batch).await?;
        let mut state = self.lock();
        state.ledger.add_version(row);
        state.loaded.insert(key.clone(), plugin);
        Ok((key, false))
    }

    /// What a plugin keeps: of executions, or of the work of a namespace.
    pub(crate) async fn table(&self, name: &str, kept: Kept<'_>) -> Result<KvSnapshot, RegistryError> {
        self.look(|ledger, _| ledger.find(name, "").map(drop))?;
        let Kept::Work(namespace) = kept else {
            let table = self.table_name(name, matches!(kept, Kept::Observed))?;
            return Ok(self.hearing().listeners.table(&table));
        };
        let listeners = self.hearing().of_work(namespace).await;
        let listeners =
            listeners.ok_or_else(|| Refused::Unknown(format!("there is no namespace of work {namespace:?}")))?;
        Ok(listeners.table(name))
    }

    /// A version, loaded.
    pub(crate) async fn plugin(self: &Arc<Self>, key: &VersionKey) -> Result<Arc<Plugin>, RegistryError> {
        if let Some(plugin) = self.look(|_, loaded| loaded.get(key).cloned()) {
            return Ok(plugin);
        }
        let (registry, of_thread) = (Arc::clone(self), key.clone());
        let plugin = blocking(move || registry.load_stored(&of_thread)).await?;
        Ok(self.lock().loaded.entry(key.clone()).or_insert(plugin).clone())
    }

    /// A version as it is asked now; `None`: it is not in memory. An observed one is beside the one that would be active.
    pub(crate) fn serving(&self, key: &VersionKey) -> Option<Arc<Plugin>> {
        let state = self.lock();
        let observed = state.observed.as_ref().filter(|observed| observed.key() == key);
        observed.map(|observed| observed.plugin().clone()).or_else(|| state.loaded.get(key).cloned())
    }

    /// A component that was loaded from a file or by the API.
    pub(super) fn stored_component(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        rows::component(&*self.store, self.partition, digest)
    }

    /// Compiles a version from the store, or from this binary.
    pub(super) fn load_stored(&self, key: &VersionKey) -> Result<Arc<Plugin>, RegistryError> {
        self.load_stored_with(key, |options| options)
    }

    pub(super) fn load_stored_with(
        &self,
        key: &VersionKey,
        change: impl FnOnce(LoadOptions) -> LoadOptions,
    ) -> Result<Arc<Plugin>, RegistryError> {
        let row = self.look(|ledger, _| ledger.version(key).cloned());
        let row = row.ok_or_else(|| RegistryError::Server(format!("{} is not stored", key.0)))?;
        let digest = component_of(&key.1);
        let component = match bundled::component(digest) {
            Some(component) => Bytes::from_static(component),
            None => self
                .stored_component(digest)
                .map_err(|error| RegistryError::Server(error.to_string()))?
                .ok_or_else(|| RegistryError::Server(format!("the component of {} is not stored", key.0)))?,
        };
        let plugin = self.compile(&key.0, &component, &row.settings, change)?;
        if row.quarantine.is_some() {
            plugin.quarantine();
        }
        Ok(plugin)
    }

    /// The examples that a component carries, asked in a host beside ours: same limits, same compiled code, and nothing
    /// of the server behind its imports.
    pub(super) fn examples(
        &self,
        name: &str,
        component: &[u8],
        settings: &Settings,
        plugin: &Plugin,
    ) -> Result<Report, String> {
        // Two: a case with another configuration loads the component anew.
        let limits = Limits { plugins_max: 2, ..self.host.limits().clone() };
        let aside = HostOptions { limits, compiled: Some(self.compiled.clone()), ..HostOptions::default() };
        let options =
            || HostOptions { limits: aside.limits.clone(), compiled: aside.compiled.clone(), ..HostOptions::default() };
        examples::try_settings(options(), name, component, settings, &exports_of(plugin))?;
        examples::run(options(), name, component, settings, plugin.examples())
    }

    pub(super) fn verify(&self, wanted: &Wanted) -> Result<(), RegistryError> {
        let wrong = |what: String| RegistryError::from(Refused::Wrong(what));
        if !settings::is_plugin_name(&wanted.name) {
            return Err(wrong(format!("name = {:?}: {}", wanted.name, settings::NAME_EXPECTED)));
        }
        let problems = wanted.settings.problems();
        if !problems.is_empty() {
            return Err(wrong(problems.join("; ")));
        }
        let digest = source::digest_of(&wanted.component);
        let pinned = source::without_prefix(&wanted.digest);
        if !pinned.is_empty() && pinned != digest {
            return Err(wrong(format!("digest: the component has {digest}, and {pinned} is asked for")));
        }
        if bundled::component(&digest).is_some() {
            // It came with the binary, which somebody trusts already.
            return Ok(());
        }
        source::check_signature(&self.trusted, &wanted.component, &wanted.signature).map_err(wrong)
    }

    pub(super) fn compile(
        &self,
        name: &str,
        component: &[u8],
        settings: &Settings,
        change: impl FnOnce(LoadOptions) -> LoadOptions,
    ) -> Result<Arc<Plugin>, RegistryError> {
        self.make_room();
        let bundled = bundled::component(&source::digest_of(component)).is_some();
        let options = change(load_options(&self.host, settings, bundled));
        self.host.load(name, component, options).map_err(|error| RegistryError::Plugin(error.to_string()))
    }

    /// Where the host is nearly full, versions that nobody asks are dropped from memory. They stay in the store.
    fn make_room(&self) {
        let mut state = self.lock();
        let State { ledger, loaded, .. } = &mut *state;
        if loaded.len() + ROOM_LEFT > self.host.limits().plugins_max as usize {
            loaded.retain(|key, _| ledger.is_active(key));
        }
    }

    pub(super) fn policy(&self) -> &Arc<PluginPolicy> {
        self.policy.get().expect("the registry was started")
    }

    pub(crate) fn hearing(&self) -> &Hearing {
        &self.attached().hearing
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.attached().engine
    }

    fn attached(&self) -> &Attached {
        self.attached.get().expect("the registry is attached before anybody asks it")
    }

    /// The engine asks what somebody answers now, and nothing else.
    pub(super) async fn learn_asks(&self) -> Result<(), RegistryError> {
        let Attached { engine, instances, .. } = self.attached();
        Ok(engine.learn_asks(instances).await?)
    }

    /// Durable when it returns.
    pub(super) async fn write(&self, batch: Batch) -> Result<(), RegistryError> {
        Ok(self.attached().engine.write_rows(Box::new(move |into| into.append(batch))).await?)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compiling takes a while: not on a thread that serves.
pub(super) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, RegistryError> + Send + 'static,
) -> Result<R, RegistryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(RegistryError::Server(format!("it did not finish: {error}"))),
    }
}
