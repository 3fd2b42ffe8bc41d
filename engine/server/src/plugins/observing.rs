//! A version that is asked beside the active one: what it would answer, and a copy of its plugin's table to write to.
//! Which version that is outlives a restart; the differences are in memory, those of the last observation also after its
//! end.

use std::sync::Arc;

use berth_plugin_host::{
    ChainSpec, Difference, Differing, Generation, GenerationSpec, LoadOptions, Observation, Plugin, PluginPolicy,
    Plugins,
};
use berth_runtime::{
    feed::{Begin, shadow_name},
    store::Batch,
};

use super::{
    examples,
    ledger::{Refused, VersionKey},
    listening,
    registry::{Registry, RegistryError, blocking},
    rows,
    told::{self, What},
    versions::{component_of, exports_of, short},
};

/// What is observed.
pub(super) struct Observed {
    key: VersionKey,
    plugin: Arc<Plugin>,
    observation: Arc<Observation>,
    /// Its own copy of the table; `None`: it hears no events.
    shadow: Option<String>,
}

/// What came of it. In memory; the last ones outlive the observation.
#[derive(Clone)]
pub(crate) struct Findings {
    pub(crate) key: VersionKey,
    pub(crate) summary: berth_plugin_host::Observed,
    pub(crate) differing: Vec<Differing>,
    /// The newest at the end.
    pub(crate) differences: Vec<Difference>,
    /// Faults of the version itself.
    pub(crate) faults: u64,
    /// Why nothing is added any more.
    pub(crate) ended: Option<&'static str>,
}

impl Observed {
    fn findings(&self) -> Findings {
        Findings {
            key: self.key.clone(),
            summary: self.observation.summary(),
            differing: self.observation.differing(),
            differences: self.observation.differences(),
            faults: self.plugin.stats().faults_all(),
            ended: None,
        }
    }

    pub(super) fn key(&self) -> &VersionKey {
        &self.key
    }

    pub(super) fn plugin(&self) -> &Arc<Plugin> {
        &self.plugin
    }
}

impl Registry {
    /// Asks a version beside the active one from now on, in place of any other that was observed; or ends it.
    pub(crate) async fn observe(
        self: &Arc<Self>,
        name: &str,
        digits: &str,
        begin: bool,
    ) -> Result<VersionKey, RegistryError> {
        let _changing = self.changing.lock().await;
        let before = self.look(|ledger, _| ledger.observed.clone());
        if !begin {
            let key = before.filter(|key| key.0 == name);
            let key = key.ok_or_else(|| Refused::Not(format!("no version of {name} is observed")))?;
            self.forget_observation("an operator ended it").await?;
            return Ok(key);
        }
        let key = self.look(|ledger, _| ledger.candidate(name, digits))?;
        self.forget_observation("another version is observed").await?;
        self.begin_observation(key.clone()).await?;
        let mut batch = Batch::default();
        rows::put_observed(&mut batch, &key);
        self.tell(batch, vec![told::gained(&key, What::Observed)]).await?;
        tracing::info!(plugin = key.0, digest = key.1, "a version is observed");
        Ok(key)
    }

    /// What observing a plugin has found.
    pub(crate) fn findings(&self, name: &str) -> Result<Findings, RegistryError> {
        let state = self.lock();
        let now = state.observed.as_ref().filter(|observed| observed.key.0 == name).map(Observed::findings);
        let found = now.or_else(|| state.found.clone().filter(|found| found.key.0 == name));
        found.ok_or_else(|| {
            let help = format!("no version of {name} is observed; begin with: berth plugin observe {name}");
            Refused::Not(help).into()
        })
    }

    /// A name's table: that of its active version, or that of the one that is observed.
    pub(crate) fn table_name(&self, name: &str, of_observed: bool) -> Result<String, RegistryError> {
        if !of_observed {
            return Ok(name.to_owned());
        }
        let state = self.lock();
        let observed = state.observed.as_ref().filter(|observed| observed.key.0 == name);
        let shadow = observed.and_then(|observed| observed.shadow.clone());
        shadow.ok_or_else(|| Refused::Not(format!("no version of {name} is observed that keeps a table")).into())
    }

