//! Which instance name is served by which engine.

use std::{collections::HashMap, sync::Arc};

use berth_core::InstanceName;
use berth_runtime::{Engine, store::PartitionId};

use crate::{bots::Workers, error::Error};

/// An instance name and the engine that serves it.
#[derive(Clone)]
pub(crate) struct Instance {
    pub(crate) name: InstanceName,
    pub(crate) engine: Engine,
    /// What the bots of the partition said of themselves.
    pub(crate) workers: Arc<Workers>,
}

/// All instances of the server. Fixed at start. Cheap to clone.
#[derive(Clone, Default)]
pub struct Instances(Arc<HashMap<Arc<str>, Instance>>);

impl Instances {
    /// Each name with the handle of its partition; instances of one partition share it.
    pub fn new(instances: impl IntoIterator<Item = (String, Engine)>) -> Self {
        let mut workers: HashMap<PartitionId, Arc<Workers>> = HashMap::new();
        let instance = |(name, engine): (String, Engine)| {
            let name: Arc<str> = name.into();
            let workers = workers.entry(engine.history().partition()).or_default().clone();
            (name.clone(), Instance { name: InstanceName(name), engine, workers })
        };
        Self(Arc::new(instances.into_iter().map(instance).collect()))
    }

    /// The instance that a field of a request names.
    pub(crate) fn get(&self, field: &'static str, name: &str) -> Result<&Instance, Error> {
        self.find(name).ok_or_else(|| Error::UnknownInstance { field, name: shown(name) })
    }

    /// The instance of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Instance> {
        self.0.get(name)
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Instance> {
        let mut all: Vec<_> = self.0.values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// One handle for each partition.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        let mut engines: Vec<Engine> = self.0.values().map(|instance| instance.engine.clone()).collect();
        engines.sort_by_key(|engine| engine.history().partition());
        engines.dedup_by_key(|engine| engine.history().partition());
        engines
    }
}

/// As much of what a client sent as an answer repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}
