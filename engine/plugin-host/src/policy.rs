//! Who is asked: for each instance name, one plugin for properties and one for places; the built-in rule for the rest.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{
    ExecutionProperties, ExecutionQuestion, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
    WorkerQuestion,
};

use crate::place::BATCH_JOBS_MAX;
use crate::plugin::Plugin;
use crate::stats::PluginStats;

/// Who answers for an instance name. Where there is no plugin, the built-in rule does.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    properties: Option<Arc<Plugin>>,
    place: Option<Arc<Plugin>>,
}

/// A plugin was named for questions that it cannot answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("plugin {plugin} does not export {interface}, so it cannot answer for it")]
pub struct ChainError {
    /// The plugin's name.
    pub plugin: String,
    /// What it lacks.
    pub interface: &'static str,
}

impl Chain {
    /// Names the plugins. Fails if one does not export what it is named for.
    pub fn new(properties: Option<Arc<Plugin>>, place: Option<Arc<Plugin>>) -> Result<Self, ChainError> {
        let lacks = |plugin: &Plugin, interface| ChainError { plugin: plugin.name().to_owned(), interface };
        if let Some(plugin) = properties.as_deref().filter(|plugin| !plugin.exports().properties) {
            return Err(lacks(plugin, "berth:policy/properties"));
        }
        if let Some(plugin) = place.as_deref().filter(|plugin| !plugin.exports().priority) {
            return Err(lacks(plugin, "berth:policy/priority"));
        }
        Ok(Self { properties, place })
    }

    fn plugins(&self) -> impl Iterator<Item = &Arc<Plugin>> {
        self.properties.iter().chain(&self.place)
    }

    fn place_all(&self, questions: &[PlaceQuestion<'_>], placements: &mut Vec<Placement>) {
        let Some(plugin) = &self.place else {
            return placements.extend(BuiltinPolicy.place(questions));
        };
        for batch in questions.chunks(BATCH_JOBS_MAX) {
            // The fault is counted and logged where it happened; jobs go on by the built-in rule.
            placements.extend(plugin.place(batch).unwrap_or_else(|_| BuiltinPolicy.place(batch)));
        }
    }
}

/// All chains that are in force at a time. Never changed: a change is a new generation.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    number: u64,
    by_instance: HashMap<String, Chain>,
    otherwise: Chain,
}

impl Generation {
    /// One chain for all instance names.
    pub fn new(otherwise: Chain) -> Self {
        Self { otherwise, ..Self::default() }
    }

    /// A chain of its own for one instance name.
    pub fn with_instance(mut self, instance: impl Into<String>, chain: Chain) -> Self {
        self.by_instance.insert(instance.into(), chain);
        self
    }

    /// Counts activations, from 1. What a plugin decided belongs to the generation that it was asked in.
    pub fn number(&self) -> u64 {
        self.number
    }

    fn chain(&self, instance: &str) -> &Chain {
        if self.by_instance.is_empty() {
            return &self.otherwise;
        }
        self.by_instance.get(instance).unwrap_or(&self.otherwise)
    }

    /// Each plugin once.
    fn plugins(&self) -> Vec<&Arc<Plugin>> {
        let mut plugins: Vec<&Arc<Plugin>> = Vec::new();
        for plugin in self.by_instance.values().chain([&self.otherwise]).flat_map(Chain::plugins) {
            if !plugins.iter().any(|known| Arc::ptr_eq(known, plugin)) {
                plugins.push(plugin);
            }
        }
        plugins
    }
}

/// The engine's policy, answered by plugins.
#[derive(Debug)]
pub struct PluginPolicy {
    active: RwLock<Arc<Generation>>,
}

impl PluginPolicy {
    /// Starts with this generation, as number 1.
    pub fn new(mut first: Generation) -> Self {
        first.number = 1;
        Self { active: RwLock::new(Arc::new(first)) }
    }

    /// The generation in force.
    pub fn active(&self) -> Arc<Generation> {
        // An assignment under the lock cannot leave it half done.
        Arc::clone(&self.active.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another generation in force and returns the one before. Calls that are running finish on the old one,
    /// whose plugins live until then.
    pub fn activate(&self, mut next: Generation) -> Arc<Generation> {
        let mut active = self.active.write().unwrap_or_else(PoisonError::into_inner);
        next.number = active.number + 1;
        std::mem::replace(&mut *active, Arc::new(next))
    }

    /// The counters of the plugins in force.
    pub fn stats(&self) -> Vec<PluginStats> {
        self.active().plugins().into_iter().map(|plugin| plugin.stats()).collect()
    }
}

impl Policy for PluginPolicy {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        match &self.active().chain(question.instance).properties {
            Some(plugin) => plugin.execution_properties(question),
            None => BuiltinPolicy.execution_properties(question),
        }
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        match &self.active().chain(question.instance).properties {
            Some(plugin) => plugin.worker_properties(question),
            None => BuiltinPolicy.worker_properties(question),
        }
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let active = self.active();
        let mut placements = Vec::with_capacity(questions.len());
        // Batches do not mix chains; without chains of their own, all instances share one.
        let alone = active.by_instance.is_empty();
        for run in questions.chunk_by(|one, next| alone || one.instance == next.instance) {
            active.chain(run[0].instance).place_all(run, &mut placements);
        }
        placements
    }
}
