//! A policy that exports everything and does as the question says, misdeeds included: for the tests of the host. Not for
//! use.
//!
//! Each question has a text in which the wish is told: a property `wish`, a label, the first job's mnemonic, a bot's id
//! and so on. Without a wish that it knows it answers as a good policy would. This folder is also a list of what can go
//! wrong in a guest.

mod hooks;
mod misdeeds;
mod placing;

use berth_policy_sdk::matching::Pairs;
use berth_policy_sdk::types::MalformedProperty;
use berth_policy_sdk::unmatched::{Question, Verdict};
use berth_policy_sdk::{
    About, ExecutionAnswer, ExecutionQuestion, Matching, Properties, Property, Refusal, Unmatched, WorkerAnswer,
    WorkerQuestion, export_policy,
};

use self::misdeeds::misbehave;

struct Probe;

impl Properties for Probe {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        let wish = wish_in(&question.platform);
        misbehave(&wish);
        let good = ExecutionAnswer { label: "probe".to_owned(), requirements: question.platform, preferred: None };
        Ok(match wish.as_str() {
            "huge" => ExecutionAnswer { label: "x".repeat(4 << 20), ..good },
            "many" => ExecutionAnswer { requirements: vec![Property::new("a", "b"); 1025], ..good },
            "bad-label" => ExecutionAnswer { label: "two words".to_owned(), ..good },
            "bad-requirement" => ExecutionAnswer { requirements: vec![Property::new("", "no name")], ..good },
            "bad-preferred" => ExecutionAnswer { preferred: Some(vec![Property::new("other", "x")]), ..good },
            "bad-refusal" => return Err(Refusal::Denied("x".repeat(5000))),
            "refuse" => return Err(Refusal::Denied("as you wish".to_owned())),
            "exhausted" => return Err(Refusal::exhausted("enough", 1500)),
            "malformed" => {
                return Err(Refusal::MalformedProperty(MalformedProperty {
                    name: "wish".to_owned(),
                    expected: "another".to_owned(),
                }));
            }
            "prefer" => {
                let more = good.requirements.iter().cloned().chain([Property::new("fast", "yes")]).collect();
                ExecutionAnswer { preferred: Some(more), ..good }
            }
            _ => good,
        })
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        let wish = wish_in(&question.properties);
        misbehave(&wish);
        let good = WorkerAnswer { labels: vec!["probe".to_owned()], capabilities: vec![question.properties], score: 5 };
        Ok(match wish.as_str() {
            "no-capabilities" => WorkerAnswer { capabilities: vec![], ..good },
            "many" => WorkerAnswer { capabilities: vec![vec![]; 65], ..good },
            "labels" => WorkerAnswer { labels: vec!["x".to_owned(); 65], ..good },
            _ => good,
        })
    }
}

impl Matching for Probe {
    /// A need fits an offer with as many sets as it has properties.
    fn matches(pairs: Pairs) -> Vec<u32> {
        misbehave(&pairs.needs[0].label);
        let mut scores = pairs.each(|need, offer| {
            if need.requirements.len() == offer.capabilities.len() { need.requirements.len() as u32 } else { 0 }
        });
        if pairs.needs[0].label == "short" {
            scores.pop();
        }
        scores
    }
}

impl Unmatched for Probe {
    fn nobody(question: Question) -> Verdict {
        misbehave(&question.label);
        match question.label.as_str() {
            "refuse" => Verdict::Refuse(Refusal::FailedPrecondition("nobody will come".to_owned())),
            "soon" => Verdict::Wait(999),
            "never" => Verdict::Wait(u64::MAX),
            _ => Verdict::Wait(1000 + question.oldest_ms),
        }
    }
}

impl About for Probe {
    const CONFIG_SCHEMA: &str = r#"{
        "type": "object",
        "additionalProperties": false,
        "properties": { "rank": { "type": "integer", "minimum": 0 } }
    }"#;
    const EXAMPLES: &str = "# None: what it answers is in the tests of the host.\n";
}

fn wish_in(properties: &[Property]) -> String {
    properties.iter().find(|property| property.name == "wish").map(|found| found.value.clone()).unwrap_or_default()
}

export_policy!(Probe: Properties, Matching, Unmatched, Priority, Choosing, CreateJob, QueueJob, AfterAttempt, BeforePrune, Events, About);
