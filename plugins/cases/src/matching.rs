//! Questions and answers of `properties`, `matching` and `unmatched`: what fits what.

use serde::{Deserialize, Serialize};

use crate::common::{Record, Refusal};
use crate::property::{Property, sort, sort_set};

/// What `execution-properties` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ExecutionQuestion {
    /// The instance name of the request.
    pub instance: String,
    /// The platform of the action.
    pub platform: Vec<Property>,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ExecutionAnswer {
    /// One word for metrics and limits.
    pub label: String,
    /// What a bot must offer: a set.
    pub requirements: Vec<Property>,
    /// What it should offer if there is a choice: a set.
    pub preferred: Option<Vec<Property>>,
}

/// What `worker-properties` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorkerQuestion {
    /// The instance name of the bot's session.
    pub instance: String,
    /// The name that the bot gave itself.
    pub bot_id: String,
    /// The properties of its worker and of its first device.
    pub properties: Vec<Property>,
}

/// What it answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WorkerAnswer {
    /// Words for metrics and limits.
    pub labels: Vec<String>,
    /// What the bot can serve: sets.
    pub capabilities: Vec<Vec<Property>>,
    /// How good a bot it is.
    pub score: u32,
}

/// What `matches` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MatchesQuestion {
    /// The instance name.
    pub instance: String,
    /// The pairs to be judged.
    pub pairs: Vec<Pair>,
}

/// A need and an offer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Pair {
    /// What a class of jobs needs.
    pub need: Need,
    /// What a class of bots offers.
    pub offer: Offer,
}

/// What a class of jobs needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Need {
    /// The label of the jobs.
    pub label: String,
    /// What they require: a set.
    pub requirements: Vec<Property>,
}

/// What a class of bots offers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Offer {
    /// What they can serve: sets.
    pub capabilities: Vec<Vec<Property>>,
}

/// What `matches` answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MatchesAnswer {
    /// One a pair; 0: does not fit.
    pub scores: Vec<u32>,
}

/// What `nobody` of `unmatched` is asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NobodyQuestion {
    /// The instance name.
    pub instance: String,
    /// The label of the jobs.
    pub label: String,
    /// What they require: a set.
    pub requirements: Vec<Property>,
    /// How many are queued.
    pub jobs: u32,
    /// How long the oldest has waited.
    pub oldest_ms: u64,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NobodyAnswer {
    /// Leave them in the queue, and ask again after as many milliseconds.
    Wait(u64),
    /// End them.
    Refuse(Refusal),
}

impl Record for ExecutionQuestion {
    fn tidy(&mut self) {
        sort(&mut self.platform);
    }
}

impl Record for ExecutionAnswer {
    fn tidy(&mut self) {
        sort_set(&mut self.requirements);
        self.preferred.iter_mut().for_each(sort_set);
    }
}

impl Record for WorkerQuestion {
    fn tidy(&mut self) {
        sort(&mut self.properties);
    }
}

impl Record for WorkerAnswer {
    fn tidy(&mut self) {
        sort_sets(&mut self.capabilities);
    }
}

impl Record for MatchesQuestion {
    fn tidy(&mut self) {
        for pair in &mut self.pairs {
            sort_set(&mut pair.need.requirements);
            sort_sets(&mut pair.offer.capabilities);
        }
    }
}

impl Record for MatchesAnswer {}

impl Record for NobodyQuestion {
    fn tidy(&mut self) {
        sort_set(&mut self.requirements);
    }
}

impl Record for NobodyAnswer {}

/// For capabilities: sets in no order.
pub(crate) fn sort_sets(sets: &mut Vec<Vec<Property>>) {
    sets.iter_mut().for_each(sort_set);
    sets.sort();
    sets.dedup();
}
