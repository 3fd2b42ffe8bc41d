//! A policy that uses everything, asked natively.

use std::panic::catch_unwind;

use serde::Deserialize;

use super::cases::{Answerer, Fault, Function, PlaceQuestion, Surroundings, read};
use super::{Native, counters, gauges, messages, observations, set_config, set_kv, set_now_ms};
use crate::after_attempt::{self, Action, Retry, Verdict};
use crate::choosing::{Lanes, Worker};
use crate::events::{Change, Event};
use crate::matching::Pairs;
use crate::priority::{Affinity, Limit, Placing};
use crate::{
    About, AfterAttempt, BeforePrune, Choosing, CreateJob, Events, ExecutionAnswer, ExecutionQuestion, Jobs, Matching,
    Places, Priority, Properties, Property, QueueJob, Refusal, Unmatched, WorkerAnswer, WorkerQuestion, before_prune,
    clock, config, create_job, kv, metrics, queue_job, stats, unmatched,
};

struct Everything;

crate::export_policy!(
    Everything: Properties, Matching, Unmatched, Priority, Choosing, CreateJob, QueueJob, AfterAttempt, BeforePrune,
    Events, About,
);

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Config {
    #[serde(default = "one")]
    weight: u32,
}

fn one() -> u32 {
    1
}

impl Properties for Everything {
    fn execution_properties(question: ExecutionQuestion) -> Result<ExecutionAnswer, Refusal> {
        match question.platform.first() {
            Some(first) if first.name == "clock" => {
                clock::now_ms();
            }
            Some(first) if first.name == "bad" => return Err(Refusal::malformed_property(&first.name, "a good one")),
            _ => (),
        }
        let preferred = Some([&question.platform[..], &[Property::new("fast", "")]].concat());
        Ok(ExecutionAnswer { label: "any".to_owned(), requirements: question.platform, preferred })
    }

    fn worker_properties(question: WorkerQuestion) -> Result<WorkerAnswer, Refusal> {
        let capabilities = vec![question.properties, vec![]];
        Ok(WorkerAnswer { labels: vec![question.bot_id], capabilities, score: 2 })
    }
}

impl Matching for Everything {
    fn matches(pairs: Pairs) -> Vec<u32> {
        pairs.each(|need, offer| (need.requirements.len() * offer.capabilities.len()) as u32)
    }
}

impl Unmatched for Everything {
    fn nobody(question: unmatched::Question) -> unmatched::Verdict {
        match question.oldest_ms {
            0..60_000 => unmatched::Verdict::Wait(60_000 - question.oldest_ms),
            _ => unmatched::Verdict::Refuse(Refusal::exhausted("no bots", 5)),
        }
    }
}

impl Priority for Everything {
    fn place(jobs: Jobs) -> Places {
        let mut placing = Placing::of(&jobs);
        for job in jobs.rows() {
            match job.tenant() {
                "" => placing.rank(job, i64::from(job.priority())),
                tenant => {
                    placing.lane(job, tenant);
                    placing.weight(job, config::<Config>().weight);
                    let running = stats::of_tenant(job.instance(), tenant).running;
                    let limit = Limit { name: tenant.to_owned(), max_running: Some(running + 1), ..Limit::default() };
                    placing.limit(job, limit);
                    placing.affinity(job, Affinity { key: job.target().to_owned(), weight: 1, wait_ms: 0 });
                    placing.history(job, &format!("{tenant}/{}", job.mnemonic()));
                    placing.again_ms(job, 1000 + job.waited_ms() as u32);
                    placing.rank(job, stats::history_of(tenant).map_or(0, |history| history.mean_ms as i64));
                }
            }
        }
        placing.finish()
    }
}

impl Choosing for Everything {
    fn choose(_worker: Worker, lanes: Lanes, truncated: bool) -> Option<u32> {
        if truncated { Some(lanes.len() as u32) } else { lanes.queued.iter().position(|n| *n > 5).map(|n| n as u32) }
    }
}

impl CreateJob for Everything {
    fn before_create_job(question: create_job::Question) -> Result<create_job::Amendments, Refusal> {
        if question.arguments.is_empty() {
            return Err(Refusal::Denied("no command".to_owned()));
        }
        Ok(create_job::Amendments { platform: Some(question.environment), ..Default::default() })
    }
}

impl QueueJob for Everything {
    fn before_queue_job(question: queue_job::Question) -> Result<queue_job::Amendments, Refusal> {
        let now = clock::now_ms() as i64;
        kv::set("forbidden", b"").expect_err("kv is read-only here");
        Ok(queue_job::Amendments { rank: Some(question.rank + now), ..Default::default() })
    }
}

impl AfterAttempt for Everything {
    fn after_attempt(question: after_attempt::Question) -> Verdict {
        match question.reason {
            after_attempt::Reason::BotLost => Action::Retry(Retry { elsewhere: true, ..Retry::default() }).into(),
            _ => Verdict { action: Action::Fail(question.message), quarantine_bot_ms: 7 },
        }
    }
}

impl BeforePrune for Everything {
    fn before_prune(jobs: Vec<before_prune::Job>) -> Vec<u64> {
        jobs.iter().filter(|job| job.code < 99).map(|job| u64::from(job.code)).collect()
    }
}

impl Events for Everything {
    fn on_events(events: Vec<Event>) -> Result<(), String> {
        for event in events {
            match event.change {
                Change::JobCompleted(job) => {
                    kv::add(&format!("jobs/{}", job.tenant), 1)?;
                    metrics::count("jobs", 1);
                    metrics::gauge("last", event.sequence as f64);
                    metrics::observe("ran", job.ran_ms as f64);
                }
                Change::Gap => return Err("a gap".to_owned()),
                Change::JobDeleted(key) => kv::delete(&key)?,
                _ => crate::info!("event {}", event.sequence),
            }
        }
        Ok(())
    }
}

