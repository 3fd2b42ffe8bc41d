//! How priority and age are weighed.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Of a hundred assignments, how many go by priority; the others go to the job that has waited longest.
    pub(crate) priority_assignment_percentage: u32,
    /// After each such time a job is worth one step of priority more; 0: never.
    pub(crate) aging_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { priority_assignment_percentage: 100, aging_ms: 60_000 }
    }
}

impl Config {
    pub(crate) fn some_go_by_age(&self) -> bool {
        self.priority_assignment_percentage < 100
    }
}
