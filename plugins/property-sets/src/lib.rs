//! The bundled policy for operators who come from BuildGrid: its dynamic, static and instanced property sets, with the
//! same answers and the same refusals.
//!
//! The rule is in `rule`, the configuration in `config`; here they are bound to the contract. README.md tells operators
//! how to carry a configuration over, and what differs.

mod config;
mod rule;

use berth_policy_sdk::{
    About, ExecutionAnswer, ExecutionQuestion, Properties, Refusal, WorkerAnswer, WorkerQuestion, config, export_policy,
};

use crate::config::Config;

struct PropertySets;

impl Properties for PropertySets {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        config::<Config>().0.job(&question)
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        config::<Config>().0.bot(&question)
    }
}

impl About for PropertySets {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(PropertySets: Properties, About);

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::PropertySets, super::PropertySets::EXAMPLES);
    }
}
