//! The bundled policy for order: REAPI's priority, then age, all jobs in one lane.
//!
//! Berth has the same rule built in; a test holds the two equal.

use berth_policy_sdk::{Jobs, Places, PriorityPolicy, export_priority};

struct ReapiOrder;

impl PriorityPolicy for ReapiOrder {
    fn place(jobs: Jobs) -> Places {
        let rank = jobs.priority.into_iter().map(i64::from).collect();
        Places { rank: Some(rank), ..Places::default() }
    }
}

export_priority!(ReapiOrder);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rank_is_the_priority_and_all_stand_in_the_default_lane() {
        let jobs = Jobs {
            strings: vec![String::new()],
            instance: vec![0; 3],
            label: vec![0; 3],
            priority: vec![5, i32::MIN, 0],
            invocation: vec![0; 3],
            correlated_invocations: vec![0; 3],
            tool: vec![0; 3],
            mnemonic: vec![0; 3],
            target: vec![0; 3],
        };
        let places = ReapiOrder::place(jobs);
        assert_eq!(places, Places { rank: Some(vec![5, i64::from(i32::MIN), 0]), ..Places::default() });
    }
}
