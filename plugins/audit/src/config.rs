//! By what usage is kept apart.

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// A row for each tenant of each instance, and not only for each tenant.
    pub(crate) by_instance: bool,
}
