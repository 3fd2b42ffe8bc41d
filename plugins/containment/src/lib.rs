//! The bundled policy for properties: a bot fits if it offers every property that the action asks for. `README.md`
//! tells who wants it.
//!
//! All properties count, names and values as they are. The label is the family of the operating system. Properties
//! that no bot could sensibly offer are refused, so that a client learns of its mistake instead of waiting.
//! Berth has the same rule built in; a test holds the two equal.

mod rule;

use berth_policy_sdk::{
    About, ExecutionAnswer, ExecutionQuestion, Properties, Refusal, WorkerAnswer, WorkerQuestion, export_policy,
};

struct Containment;

impl Properties for Containment {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        rule::check(&question.platform)?;
        let label = rule::labels(&question.platform).swap_remove(0);
        Ok(ExecutionAnswer { label, requirements: question.platform, preferred: None })
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        rule::check(&question.properties)?;
        let labels = rule::labels(&question.properties);
        Ok(WorkerAnswer { labels, capabilities: vec![question.properties], score: 0 })
    }
}

impl About for Containment {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Containment: Properties, About);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(Containment, Containment::EXAMPLES);
    }
}
