//! Bad answers of `properties`, `matching`, `unmatched`, `priority` and `choosing`. A good answer is the last arm.

use berth_policy_sdk::choosing::{Lanes, Worker};
use berth_policy_sdk::matching::Pairs;
use berth_policy_sdk::priority::{Affinity, Limit};
use berth_policy_sdk::unmatched::{self, Verdict};
use berth_policy_sdk::{
    Choosing, ExecutionAnswer, ExecutionQuestion, Jobs, Matching, Places, Priority, Properties, Property, Refusal,
    Unmatched, WorkerAnswer, WorkerQuestion,
};

use crate::arbitrary::Dice;
use crate::misdeeds::not_a_text;
use crate::{Faulty, misbehave};

/// More than the megabyte that an answer may have.
const HUGE_BYTES: usize = 4 << 20;

impl Properties for Faulty {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        let fault = misbehave("execution-properties", spoken(&question.platform));
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.execution();
        }
        refuse(&fault)?;
        let mut answer = ExecutionAnswer { label: "faulty".to_owned(), ..ExecutionAnswer::default() };
        answer.requirements = bad_properties(&fault).unwrap_or(question.platform);
        match fault.as_str() {
            "no-label" => answer.label = String::new(),
            "bad-label" => answer.label = "two words".to_owned(),
            "long-label" => answer.label = "x".repeat(65),
            "invalid-utf8" => answer.label = not_a_text(),
            // Not a superset of what is required.
            "lesser-wish" => answer.preferred = Some(vec![]),
            // No fault: a wish.
            "wish" => answer.preferred = Some([&answer.requirements[..], &[Property::new("fast", "yes")]].concat()),
            _ => (),
        }
        Ok(answer)
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        let fault = misbehave("worker-properties", spoken(&question.properties));
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.worker();
        }
        refuse(&fault)?;
        let set = bad_properties(&fault).unwrap_or(question.properties);
        let mut answer = WorkerAnswer { labels: vec!["faulty".to_owned()], capabilities: vec![set], score: 0 };
        match fault.as_str() {
            "no-capabilities" => answer.capabilities.clear(),
            "many-capabilities" => answer.capabilities = vec![vec![]; 65],
            "no-labels" => answer.labels.clear(),
            "many-labels" => answer.labels = (0..65).map(|n| format!("label{n}")).collect(),
            "bad-label" => answer.labels.push("two words".to_owned()),
            "invalid-utf8" => answer.labels = vec![not_a_text()],
            // No fault.
            "best" => answer.score = u32::MAX,
            _ => (),
        }
        Ok(answer)
    }
}

impl Matching for Faulty {
    fn matches(pairs: Pairs) -> Vec<u32> {
        let wishes = pairs.needs.iter().map(|need| spoken(&need.requirements));
        let fault = misbehave("matches", wishes.max().unwrap_or_default());
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.scores(pairs.need.len());
        }
        let mut scores = pairs.each(|need, offer| {
            let has = |set: &Vec<Property>| need.requirements.iter().all(|property| set.contains(property));
            u32::from(offer.capabilities.iter().any(has))
        });
        bad_length(&fault, &mut scores);
        scores
    }
}

impl Unmatched for Faulty {
    fn nobody(question: unmatched::Question) -> Verdict {
        let fault = misbehave("nobody", spoken(&question.requirements));
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.nobody();
        }
        if let Err(refusal) = refuse(&fault) {
            return Verdict::Refuse(refusal);
        }
        match fault.as_str() {
            "soon" => Verdict::Wait(0),
            "for-ever" => Verdict::Wait(u64::MAX),
            _ => Verdict::Wait(60_000),
        }
    }
}

