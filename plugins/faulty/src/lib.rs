//! A policy that misbehaves on request, for the tests of the host. Not for use.
//!
//! `properties` looks for a property `fault`, `priority` at the first job's mnemonic; without a fault that they know,
//! both answer as a good policy would. This file is also a list of what can go wrong in a guest.

use std::hint::black_box;

use berth_policy_sdk::log::{Level, write};
use berth_policy_sdk::{
    ExecutionAnswer, ExecutionQuestion, Jobs, Places, PriorityPolicy, PropertiesPolicy, Property, Refusal,
    WorkerAnswer, WorkerQuestion, export_priority, export_properties,
};

struct Faulty;

impl PropertiesPolicy for Faulty {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        let fault = wished_fault(&question.platform);
        misbehave(&fault);
        let mut answer = ExecutionAnswer { label: "faulty".to_owned(), requirements: question.platform };
        let property = |name: &str, value: &str| Property { name: name.to_owned(), value: value.to_owned() };
        match fault.as_str() {
            "huge" => answer.requirements.push(property("huge", &"x".repeat(4 << 20))),
            "many" => answer.requirements = vec![property("a", "b"); 1025],
            "bad-label" => answer.label = "two words".to_owned(),
            "bad-requirement" => answer.requirements.push(property("", "no name")),
            "bad-refusal" => return Err(Refusal::Denied("x".repeat(5000))),
            "refuse" => return Err(Refusal::Denied("as you wish".to_owned())),
            _ => (),
        }
        Ok(answer)
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        let fault = wished_fault(&question.properties);
        misbehave(&fault);
        let capabilities = if fault == "no-capabilities" { vec![] } else { vec![question.properties] };
        Ok(WorkerAnswer { labels: vec!["faulty".to_owned()], capabilities })
    }
}

impl PriorityPolicy for Faulty {
    fn place(jobs: Jobs) -> Places {
        let fault = jobs.text(jobs.mnemonic[0]).to_owned();
        misbehave(&fault);
        let count = jobs.len();
        let good = Places { rank: Some(vec![7; count]), ..Places::default() };
        match fault.as_str() {
            "huge" => Places { rank: Some(vec![0; 1 << 18]), ..good },
            "short" => Places { rank: Some(vec![0; count - 1]), ..good },
            "long" => Places { lane: Some(vec![0; count + 1]), ..good },
            "weightless" => Places { weight: Some(vec![0; count]), ..good },
            "beyond-the-table" => Places { lane: Some(vec![jobs.strings.len() as u32; count]), ..good },
            "long-lane" => {
                Places { lane: Some(vec![jobs.strings.len() as u32; count]), strings: vec!["x".repeat(257)], ..good }
            }
            // No fault: lanes from both tables.
            "lanes" => Places {
                lane: Some(
                    (0..count).map(|n| if n % 2 == 0 { jobs.target[n] } else { jobs.strings.len() as u32 }).collect(),
                ),
                strings: vec!["mine".to_owned()],
                weight: Some((0..count).map(|n| n as u32 + 1).collect()),
                rank: None,
            },
            _ => good,
        }
    }
}

fn wished_fault(properties: &[Property]) -> String {
    properties.iter().find(|property| property.name == "fault").map(|found| found.value.clone()).unwrap_or_default()
}

/// The faults that both interfaces know.
fn misbehave(fault: &str) {
    match fault {
        "loop" => loop {
            black_box(());
        },
        "trap" => panic!("trapped as you wish"),
        "memory" => loop {
            black_box(Vec::<u8>::with_capacity(1 << 20)).leak();
        },
        "recursion" => {
            black_box(endless(black_box(1)));
        }
        "chatter" => (0..10_000).for_each(|n| write(Level::Info, &format!("message {n}"))),
        _ => (),
    }
}

/// Uses what the inner call returns, so that no compiler makes a loop of it.
#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    endless(depth + 1) + frame[31]
}

export_properties!(Faulty);
export_priority!(Faulty);
