//! The bundled policy for order: REAPI's priority, then age, all jobs in one lane. `README.md` tells who wants it.
//!
//! Berth has the same rule built in; a test holds the two equal.

use berth_policy_sdk::{About, Jobs, Places, Priority, export_policy};

struct ReapiPriority;

impl Priority for ReapiPriority {
    fn place(jobs: Jobs) -> Places {
        Places { rank: Some(jobs.priority.into_iter().map(i64::from).collect()), ..Places::default() }
    }
}

impl About for ReapiPriority {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(ReapiPriority: Priority, About);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(ReapiPriority, ReapiPriority::EXAMPLES);
    }

    #[test]
    fn only_the_column_of_ranks_is_answered() {
        let places = ReapiPriority::place(Jobs { priority: vec![5], ..Jobs::default() });
        assert_eq!(places, Places { rank: Some(vec![5]), ..Places::default() });
    }
}
