//! The bundled policy for quotas: how much of the bots and of the queue a tenant, an instance or a label may have, and
//! how much it is sure to get.
//!
//! It only says which counters a job belongs to and what their limits are. Berth counts, and keeps to the limits at
//! every moment; README.md tells what each of them does.

mod config;
mod rule;

use berth_policy_sdk::{About, Jobs, Places, Priority, config, export_policy};

struct Quota;

impl Priority for Quota {
    fn place(jobs: Jobs) -> Places {
        rule::place(config(), &jobs)
    }
}

impl About for Quota {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Quota: Priority, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::Quota, super::Quota::EXAMPLES);
    }
}
