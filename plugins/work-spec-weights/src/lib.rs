//! The bundled policy for operators who come from Coordinate: its two rules for which work spec is served next, over
//! lanes.
//!
//! A lane is a work spec. `place` makes lanes of jobs; `choose` is one of the two rules. README.md tells what of the
//! rules lanes cannot say.

mod classic;
mod config;
mod graph;
mod place;
mod simplified;

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::{About, Choosing, Jobs, Places, Priority, config, export_policy};

use crate::config::{Config, Rule};

struct WorkSpecWeights;

impl Priority for WorkSpecWeights {
    fn place(jobs: Jobs) -> Places {
        place::place(config(), &jobs)
    }
}

impl Choosing for WorkSpecWeights {
    fn choose(_worker: Worker, lanes: Lanes, _truncated: bool) -> Option<u32> {
        let config = config::<Config>();
        match config.rule {
            Rule::Simplified => simplified::choose(config, &lanes),
            Rule::Classic => classic::choose(config, &lanes),
        }
    }
}

impl About for WorkSpecWeights {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(WorkSpecWeights: Priority, Choosing, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::WorkSpecWeights, super::WorkSpecWeights::EXAMPLES);
    }
}
