//! Which names are numbers, and which mean nothing.

use std::collections::BTreeSet;

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Properties whose value is a minimum.
    pub(crate) numeric: BTreeSet<String>,
    /// Properties that nobody compares.
    pub(crate) ignored: BTreeSet<String>,
    /// The property whose value is the label.
    pub(crate) label: String,
}

impl Default for Config {
    fn default() -> Self {
        let numeric = ["cores", "disk", "memory"].map(str::to_owned).into();
        Self { numeric, ignored: BTreeSet::new(), label: "OSFamily".to_owned() }
    }
}
