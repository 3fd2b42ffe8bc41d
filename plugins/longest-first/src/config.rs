//! What is known of a job, and what is expected of one that nothing is known of.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Jobs with equal values of these are expected to take equally long.
    pub(crate) history_key: Vec<Column>,
    pub(crate) estimate: Estimate,
    /// Fewer finished jobs than these tell nothing.
    pub(crate) samples_min: u32,
    /// What a job takes that nothing is known of.
    pub(crate) unknown_ms: u64,
    /// REAPI's priority decides first, and the duration among equals.
    pub(crate) priority_first: bool,
}

/// A column of the question.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Column {
    Instance,
    Label,
    Tool,
    Mnemonic,
    Target,
}

/// Which figure of the history is believed.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Estimate {
    Mean,
    P50,
    P90,
    Max,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            history_key: vec![Column::Target, Column::Mnemonic],
            estimate: Estimate::Mean,
            samples_min: 1,
            unknown_ms: 1_000,
            priority_first: true,
        }
    }
}
