//! Who weighs how much.

use berth_policy_names::Pattern;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The first that fits the tenant counts.
    pub(crate) weights: Vec<Weight>,
    pub(crate) default_weight: u32,
    /// What stands for the tenant where nobody said who the client is.
    pub(crate) without_tenant: Key,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Weight {
    pub(crate) tenant: Pattern,
    pub(crate) weight: u32,
}

/// A column of the question.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Key {
    CorrelatedInvocations,
    Tool,
    Instance,
    /// All of them are one tenant.
    Nothing,
}

impl Default for Config {
    fn default() -> Self {
        Self { weights: Vec::new(), default_weight: 1, without_tenant: Key::CorrelatedInvocations }
    }
}

impl Config {
    /// At least 1, as the contract wants it.
    pub(crate) fn weight(&self, tenant: &str) -> u32 {
        let found = self.weights.iter().find(|one| one.tenant.matches(tenant));
        found.map_or(self.default_weight, |one| one.weight).max(1)
    }
}
