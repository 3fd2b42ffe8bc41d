//! The bundled policy for locality: a job prefers a bot that served something like it lately.
//!
//! It only names keys; Berth remembers which bot served which, and chooses among the bots that wait. README.md tells
//! which keys there are, and what waiting for a bot costs.

mod config;
mod rule;

use berth_policy_sdk::{About, Jobs, Places, Priority, config, export_policy};

struct Affinity;

impl Priority for Affinity {
    fn place(jobs: Jobs) -> Places {
        rule::place(config(), &jobs)
    }
}

impl About for Affinity {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Affinity: Priority, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::Affinity, super::Affinity::EXAMPLES);
    }
}
