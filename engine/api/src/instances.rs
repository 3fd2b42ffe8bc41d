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
pub struct Instances {
    by_name: Arc<HashMap<Arc<str>, Instance>>,
    /// Where bots are at home that serve all of them; `None`: there are no such bots.
    all: Option<Arc<Instance>>,
}

impl Instances {
    /// Each name with the handle of its partition; instances of one partition share it.
    pub fn new(instances: impl IntoIterator<Item = (String, Engine)>) -> Self {
        let mut workers: HashMap<PartitionId, Arc<Workers>> = HashMap::new();
        let instance = |(name, engine): (String, Engine)| {
            let name: Arc<str> = name.into();
            let workers = workers.entry(engine.history().partition()).or_default().clone();
            (name.clone(), Instance { name: InstanceName(name), engine, workers })
        };
        Self { by_name: Arc::new(instances.into_iter().map(instance).collect()), all: None }
    }

    /// Lets bots in that serve all instances, under the name `*`.
    ///
    /// # Panics
    /// If the instances are in several partitions: a bot has one session, and that is in one of them.
    pub fn with_bots_for_all(self) -> Self {
        let [engine] = self.engines().try_into().ok().expect("bots for all instances need one partition");
        let workers = self.by_name.values().next().expect("an engine serves an instance").workers.clone();
        let all = Instance { name: InstanceName::from(InstanceName::ALL), engine, workers };
        Self { all: Some(Arc::new(all)), ..self }
    }

    /// The instance that a field of a request names where bots are meant: `*` is one.
    pub(crate) fn get_home(&self, field: &'static str, name: &str) -> Result<&Instance, Error> {
        self.find_home(name).ok_or_else(|| Error::UnknownInstance { field, name: shown(name) })
    }

    /// The instance of bots of this name.
    pub(crate) fn find_home(&self, name: &str) -> Option<&Instance> {
        self.find(name).or_else(|| self.all.as_deref().filter(|all| *all.name.0 == *name))
    }

    /// The instance that a field of a request names.
    pub(crate) fn get(&self, field: &'static str, name: &str) -> Result<&Instance, Error> {
        self.find(name).ok_or_else(|| Error::UnknownInstance { field, name: shown(name) })
    }

    /// The instance of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Instance> {
        self.by_name.get(name)
    }

    /// All of them, in the order of their names.
    pub(crate) fn all(&self) -> Vec<Instance> {
        let mut all: Vec<_> = self.by_name.values().cloned().collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// One handle for each partition.
    pub(crate) fn engines(&self) -> Vec<Engine> {
        let mut engines: Vec<Engine> = self.by_name.values().map(|instance| instance.engine.clone()).collect();
        engines.sort_by_key(|engine| engine.history().partition());
        engines.dedup_by_key(|engine| engine.history().partition());
        engines
    }
}

/// As much of what a client sent as an answer repeats.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}
