//! What a policy finds around it while it is asked: what stands behind its imports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bytes::Bytes;

/// What a policy finds around it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Surroundings {
    /// The policy's own table of the configuration.
    pub config: Map<String, Value>,
    /// What `clock.now-ms` says.
    pub now_ms: u64,
    /// What is in `kv`.
    pub kv: BTreeMap<String, Bytes>,
    /// What `stats` tells.
    pub stats: Stats,
}

/// What `stats` tells. What is not listed has no jobs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Stats {
    /// Jobs of lanes.
    pub lanes: Vec<Load>,
    /// Jobs with labels.
    pub labels: Vec<Load>,
    /// Jobs of tenants.
    pub tenants: Vec<Load>,
    /// What was learnt.
    pub history: Vec<History>,
}

/// How many jobs are where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Load {
    /// The instance name.
    pub instance: String,
    /// The lane, the label or the tenant.
    pub name: String,
    /// Jobs that wait.
    pub queued: u32,
    /// Jobs that bots have.
    pub running: u32,
}

/// What was learnt of jobs with the same key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct History {
    /// The key.
    pub key: String,
    /// Finished jobs that it tells of; 1 if nothing is said.
    pub samples: u32,
    /// How long they ran.
    pub mean_ms: u64,
    /// Half of them ran no longer.
    pub p50_ms: u64,
    /// Nine of ten ran no longer.
    pub p90_ms: u64,
    /// None ran longer.
    pub max_ms: u64,
    /// The most memory that one was seen to use.
    pub peak_memory_bytes: u64,
    /// How many of the last 16 failed.
    pub failures: u32,
}

impl Default for History {
    fn default() -> Self {
        Self {
            key: String::new(),
            samples: 1,
            mean_ms: 0,
            p50_ms: 0,
            p90_ms: 0,
            max_ms: 0,
            peak_memory_bytes: 0,
            failures: 0,
        }
    }
}
