//! The bundled policy for builds that end sooner: of the jobs of a build, those go first that took longest before.
//!
//! It answers the rank and the history key of a job, and no lanes: those belong to the policy that shares bots among
//! builds. README.md tells where the figures come from.

mod config;
mod rule;

use berth_policy_sdk::{About, Jobs, Places, Priority, config, export_policy, stats};

struct LongestFirst;

impl Priority for LongestFirst {
    fn place(jobs: Jobs) -> Places {
        rule::place(config(), &jobs, stats::history_of)
    }
}

impl About for LongestFirst {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(LongestFirst: Priority, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::LongestFirst, super::LongestFirst::EXAMPLES);
    }
}
