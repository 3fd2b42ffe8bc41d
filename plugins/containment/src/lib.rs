//! The bundled policy for properties: a bot fits if it offers every property that the action asks for.
//!
//! All properties count, names and values as they are. The label is the family of the operating system. Properties
//! that no bot could sensibly offer are refused, so that a client learns of its mistake instead of waiting.
//! Berth has the same rule built in; a test holds the two equal.

mod rule;

use berth_policy_sdk::{
    ExecutionAnswer, ExecutionQuestion, PropertiesPolicy, Refusal, WorkerAnswer, WorkerQuestion, export_properties,
};

struct Containment;

impl PropertiesPolicy for Containment {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        rule::check(&question.platform)?;
        let label = rule::labels(&question.platform).swap_remove(0);
        Ok(ExecutionAnswer { label, requirements: question.platform })
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        rule::check(&question.properties)?;
        Ok(WorkerAnswer { labels: rule::labels(&question.properties), capabilities: vec![question.properties] })
    }
}

export_properties!(Containment);
