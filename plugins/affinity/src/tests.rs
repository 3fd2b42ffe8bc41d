//! Keys, and how often a job meets a bot that knows it.

use berth_policy_model::{Dice, Job, Outcome, World, report};
use berth_policy_sdk::{Jobs, Places};

use crate::config::{Config, Kind};
use crate::rule::{package, place};

#[test]
fn a_package_is_what_stands_before_the_colon() {
    assert_eq!(package("//a/b:c"), "//a/b");
    assert_eq!(package("@repo//a:c"), "@repo//a");
    assert_eq!(package("//a/b"), "//a/b");
    assert_eq!(package(":c"), "");
    assert_eq!(package(""), "");
}

#[test]
fn a_job_has_no_key_of_what_its_client_did_not_send() {
    let jobs = Jobs {
        strings: vec![String::new(), ":c".to_owned()],
        target: vec![0, 1],
        locality_hint: vec![0, 0],
        mnemonic: vec![0, 0],
        priority: vec![0, 0],
        ..Jobs::default()
    };
    let places = place(&Config::default(), &jobs);
    assert_eq!(places.affine, Some(vec![vec![], vec![0]]));
    assert_eq!(places.affinities[0].key, "target :c");
    let nothing = Config {
        locality_hint: Kind::default(),
        target: Kind::default(),
        package: Kind::default(),
        ..Config::default()
    };
    assert_eq!(place(&nothing, &jobs), Places::default());
}

/// As many trees as Berth remembers of a bot.
const KEYS: usize = 16;

/// Jobs of 60 hints on 20 bots, seven of ten busy.
fn run(place: impl Fn(&Jobs) -> Places) -> (f64, Outcome) {
    let mut dice = Dice::new(11);
    let jobs: Vec<Job> = (0..20_000)
        .map(|n| Job {
            arrives_ms: n * 70,
            runs_ms: dice.between(500, 1500),
            locality_hint: format!("tree-{}", dice.below(60)),
            ..Job::default()
        })
        .collect();
    let outcome = World::new(20, |jobs: &Jobs, _| place(jobs)).run(&jobs, 2_000_000);
    assert_eq!(outcome.runs.len(), jobs.len());
    let mut known = std::collections::BTreeMap::<usize, Vec<&str>>::new();
    let mut hits = 0;
    for run in &outcome.runs {
        let hints = known.entry(run.bot).or_default();
        let hint = jobs[run.job].locality_hint.as_str();
        hits += usize::from(hints.contains(&hint));
        hints.retain(|known| *known != hint);
        hints.push(hint);
        if hints.len() > KEYS {
            hints.remove(0);
        }
    }
    (100.0 * hits as f64 / outcome.runs.len() as f64, outcome)
}

#[test]
fn jobs_meet_bots_that_know_them_and_nobody_is_idle_for_it() {
    let (without, _) = run(|_| Places::default());
    let (with, outcome) = run(|jobs| place(&Config::default(), jobs));
    let waiting = Config { locality_hint: Kind { weight: 8, wait_ms: 200 }, ..Config::default() };
    let (waits, waiting) = run(|jobs| place(&waiting, jobs));
    let shown = |rate: f64| format!("{rate:.1} %");
    report("affinity", "jobs on a bot that has their tree among its last 16, without", "-", shown(without));
    report("affinity", "the same with affinity", "> 2 x", shown(with));
    report("affinity", "the same with affinity and wait-ms 200", "> with", shown(waits));
    report("affinity", "bots idle while a job waits, without waiting, in ms", "0", outcome.idle_ms);
    assert!(with > 2.0 * without, "{with} against {without}");
    assert!(waits > with, "{waits} against {with}");
    assert_eq!(outcome.idle_ms, 0);
    assert!(waiting.idle_ms > 0, "waiting has its price");
}
