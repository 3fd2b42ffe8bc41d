//! Questions and answers of `priority` and `choosing`: who goes first. Rows, where the contract has columns.

use serde::{Deserialize, Serialize};

use crate::common::Record;
use crate::matching::sort_sets;
use crate::property::Property;

/// What `place` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PlaceQuestion {
    /// The jobs.
    pub jobs: Vec<Job>,
}

/// A job that needs a place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Job {
    /// The instance name of the request.
    pub instance: String,
    /// Who the client is.
    pub tenant: String,
    /// The label from `execution-properties`.
    pub label: String,
    /// The priority from REAPI's execution policy.
    pub priority: i32,
    /// The invocation of the build tool: one build.
    pub invocation: String,
    /// What several invocations share.
    pub correlated_invocations: String,
    /// The name of the build tool.
    pub tool: String,
    /// What kind of action it is.
    pub mnemonic: String,
    /// The target that is being built.
    pub target: String,
    /// What a client says of where its inputs are.
    pub locality_hint: String,
    /// How long the job has been queued.
    pub waited_ms: u64,
}

/// What `place` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PlaceAnswer {
    /// One a job.
    pub places: Vec<Place>,
}

/// Where a job stands. What is not said is what a column that is not there means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Place {
    /// The name of the lane; empty: the default lane.
    pub lane: String,
    /// The weight of that lane.
    pub weight: u32,
    /// The rank; smaller is sooner.
    pub rank: i64,
    /// The counters that the job belongs to.
    pub limits: Vec<Limit>,
    /// The keys that bots shall share with it.
    pub affinities: Vec<Affinity>,
    /// The key of what is learnt of it; empty: none.
    pub history: String,
    /// After how long Berth asks again; 0: never.
    pub again_ms: u32,
}

impl Default for Place {
    fn default() -> Self {
        Self {
            lane: String::new(),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            history: String::new(),
            again_ms: 0,
        }
    }
}

/// How many jobs of one kind there may be at a time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Limit {
    /// The name of the counter.
    pub name: String,
    /// The most that may run at a time.
    pub max_running: Option<u32>,
    /// The most that may be queued.
    pub max_queued: Option<u32>,
    /// As many as shall run before others get a bot.
    pub min_running: u32,
    /// After how long others give way while fewer run; none: never.
    pub evict_after_ms: Option<u32>,
    /// For how long giving way makes `max_running` smaller; 0: not at all.
    pub cool_down_ms: u32,
}

/// A bot that served a job with the same key lately is preferred.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Affinity {
    /// The key.
    pub key: String,
    /// What it is worth.
    pub weight: u32,
    /// How long the job waits for such a bot.
    pub wait_ms: u32,
}

/// What `choose` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ChooseQuestion {
    /// The bot that asks for work.
    pub worker: Worker,
    /// Lanes that have a job for it.
    pub lanes: Vec<Lane>,
    /// Whether there are more.
    pub truncated: bool,
}

/// A bot that asks for work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Worker {
    /// The instance name.
    pub instance: String,
    /// The name that the bot gave itself.
    pub bot_id: String,
    /// What it said of itself: sets.
    pub capabilities: Vec<Vec<Property>>,
    /// Leases that it has already.
    pub busy: u32,
    /// Leases that it can have; 1 if nothing is said.
    pub slots: u32,
    /// Affinity keys of the jobs that it was given, the newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub recent: Vec<String>,
}

impl Default for Worker {
    fn default() -> Self {
        Self {
            instance: String::new(),
            bot_id: String::new(),
            capabilities: Vec::new(),
            busy: 0,
            slots: 1,
            recent: Vec::new(),
        }
    }
}

/// A lane that has a job for the bot.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Lane {
    /// Its name.
    pub name: String,
    /// Its weight; 1 if nothing is said.
    pub weight: u32,
    /// Jobs that wait; 1 if nothing is said.
    pub queued: u32,
    /// Jobs that bots have.
    pub running: u32,
    /// How long the oldest that the bot could take has waited.
    pub head_waited_ms: u64,
    /// The rank of the job that the bot would get.
    pub head_rank: i64,
}

impl Default for Lane {
    fn default() -> Self {
        Self { name: String::new(), weight: 1, queued: 1, running: 0, head_waited_ms: 0, head_rank: 0 }
    }
}

/// What `choose` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ChooseAnswer {
    /// The name of the lane, where the contract has its index; none: Berth decides by weight.
    pub lane: Option<String>,
}

impl Record for PlaceQuestion {}
impl Record for PlaceAnswer {}

impl Record for ChooseQuestion {
    fn tidy(&mut self) {
        sort_sets(&mut self.worker.capabilities);
    }
}

impl Record for ChooseAnswer {}
