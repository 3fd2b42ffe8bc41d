//! All chains that are in force at a time, found and checked: for each instance name, the plugin behind each role.
//!
//! Never changed: a change is a new generation. How its plugins are asked is in `ask.rs`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::exports::Interface;
use crate::place::Owned;
use crate::plugin::Plugin;
use crate::spec::{ChainSpec, GenerationSpec, SpecError};
use crate::stats::PluginStats;

/// Loaded plugins by their names.
pub type Plugins = BTreeMap<String, Arc<Plugin>>;

/// Who answers for an instance name. Where there is no plugin, the built-in rule does.
#[derive(Debug, Default)]
pub(crate) struct Chain {
    pub(crate) properties: Option<Arc<Plugin>>,
    /// Plugins that own columns of `place`, each once.
    pub(crate) place: Vec<(Arc<Plugin>, Owned)>,
    pub(crate) choose: Option<Arc<Plugin>>,
    pub(crate) create_job: Vec<Arc<Plugin>>,
    pub(crate) queue_job: Vec<Arc<Plugin>>,
    pub(crate) after_attempt: Vec<Arc<Plugin>>,
    pub(crate) before_prune: Vec<Arc<Plugin>>,
}

/// See the head of the file.
#[derive(Debug, Default)]
pub struct Generation {
    pub(crate) number: u64,
    spec: GenerationSpec,
    plugins: Plugins,
    exact: HashMap<String, Chain>,
    /// The longest first.
    prefixes: Vec<(String, Chain)>,
    otherwise: Chain,
    pub(crate) events: Vec<Arc<Plugin>>,
    /// Those that were good when this came into force: it is looked after them.
    watched: Vec<Arc<Plugin>>,
}

impl Generation {
    /// Finds the plugins of a description.
    pub fn build(spec: &GenerationSpec, loaded: &Plugins) -> Result<Self, SpecError> {
        let mut built = Self { spec: spec.clone(), ..Self::default() };
        for (pattern, chain) in &spec.instances {
            let chain = Chain::build(pattern, chain, loaded)?;
            match pattern.split_once('*') {
                None => _ = built.exact.insert(pattern.clone(), chain),
                Some(("", "")) => built.otherwise = chain,
                Some((prefix, "")) => built.prefixes.push((prefix.to_owned(), chain)),
                Some(_) => return Err(SpecError::Pattern(pattern.clone())),
            }
        }
        built.prefixes.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        built.events = several("events", "", &spec.events, Interface::Events, loaded)?;
        for name in spec.plugins() {
            let plugin = Arc::clone(loaded.get(name).expect("every plugin of the description was found"));
            if !plugin.is_quarantined() {
                built.watched.push(Arc::clone(&plugin));
            }
            built.plugins.insert(name.to_owned(), plugin);
        }
        Ok(built)
    }

    /// Counts activations, from 1; 0: it was never in force. What a plugin decided belongs to the generation that it
    /// was asked in.
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What it was built from.
    pub fn spec(&self) -> &GenerationSpec {
        &self.spec
    }

    /// The plugins that it asks, by name.
    pub fn plugins(&self) -> &Plugins {
        &self.plugins
    }

    /// The counters of its plugins.
    pub fn stats(&self) -> Vec<PluginStats> {
        self.plugins.values().map(|plugin| plugin.stats()).collect()
    }

    pub(crate) fn chain(&self, instance: &str) -> &Chain {
        if let Some(chain) = self.exact.get(instance) {
            return chain;
        }
        let fits = self.prefixes.iter().find(|(prefix, _)| instance.starts_with(prefix));
        fits.map_or(&self.otherwise, |(_, chain)| chain)
    }

    /// Whether all instance names have the same chain.
    pub(crate) fn is_alone(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    pub(crate) fn chains(&self) -> impl Iterator<Item = &Chain> {
        let prefixes = self.prefixes.iter().map(|(_, chain)| chain);
        self.exact.values().chain(prefixes).chain([&self.otherwise])
    }

    /// Plugins that were put into quarantine since this came into force.
    pub(crate) fn fallen(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.watched.iter().filter(|plugin| plugin.is_quarantined())
    }

    /// The same roles with other plugins behind some names.
    pub(crate) fn with(&self, plugins: &Plugins) -> Result<Self, SpecError> {
        Self::build(&self.spec, plugins)
    }
}

impl Chain {
    fn build(pattern: &str, spec: &ChainSpec, loaded: &Plugins) -> Result<Self, SpecError> {
        let one = |role: &str, name: &Option<String>, interface| {
            name.as_deref().map(|name| find(&place_of(pattern, role), name, interface, loaded)).transpose()
        };
        let list = |role: &str, names: &[String], interface| several(role, pattern, names, interface, loaded);
        let mut place: Vec<(Arc<Plugin>, Owned)> = Vec::new();
        let columns = [
            ("lane", &spec.lane, Owned::LANE),
            ("rank", &spec.rank, Owned::RANK),
            ("limits", &spec.limits, Owned::LIMITS),
            ("affinity", &spec.affinity, Owned::AFFINITY),
            ("history", &spec.history, Owned::HISTORY),
            ("again", &spec.again, Owned::AGAIN),
        ];
        for (role, name, column) in columns {
            let (role, name) = if name.is_some() { (role, name) } else { ("place", &spec.place) };
            let Some(plugin) = one(role, name, Interface::Priority)? else { continue };
            match place.iter_mut().find(|(known, _)| Arc::ptr_eq(known, &plugin)) {
                Some((_, owned)) => owned.0 |= column.0,
                None => place.push((plugin, column)),
            }
        }
        Ok(Self {
            properties: one("properties", &spec.properties, Interface::Properties)?,
            place,
            choose: one("choose", &spec.choose, Interface::Choosing)?,
            create_job: list("create_job", &spec.create_job, Interface::CreateJob)?,
            queue_job: list("queue_job", &spec.queue_job, Interface::QueueJob)?,
            after_attempt: list("after_attempt", &spec.after_attempt, Interface::AfterAttempt)?,
            before_prune: list("before_prune", &spec.before_prune, Interface::BeforePrune)?,
        })
    }

    /// Whether places may depend on tables and figures of one instance name.
    pub(crate) fn reads_desk(&self) -> bool {
        self.place.iter().any(|(plugin, _)| plugin.reads_desk())
    }
}

fn several(
    role: &str,
    pattern: &str,
    names: &[String],
    interface: Interface,
    loaded: &Plugins,
) -> Result<Vec<Arc<Plugin>>, SpecError> {
    let place = place_of(pattern, role);
    if let Some((_, twice)) = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name)) {
        return Err(SpecError::Twice { place, plugin: twice.clone() });
    }
    names.iter().map(|name| find(&place, name, interface, loaded)).collect()
}

fn find(place: &str, name: &str, interface: Interface, loaded: &Plugins) -> Result<Arc<Plugin>, SpecError> {
    let (place, plugin) = (place.to_owned(), name.to_owned());
    let Some(found) = loaded.get(name) else {
        let names: Vec<&str> = loaded.keys().map(String::as_str).collect();
        let loaded = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(SpecError::NotLoaded { place, plugin, loaded });
    };
    if !found.has(interface) {
        let (interface, exports) = (interface.name(), found.exports().to_string());
        return Err(SpecError::NotExported { place, plugin, interface, exports });
    }
    Ok(Arc::clone(found))
}

/// Where something is said, for messages.
fn place_of(pattern: &str, role: &str) -> String {
    if pattern.is_empty() { role.to_owned() } else { format!("{role} of instances {pattern:?}") }
}
