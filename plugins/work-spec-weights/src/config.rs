//! Which rule, and what is said of each work spec, in Coordinate's words.

use std::collections::BTreeMap;

use serde::Deserialize;

/// What Coordinate starts from where a work spec says only how nice it is.
const WEIGHT: i64 = 20;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) rule: Rule,
    /// Which column of the question is the name of the work spec.
    pub(crate) work_spec: Column,
    /// By name. A work spec that is not here has the defaults.
    pub(crate) specs: BTreeMap<String, Spec>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Rule {
    /// That of Coordinate's Go server.
    Simplified,
    /// That of Coordinate's Python server.
    Classic,
}

/// A column of the question.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Column {
    Invocation,
    CorrelatedInvocations,
    Tenant,
    Tool,
    Mnemonic,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Spec {
    weight: i64,
    nice: i64,
    /// `simplified`: a work spec with a larger one goes before all others.
    pub(crate) priority: i64,
    /// `classic`: the work spec that its output goes to.
    pub(crate) then: Option<String>,
    /// `classic`: that one goes before this.
    pub(crate) then_preempts: bool,
    /// `classic`: it makes its own work units.
    pub(crate) continuous: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { rule: Rule::Simplified, work_spec: Column::Invocation, specs: BTreeMap::new() }
    }
}

impl Default for Spec {
    fn default() -> Self {
        Self { weight: 0, nice: 0, priority: 0, then: None, then_preempts: true, continuous: false }
    }
}

impl Spec {
    /// Its weight, or what follows from how nice it is; at least 1.
    pub(crate) fn weight(&self) -> u32 {
        let weight = if self.weight == 0 { WEIGHT.saturating_sub(self.nice) } else { self.weight };
        u32::try_from(weight.max(1)).unwrap_or(u32::MAX)
    }
}

impl Config {
    /// Whether every work spec stands for itself.
    pub(crate) fn is_plain(&self) -> bool {
        self.specs.values().all(|spec| spec.then.is_none() && !spec.continuous)
    }
}
