//! A policy on the contract 0.1, for the tests of the host: what was built for it once, loads and answers for ever.
//! Not for use, and without the SDK, which speaks the present contract only.
//!
//! It uses every field and every case that 0.1 has: properties pass as they are, unless one of them has the name of a
//! refusal; each build has its own lane, and the mnemonics `heavy` and `own` ask for a weight and for a lane whose
//! name comes from the answer.

mod bindings {
    // The generated code's own affair.
    #![allow(missing_docs, unreachable_pub)]

    wit_bindgen::generate!({
        path: "../../wit/berth-policy-0.1.0",
        world: "policy",
        additional_derives: [PartialEq],
    });
}

use bindings::berth::policy::log::{Level, write};
use bindings::berth::policy::types::{MalformedProperty, Property, Refusal, UnknownProperty};
use bindings::exports::berth::policy::priority::{Guest as Priority, Jobs, Places};
use bindings::exports::berth::policy::properties::{
    ExecutionAnswer, ExecutionQuestion, Guest as Properties, WorkerAnswer, WorkerQuestion,
};

struct Legacy;

impl Properties for Legacy {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        refuse_on_request(&question.platform)?;
        write(Level::Info, &format!("{} properties", question.platform.len()));
        Ok(ExecutionAnswer { label: "legacy".to_owned(), requirements: question.platform })
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        refuse_on_request(&question.properties)?;
        let labels = vec!["legacy".to_owned(), question.bot_id];
        Ok(WorkerAnswer { labels, capabilities: vec![question.properties, vec![]] })
    }
}

impl Priority for Legacy {
    fn place(jobs: Jobs) -> Places {
        let has = |index: usize, mnemonic: &str| jobs.strings[jobs.mnemonic[index] as usize] == mnemonic;
        let own_lane = jobs.strings.len() as u32;
        let each = 0..jobs.priority.len();
        Places {
            lane: Some(each.clone().map(|job| if has(job, "own") { own_lane } else { jobs.invocation[job] }).collect()),
            weight: Some(each.map(|job| if has(job, "heavy") { 10 } else { 1 }).collect()),
            rank: Some(jobs.priority.iter().map(|priority| i64::from(*priority)).collect()),
            strings: vec!["legacy's own".to_owned()],
        }
    }
}

fn refuse_on_request(properties: &[Property]) -> Result<(), Refusal> {
    properties.iter().try_for_each(|Property { name, value }| match name.as_str() {
        "unknown" => Err(Refusal::UnknownProperty(UnknownProperty { name: value.clone(), known: "all".to_owned() })),
        "duplicate" => Err(Refusal::DuplicateProperty(value.clone())),
        "malformed" => {
            Err(Refusal::MalformedProperty(MalformedProperty { name: value.clone(), expected: "none".to_owned() }))
        }
        "denied" => Err(Refusal::Denied(value.clone())),
        "trap" => panic!("{value}"),
        _ => Ok(()),
    })
}

bindings::export!(Legacy with_types_in bindings);
