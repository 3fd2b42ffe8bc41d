//! Which set a server starts with: the one that is stored, unless the configuration file says something new since it was
//! applied last. So a file and the API change one truth, and a restart undoes nothing.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, bail};
use berth_core::PolicyChanged;
use berth_plugin_host::{OnFault, PluginPolicy, Plugins};
use berth_runtime::store::Batch;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    bundled,
    changes::build,
    registry::{Registry, Wanted},
    rows::{self, SetRow, VersionRow},
    set::{EVERYWHERE, PolicySet, Role, Roles},
    settings::{Limits, Settings},
    source::{self, digest_of},
    told::{self, What},
    versions::{component_of, now_ms, version_id},
};

/// `[plugins.NAME]` of the configuration file.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct FilePlugin {
    /// A component, or a folder in OCI image layout; without it, the bundled policy of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file: Option<PathBuf>,
    /// The policy that comes with Berth, where the plugin has another name: so that it can be there with several
    /// configurations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bundled: Option<String>,
    /// SHA-256 that the component must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) digest: Option<String>,
    /// Detached Ed25519 signature of the component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<PathBuf>,
    /// As in [`Settings`], as all that follow.
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
    pub(crate) grants: Vec<String>,
    pub(crate) limits: Limits,
    pub(crate) on_fault: OnFault,
}

impl FilePlugin {
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            config: self.config.clone(),
            grants: self.grants.clone(),
            limits: self.limits.clone(),
            on_fault: self.on_fault,
        }
    }

    fn read(&self, name: &str) -> anyhow::Result<Wanted> {
        if self.file.is_some() && self.bundled.is_some() {
            bail!("file and bundled are set: expected one of them");
        }
        let of_berth = self.bundled.as_deref().unwrap_or(name);
        let component = match (&self.file, bundled::find(of_berth)) {
            (Some(path), _) => Bytes::from(source::read(&path.to_string_lossy()).context("file")?.component),
            (None, Some(own)) => Bytes::from_static(own.component),
            (None, None) => {
                bail!("file: is not set, and no policy {of_berth:?} comes with Berth: {}", bundled::names())
            }
        };
        let signature = match &self.signature {
            Some(path) => std::fs::read(path).with_context(|| format!("signature: cannot read {}", path.display()))?,
            None => Vec::new(),
        };
        Ok(Wanted {
            name: name.to_owned(),
            component,
            digest: self.digest.clone().unwrap_or_default(),
            settings: self.settings(),
            signature,
        })
    }
}

/// What the configuration file says of policies.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct FilePolicies {
    pub(crate) plugins: BTreeMap<String, FilePlugin>,
    /// Roles by pattern of instance names; empty: the bundled default.
    pub(crate) instances: BTreeMap<String, Roles>,
}

impl FilePolicies {
    /// The set that the file describes, or what it names that is not there.
    fn set(&self, versions: &BTreeMap<String, String>) -> anyhow::Result<PolicySet> {
        let roles = [(Role::Properties, "containment"), (Role::Rank, "reapi-priority")];
        let roles = roles.into_iter().map(|(role, plugin)| (role, vec![plugin.to_owned()])).collect();
        let instances = match self.instances.is_empty() {
            true => BTreeMap::from([(EVERYWHERE.to_owned(), roles)]),
            false => self.instances.clone(),
        };
        let mut set = PolicySet { plugins: BTreeMap::new(), instances };
        for (pattern, roles) in &set.instances {
            for (role, name) in roles.iter().flat_map(|(role, names)| names.iter().map(move |name| (role, name))) {
                let digest = versions.get(name).map(String::as_str).or(bundled::find(name).map(|own| &*own.digest));
                let Some(digest) = digest else {
                    bail!(
                        "policy.instances.{pattern:?}.{role} names {name:?}: expected a plugin of [plugins.{name}], or one \
                         that comes with Berth: {}",
                        bundled::names()
                    );
                };
                set.plugins.insert(name.clone(), digest.to_owned());
            }
        }
        Ok(set)
    }
}

/// What must be stored once the engine runs.
pub(crate) struct Started {
    pub(crate) policy: Arc<PluginPolicy>,
    pub(crate) batch: Batch,
    /// What is active now and was not when the server ran last, or the other way round.
    pub(crate) told: Vec<PolicyChanged>,
}