    /// After a change of the active set, and after a restart: a version that became active is observed no more, any other
    /// is compared with the set that is active now.
    pub(super) async fn observe_again(self: &Arc<Self>) -> Result<(), RegistryError> {
        let Some(key) = self.look(|ledger, _| ledger.observed.clone()) else { return Ok(()) };
        if self.look(|ledger, _| ledger.is_active(&key)) {
            return self.forget_observation("it was activated").await;
        }
        self.end_observation("it was begun anew beside other policies").await;
        if let Err(error) = self.begin_observation(key.clone()).await {
            tracing::warn!(plugin = key.0, digest = key.1, %error, "the version cannot be observed beside the new set");
            self.lock().ledger.observed = Some(key);
            self.forget_observation("it cannot be asked beside the policies that are active now").await?;
        }
        Ok(())
    }

    /// Nobody is observed any more, now and after a restart.
    pub(super) async fn forget_observation(&self, why: &'static str) -> Result<(), RegistryError> {
        let Some(key) = self.look(|ledger, _| ledger.observed.clone()) else { return Ok(()) };
        self.end_observation(why).await;
        let mut batch = Batch::default();
        rows::delete_observed(&mut batch);
        self.tell(batch, vec![told::lost(&key, What::Unobserved)]).await
    }

    async fn end_observation(&self, why: &'static str) {
        let ended = {
            let mut state = self.lock();
            state.ledger.observed = None;
            let ended = state.observed.take();
            if let Some(observed) = &ended {
                state.found = Some(Findings { ended: Some(why), ..observed.findings() });
            }
            ended
        };
        self.policy().observe_no_more();
        if let Some(shadow) = ended.and_then(|observed| observed.shadow)
            && let Err(error) = self.hearing().listeners.forget(&shadow).await
        {
            tracing::warn!(table = shadow, %error, "the table of an observed version is not removed");
        }
    }

    async fn begin_observation(self: &Arc<Self>, key: VersionKey) -> Result<(), RegistryError> {
        let shadow = shadow_name(&key.0, &short(component_of(&key.1)));
        let (registry, of_thread, table) = (Arc::clone(self), key.clone(), shadow.clone());
        let plugin = blocking(move || {
            registry.load_stored_with(&of_thread, |options| LoadOptions { table: Some(table), ..options })
        })
        .await?;
        let own = examples::roles(&exports_of(&plugin), plugin.examples());
        let set = self.look(|ledger, _| ledger.with_active(&key, &[], &[], &own))?;
        let mut plugins = Plugins::new();
        for (name, digest) in &set.plugins {
            let loaded =
                if *name == key.0 { Arc::clone(&plugin) } else { self.plugin(&(name.clone(), digest.clone())).await? };
            plugins.insert(name.clone(), loaded);
        }
        let spec = set.spec().map_err(Refused::Wrong)?;
        let wrong = |error: berth_plugin_host::SpecError| RegistryError::from(Refused::Wrong(error.to_string()));
        let hears = spec.events.contains(&key.0);
        let candidate = Generation::build(&GenerationSpec { events: Vec::new(), ..spec }, &plugins).map_err(wrong)?;
        let no_thread = |error: std::io::Error| RegistryError::Server(error.to_string());
        let observation = self.policy().observe(candidate).map_err(no_thread)?;
        if hears {
            let listeners = &self.hearing().listeners;
            // A copy that an earlier run left behind would go on where that ended.
            listeners.forget(&shadow).await?;
            let options = listening::options(&plugin, Begin::CopyOf(key.0.as_str().into()));
            let beside = Arc::new(PluginPolicy::new(alone(&plugin).map_err(wrong)?));
            listeners.listen(&shadow, Arc::new(beside.listener(key.0.as_str())), options).await?;
        }
        let mut state = self.lock();
        state.ledger.observed = Some(key.clone());
        state.observed = Some(Observed { key, plugin, observation, shadow: hears.then_some(shadow) });
        Ok(())
    }
}

/// A generation in which the plugin hears events and nobody answers anything.
fn alone(plugin: &Arc<Plugin>) -> Result<Generation, berth_plugin_host::SpecError> {
    let name = plugin.name().to_owned();
    let spec = GenerationSpec { events: vec![name.clone()], ..GenerationSpec::everywhere(ChainSpec::default()) };
    Generation::build(&spec, &Plugins::from([(name, Arc::clone(plugin))]))
}