impl Priority for Faulty {
    fn place(jobs: Jobs) -> Places {
        let fault = misbehave("place", jobs.mnemonic.first().map_or("", |index| jobs.text(*index)));
        let (count, beyond) = (jobs.len(), jobs.strings.len() as u32);
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.places(count, jobs.strings.len());
        }
        // Each build has a lane of its own, so that there is something to choose.
        let lane = Some(jobs.invocation.clone());
        let mut places = Places { lane, rank: Some(vec![7; count]), ..Places::default() };
        let mut lengths = vec![0; count];
        if bad_length(&fault, &mut lengths) {
            places.rank = Some(lengths);
        }
        let limit = |name: &str| Limit { name: name.to_owned(), max_running: Some(1), ..Limit::default() };
        let affinity = |key: &str| Affinity { key: key.to_owned(), weight: 1, wait_ms: 0 };
        match fault.as_str() {
            "short-lane" => places.lane = Some(vec![0; count - 1]),
            "short-weight" => places.weight = Some(vec![1; count - 1]),
            "short-counters" => places.counters = Some(vec![vec![]; count - 1]),
            "short-affine" => places.affine = Some(vec![vec![]; count - 1]),
            "short-history" => places.history = Some(vec![0; count - 1]),
            "short-again" => places.again_ms = Some(vec![0; count - 1]),
            "weightless" => places.weight = Some(vec![0; count]),
            "beyond-the-table" => places.lane = Some(vec![beyond; count]),
            "long-lane" => (places.lane, places.strings) = (Some(vec![beyond; count]), vec!["x".repeat(257)]),
            "invalid-utf8" => (places.lane, places.strings) = (Some(vec![beyond; count]), vec![not_a_text()]),
            "huge-text" => places.strings = vec!["x".repeat(HUGE_BYTES)],
            "history-beyond-the-table" => places.history = Some(vec![beyond; count]),
            "unknown-counter" => (places.limits, places.counters) = (vec![limit("a")], Some(vec![vec![1]; count])),
            "many-counters" => {
                places.limits = (0..9).map(|n| limit(&format!("limit{n}"))).collect();
                places.counters = Some(vec![(0..9).collect(); count]);
            }
            "nameless-counter" => (places.limits, places.counters) = (vec![limit("")], Some(vec![vec![0]; count])),
            "long-counter" => {
                (places.limits, places.counters) = (vec![limit(&"x".repeat(257))], Some(vec![vec![0]; count]));
            }
            "unknown-affinity" => {
                (places.affinities, places.affine) = (vec![affinity("a")], Some(vec![vec![1]; count]))
            }
            "many-affinities" => {
                places.affinities = (0..5).map(|n| affinity(&format!("key{n}"))).collect();
                places.affine = Some(vec![(0..5).collect(); count]);
            }
            "nameless-affinity" => {
                (places.affinities, places.affine) = (vec![affinity("")], Some(vec![vec![0]; count]))
            }
            "long-wait" => {
                places.affinities = vec![Affinity { wait_ms: 10_001, ..affinity("a") }];
                places.affine = Some(vec![vec![0]; count]);
            }
            "again-soon" => places.again_ms = Some(vec![999; count]),
            // No fault: lanes from both tables.
            "lanes" => {
                let lane = |n: usize| if n % 2 == 0 { jobs.target[n] } else { beyond };
                places = Places {
                    lane: Some((0..count).map(lane).collect()),
                    strings: vec!["mine".to_owned()],
                    weight: Some((0..count).map(|n| n as u32 + 1).collect()),
                    ..Places::default()
                };
            }
            // No fault: every column.
            "everything" => {
                places = Places {
                    strings: vec!["mine".to_owned(), "learnt".to_owned()],
                    lane: Some(vec![beyond; count]),
                    weight: Some(vec![3; count]),
                    rank: Some((0..count).map(|n| i64::MIN + n as i64).collect()),
                    limits: vec![limit("a"), Limit { max_queued: Some(10), min_running: 1, ..limit("b") }],
                    counters: Some((0..count).map(|n| if n == 0 { vec![0, 1] } else { vec![1] }).collect()),
                    affinities: vec![Affinity { wait_ms: 500, ..affinity("warm") }],
                    affine: Some((0..count).map(|n| if n == 0 { vec![0] } else { vec![] }).collect()),
                    history: Some(vec![beyond + 1; count]),
                    again_ms: Some(vec![1000; count]),
                };
            }
            _ => (),
        }
        places
    }
}

impl Choosing for Faulty {
    fn choose(worker: Worker, lanes: Lanes, _truncated: bool) -> Option<u32> {
        let wishes = worker.capabilities.iter().map(|set| spoken(set));
        let fault = misbehave("choose", wishes.max().unwrap_or_default());
        if let Some(mut dice) = Dice::of(&fault) {
            return dice.lane(lanes.len());
        }
        match fault.as_str() {
            "beyond-the-lanes" => Some(lanes.len() as u32),
            "far-beyond" => Some(u32::MAX),
            // No fault.
            "last" => Some(lanes.len() as u32 - 1),
            _ => None,
        }
    }
}

/// What the property `fault` says.
pub(crate) fn spoken(properties: &[Property]) -> &str {
    properties.iter().find(|property| property.name == "fault").map_or("", |found| &found.value)
}

/// A bad refusal, or a good one.
pub(crate) fn refuse(fault: &str) -> Result<(), Refusal> {
    match fault {
        "bad-refusal" => Err(Refusal::Denied("x".repeat(5000))),
        "huge-refusal" => Err(Refusal::Denied("x".repeat(HUGE_BYTES))),
        "invalid-utf8-refusal" => Err(Refusal::FailedPrecondition(not_a_text())),
        // No fault, each.
        "refuse" => Err(Refusal::Denied("as you wish".to_owned())),
        "refuse-unknown" => Err(Refusal::unknown_property("fault", "nothing")),
        "refuse-duplicate" => Err(Refusal::DuplicateProperty("fault".to_owned())),
        "refuse-malformed" => Err(Refusal::malformed_property("fault", "none")),
        "refuse-precondition" => Err(Refusal::FailedPrecondition("not now".to_owned())),
        "refuse-exhausted" => Err(Refusal::exhausted("too much", 1500)),
        _ => Ok(()),
    }
}

/// Properties that no answer may have.
pub(crate) fn bad_properties(fault: &str) -> Option<Vec<Property>> {
    match fault {
        "huge" => Some(vec![Property::new("huge", "x".repeat(HUGE_BYTES))]),
        "many" => Some((0..1025).map(|n| Property::new(format!("name{n}"), "")).collect()),
        "bad-requirement" => Some(vec![Property::new("", "no name")]),
        "long-name" => Some(vec![Property::new("n".repeat(1025), "")]),
        "long-value" => Some(vec![Property::new("a", "v".repeat(4097))]),
        "control-character" => Some(vec![Property::new("a\n", "")]),
        _ => None,
    }
}

/// One too few, one too many, or a million of them.
pub(crate) fn bad_length<Entry: Clone + Default>(fault: &str, column: &mut Vec<Entry>) -> bool {
    let count = column.len();
    let length = match fault {
        "short" => count.saturating_sub(1),
        "long" => count + 1,
        "huge" => 1 << 20,
        "empty" => 0,
        _ => return false,
    };
    column.resize(length, Entry::default());
    true
}
