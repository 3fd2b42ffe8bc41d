//! The bundled policy for order by priority and age: BuildGrid's percentage, and aging so that nothing starves.
//!
//! The rule is in `rule`; README.md tells what each setting does to a queue.

mod config;
mod rule;

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::{About, Choosing, Jobs, Places, Priority, clock, config, export_policy};

struct PriorityAge;

impl Priority for PriorityAge {
    fn place(jobs: Jobs) -> Places {
        rule::place(config(), &jobs, clock::now_ms())
    }
}

impl Choosing for PriorityAge {
    fn choose(worker: Worker, lanes: Lanes, _truncated: bool) -> Option<u32> {
        rule::choose(config(), &worker, &lanes)
    }
}

impl About for PriorityAge {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(PriorityAge: Priority, Choosing, About);

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::PriorityAge, super::PriorityAge::EXAMPLES);
    }
}
