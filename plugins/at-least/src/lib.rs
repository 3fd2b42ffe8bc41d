//! The bundled policy for matching beyond "the same value": at least so much, anything, and not this.
//!
//! Properties pass through as they are; the rule is in `matching`. README.md tells what clients and bots write.

mod amount;
mod config;
mod passing;
mod rule;

use berth_policy_sdk::matching::Pairs;
use berth_policy_sdk::{
    About, ExecutionAnswer, ExecutionQuestion, Matching, Properties, Refusal, WorkerAnswer, WorkerQuestion, config,
    export_policy,
};

use crate::config::Config;

struct AtLeast;

impl Properties for AtLeast {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        passing::job(config::<Config>(), question.platform)
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        passing::bot(config::<Config>(), question.properties)
    }
}

impl Matching for AtLeast {
    fn matches(pairs: Pairs) -> Vec<u32> {
        rule::matches(config::<Config>(), &pairs)
    }
}

impl About for AtLeast {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(AtLeast: Properties, Matching, About);

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::AtLeast, super::AtLeast::EXAMPLES);
    }
}
