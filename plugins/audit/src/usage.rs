//! One row: what a tenant used.

use berth_policy_sdk::events::JobCompleted;
use serde::{Deserialize, Serialize};

/// `google.rpc.Code` of a job that was cancelled.
const CANCELLED: u32 = 1;

/// Sums from the first event on. Jobs that are neither completed, failed nor cancelled are still there.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Usage {
    /// Jobs that came in.
    pub(crate) created: u64,
    /// Of them, those with a result.
    pub(crate) completed: u64,
    /// Of the completed, those whose result came from the action cache.
    pub(crate) cached: u64,
    /// Those that ended with an error.
    pub(crate) failed: u64,
    /// Those that were cancelled.
    pub(crate) cancelled: u64,
    /// Attempts of all that ended.
    pub(crate) attempts: u64,
    /// How long the last attempts of all that ended ran.
    pub(crate) run_ms: u64,
    /// How long all that ended were there.
    pub(crate) total_ms: u64,
}

impl Usage {
    pub(crate) fn created(&mut self) {
        add(&mut self.created, 1);
    }

    pub(crate) fn ended(&mut self, job: &JobCompleted) {
        match job.code {
            0 => {
                add(&mut self.completed, 1);
                add(&mut self.cached, job.cached.into());
            }
            CANCELLED => add(&mut self.cancelled, 1),
            _ => add(&mut self.failed, 1),
        }
        add(&mut self.attempts, job.attempts.into());
        add(&mut self.run_ms, job.ran_ms);
        add(&mut self.total_ms, job.total_ms);
    }
}

fn add(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by);
}