impl About for Everything {
    const EXAMPLES: &str = include_str!("everything.toml");
}

#[test]
fn every_function_is_asked_by_cases_and_finds_what_they_set() {
    crate::run_cases!(Everything, Everything::EXAMPLES);
    let cases = read(Everything::EXAMPLES).unwrap();
    for function in Function::ALL {
        assert!(cases.iter().any(|case| case.question.function() == *function), "{function}");
    }
}

#[test]
fn a_wrong_answer_is_told_with_its_place_and_a_fault_with_its_message() {
    let report = |text: &'static str| {
        let panic = catch_unwind(|| crate::run_cases!(Everything, text)).unwrap_err();
        super::native::message(&*panic)
    };
    let wrong =
        report("[[case]]\nname = 'x'\nfunction = 'place'\nquestion.jobs = [{priority=1}]\nanswer.places = [{}]");
    assert_eq!(wrong, "1 of 1 cases failed:\nFAILED  x\n        answer.places[0].rank: expected 0, got 1");
    let wrong = report("[[case]]\nname = 'x'\nfunction = 'choose'\nquestion.truncated = true\nanswer = {}");
    assert!(wrong.ends_with("a fault: there is no lane 0"), "{wrong}");
    let wrong = report("[[case]]\nname = 'x'\nfunction = 'before-prune'\nquestion.jobs = [{code=99}]\nanswer = {}");
    assert!(wrong.ends_with("a fault: 0 entries for 1 questions"), "{wrong}");
    let wrong =
        report("[[case]]\nname = 'x'\nfunction = 'execution-properties'\nquestion.platform = ['clock=']\nanswer = {}");
    assert!(wrong.contains("clock is not available to properties"), "{wrong}");
    assert_eq!(report(""), "there are no cases");
}

#[test]
fn what_is_not_exported_is_not_asked() {
    struct Nothing;
    impl super::Exports for Nothing {}
    let answer = Native::<Nothing>::new().place(&PlaceQuestion::default());
    assert_eq!(answer, Err(Fault::NotExported(Function::Place)));
}

#[test]
fn a_test_that_calls_the_policy_itself_sets_and_reads_what_is_around_it() {
    super::surround(&Surroundings::default());
    set_now_ms(10);
    set_kv("jobs/t", "41");
    let job = crate::events::JobCompleted {
        job: String::new(),
        instance: String::new(),
        tenant: "t".to_owned(),
        invocation: String::new(),
        label: String::new(),
        code: 0,
        cached: false,
        total_ms: 9,
        ran_ms: 3,
        attempts: 1,
        session: String::new(),
        refusal: String::new(),
        exit_code: None,
        peak_memory_bytes: 0,
    };
    let event = |sequence, change| Event { sequence, at_ms: 0, change };
    let events = vec![event(1, Change::JobCompleted(job)), event(2, Change::Other("new".to_owned()))];
    assert_eq!(Everything::on_events(events), Ok(()));
    assert_eq!(super::kv()["jobs/t"], b"42");
    assert_eq!(messages(), [(crate::log::Level::Info, "event 2".to_owned())]);
    assert_eq!(counters()["jobs"], 1);
    assert_eq!(gauges()["last"], 1.0);
    assert_eq!(observations()["ran"], [3.0]);
    assert_eq!(clock::now_ms(), 10);
}

#[test]
fn the_configuration_is_read_once_for_each_text() {
    let weight = || config::<Config>().weight;
    set_config(r#"{ "weight": 3 }"#);
    assert_eq!(weight(), 3);
    assert!(std::ptr::eq(config::<Config>(), config::<Config>()));
    set_config("{}");
    assert_eq!(weight(), 1);
    set_config(r#"{ "weight": "heavy" }"#);
    let panic = catch_unwind(weight).unwrap_err();
    assert!(panic.downcast_ref::<String>().unwrap().contains("cannot read its configuration: invalid type"));
}

#[test]
fn the_table_keeps_to_its_limits_and_is_scanned_page_by_page() {
    super::surround(&Surroundings::default());
    for n in 0..700 {
        kv::set_json(&format!("row/{n:03}"), &n).unwrap();
    }
    kv::set("other", b"not JSON").unwrap();
    let rows: Vec<_> = kv::scan_json::<u32>("row/").map(|row| row.unwrap().1).collect();
    assert_eq!(rows, (0..700).collect::<Vec<_>>());
    assert_eq!(kv::get_json::<u32>("none"), Ok(None));
    let unreadable = kv::get_json::<u32>("other").unwrap_err();
    assert!(unreadable.to_string().starts_with("the row \"other\" of kv is not what was expected"), "{unreadable}");

    let refused = |key: &str, bytes: usize| kv::set(key, &vec![0; bytes]).map_err(|error| error.to_string());
    assert!(refused("", 1).unwrap_err().contains("too long for kv, or the key is empty"));
    assert!(refused(&"k".repeat(513), 1).is_err() && refused(&"k".repeat(512), 1).is_ok());
    assert!(refused("k", (64 << 10) + 1).is_err() && refused("k", 64 << 10).is_ok());
    let full = (0..300).find_map(|n| kv::set(&format!("big/{n}"), &vec![0; 64 << 10]).err());
    assert_eq!(full.map(String::from).as_deref(), Some("kv is full"));
}