impl Registry {
    /// Loads what the server starts with, and puts it in force.
    pub(crate) fn start(&self, file: &FilePolicies) -> anyhow::Result<Started> {
        let mut batch = Batch::default();
        let before = self.look(|ledger, _| ledger.active().map(|row| row.set.clone())).unwrap_or_default();
        self.follow_binary(&mut batch);
        let mut named = Vec::new();
        for (name, plugin) in &file.plugins {
            let wanted = plugin.read(name).or_else(|error| self.stored_copy(name, plugin, error));
            named.push(wanted.with_context(|| format!("plugins.{name}"))?);
        }
        // Components that come with Berth change with it, which is no reason to undo what was activated since.
        let digests: Vec<_> = named.iter().map(|wanted| digest_of(&wanted.component)).collect();
        let digests: Vec<_> = digests.into_iter().filter(|digest| bundled::component(digest).is_none()).collect();
        let said = digest_of(&serde_json::to_vec(&(file, digests)).expect("a configuration is JSON"));
        let stored = self.look(|ledger, _| ledger.active().cloned().filter(|_| ledger.file_digest == said));
        let row = match stored {
            Some(row) => row,
            None => self.apply(file, named, said, &mut batch)?,
        };
        let mut plugins = Plugins::new();
        for (name, digest) in &row.set.plugins {
            let key = (name.clone(), digest.clone());
            let plugin = self.load_stored_or_new(&key).with_context(|| {
                format!("plugin {name} of the active set (policy.kind = \"built-in\" starts without plugins)")
            })?;
            let cost = plugin.load_cost();
            tracing::info!(plugin = name, digest, ms = cost.total.as_millis(), cached = cost.cached, "plugin loaded");
            plugins.insert(name.clone(), plugin);
        }
        let generation =
            build(&row.set, &plugins).with_context(|| format!("set {} of policies ({})", row.number, row.why))?;
        let policy = Arc::new(PluginPolicy::new(generation));
        self.put_policy(&policy);
        let told = told::between(&before, &row.set, What::Activated);
        Ok(Started { policy, batch, told })
    }

    /// What a file held when it was read last, where it cannot be read now: a server that has the policy comes up with it.
    fn stored_copy(&self, name: &str, plugin: &FilePlugin, error: anyhow::Error) -> anyhow::Result<Wanted> {
        let settings = plugin.settings();
        let version = self.look(|ledger, _| {
            let own =
                ledger.versions().filter(|row| row.name == name && row.source == "file" && row.settings == settings);
            own.max_by_key(|row| row.loaded_at).map(|row| row.digest.clone())
        });
        let stored = version.and_then(|version| self.stored_component(component_of(&version)).transpose());
        let Some(component) = stored else { return Err(error) };
        tracing::warn!(plugin = name, error = format!("{error:#}"), "the copy of a plugin in the store is used");
        let digest = plugin.digest.clone().unwrap_or_default();
        Ok(Wanted { name: name.to_owned(), component: component?, digest, settings, signature: Vec::new() })
    }

    /// What the file says is checked as if somebody had loaded it, and becomes the active set.
    fn apply(
        &self,
        file: &FilePolicies,
        named: Vec<Wanted>,
        said: String,
        batch: &mut Batch,
    ) -> anyhow::Result<SetRow> {
        let mut versions = BTreeMap::new();
        for wanted in named {
            let (name, digest) = (wanted.name.clone(), digest_of(&wanted.component));
            let (plugin, report) = self.check(&wanted).with_context(|| format!("plugins.{name}"))?;
            report.verdict().map_err(anyhow::Error::msg).with_context(|| format!("plugins.{name}"))?;
            let bundled = bundled::is_own(&name, &digest);
            let row = VersionRow {
                name: name.clone(),
                digest: version_id(&digest, &wanted.settings),
                source: if bundled { "bundled" } else { "file" }.to_owned(),
                settings: wanted.settings,
                loaded_at: now_ms(),
                quarantine: None,
            };
            if !bundled {
                rows::put_component(batch, &digest, &wanted.component);
            }
            rows::put_version(batch, &row);
            versions.insert(name.clone(), row.digest.clone());
            let mut state = self.lock();
            state.loaded.insert((name, row.digest.clone()), plugin);
            state.ledger.add_version(row);
        }
        let set = file.set(&versions)?;
        let mut state = self.lock();
        let (row, forgotten) = state.ledger.push(set, "the configuration file says so".to_owned(), now_ms());
        state.ledger.file_digest = said;
        rows::put_set(batch, &row);
        rows::put_active(batch, row.number, &state.ledger.file_digest);
        forgotten.into_iter().for_each(|number| rows::delete_set(batch, number));
        tracing::info!(set = row.number, "the configuration file says something new: its policies are active");
        Ok(row)
    }

    /// A newer binary brings newer bundled policies: versions and sets that have an older one mean the one that is there.
    fn follow_binary(&self, batch: &mut Batch) {
        let mut state = self.lock();
        let moved = state.ledger.follow(bundled::all().iter().map(|own| (own.name, &*own.digest)));
        if moved.is_empty() {
            return;
        }
        for (old, new) in moved {
            tracing::info!(plugin = new.0, from = old.1, to = new.1, "this binary brings another version");
            rows::delete_version(batch, &old.0, &old.1);
            let row = state.ledger.version(&new).filter(|row| row.loaded_at > 0);
            row.into_iter().for_each(|row| rows::put_version(batch, row));
        }
        state.ledger.sets().for_each(|row| rows::put_set(batch, row));
        state.ledger.observed.iter().for_each(|key| rows::put_observed(batch, key));
    }

    fn load_stored_or_new(&self, key: &(String, String)) -> anyhow::Result<Arc<berth_plugin_host::Plugin>> {
        if let Some(plugin) = self.look(|_, loaded| loaded.get(key).cloned()) {
            return Ok(plugin);
        }
        let plugin = self.load_stored(key)?;
        self.lock().loaded.insert(key.clone(), Arc::clone(&plugin));
        Ok(plugin)
    }
}
