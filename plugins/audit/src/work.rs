//! One row of a namespace's books: what became of the units of a spec.

use berth_policy_sdk::events::WorkUnitsChanged;
use serde::{Deserialize, Serialize};

/// Sums from the first event on. Renewals, changes of data and priorities are not counted.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Work {
    /// Units that came in, those in place of older ones of their keys included.
    pub(crate) added: u64,
    /// How often one was given to a worker.
    pub(crate) leased: u64,
    pub(crate) finished: u64,
    pub(crate) failed: u64,
    /// Those that stand in the queue again after they had ended.
    pub(crate) retried: u64,
    /// How often a worker gave one back.
    pub(crate) released: u64,
    /// How often one was taken from a worker that took too long.
    pub(crate) expired: u64,
    pub(crate) deleted: u64,
}

impl Work {
    /// Counts the units of a change.
    pub(crate) fn count(&mut self, changed: &WorkUnitsChanged) {
        let sum = match changed.what.as_str() {
            "added" => &mut self.added,
            "leased" => &mut self.leased,
            "finished" => &mut self.finished,
            "failed" => &mut self.failed,
            "retried" => &mut self.retried,
            "released" => &mut self.released,
            "expired" => &mut self.expired,
            "deleted" => &mut self.deleted,
            _ => return,
        };
        *sum = sum.saturating_add(changed.keys.len() as u64);
    }
}
