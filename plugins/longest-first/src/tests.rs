//! Ranks at their limits, and how much sooner builds end.

use std::collections::BTreeMap;

use berth_policy_model::{Dice, Job, World, report};
use berth_policy_sdk::stats::History;
use berth_policy_sdk::{Jobs, Places};

use crate::config::Config;
use crate::rule::place;

fn history(mean_ms: u64) -> History {
    History {
        samples: 3,
        mean_ms,
        p50_ms: mean_ms,
        p90_ms: mean_ms,
        max_ms: mean_ms,
        peak_memory_bytes: 0,
        failures: 0,
    }
}

fn jobs(priority: &[i32], target: &[u32]) -> Jobs {
    Jobs {
        strings: vec![String::new(), "//a:short".to_owned(), "//a:long".to_owned()],
        priority: priority.to_vec(),
        target: target.to_vec(),
        mnemonic: vec![0; target.len()],
        ..Jobs::default()
    }
}

#[test]
fn the_priority_outweighs_any_duration_and_nothing_overflows() {
    let forever = |_: &str| Some(history(u64::MAX));
    let rank =
        |priority: i32| place(&Config::default(), &jobs(&[priority], &[1]), forever).rank.expect("there is a rank")[0];
    let unknown = place(&Config::default(), &jobs(&[0], &[1]), |_| None).rank.expect("there is a rank")[0];
    assert!(rank(1) > unknown, "a long job does not pass a more urgent one");
    assert!(rank(0) < unknown && rank(i32::MIN) < rank(0) && rank(i32::MAX) > rank(0));
}

#[test]
fn a_key_is_asked_for_once_in_a_batch_and_nothing_is_asked_of_the_nameless() {
    let asked = std::cell::RefCell::new(Vec::new());
    let ask = |key: &str| {
        asked.borrow_mut().push(key.to_owned());
        None
    };
    let places = place(&Config::default(), &jobs(&[0; 5], &[1, 2, 1, 0, 2]), ask);
    assert_eq!(*asked.borrow(), ["//a:short", "//a:long"]);
    assert_eq!(places.history, Some(vec![3, 4, 3, 0, 4]));
}

/// 40 builds one after the other, each with many short jobs and a few long ones, in any order, on 16 bots.
fn spans(place: &dyn Fn(&Jobs) -> Places) -> u64 {
    let mut dice = Dice::new(13);
    let mut spans = 0;
    for build in 0..40 {
        let jobs: Vec<Job> = (0..200)
            .map(|n| {
                let runs_ms = if dice.below(40) == 0 { dice.between(20_000, 40_000) } else { dice.between(200, 2_000) };
                Job { invocation: format!("{build}"), target: format!("//{build}:{n}"), runs_ms, ..Job::default() }
            })
            .collect();
        let outcome = World::new(16, |jobs: &Jobs, _| place(jobs)).run(&jobs, u64::MAX);
        spans += outcome.end_ms(|_| true);
    }
    spans / 40
}

#[test]
fn builds_end_sooner_when_their_long_jobs_begin_first() {
    let by_age = spans(&|_| Places::default());
    let mut dice = Dice::new(13);
    let mut known = BTreeMap::new();
    for build in 0..40 {
        for n in 0..200 {
            let runs_ms = if dice.below(40) == 0 { dice.between(20_000, 40_000) } else { dice.between(200, 2_000) };
            // The history is off by up to a third.
            known.insert(format!("//{build}:{n}"), runs_ms * (67 + runs_ms % 67) / 100);
        }
    }
    let longest = spans(&|jobs| place(&Config::default(), jobs, |key| known.get(key).map(|ms| history(*ms))));
    report("longest-first", "time of a build by age alone, mean of 40, in ms", "-", by_age);
    report("longest-first", "the same, longest first by a history that is off by a third", "< 0.85 x", longest);
    assert!(longest * 100 < by_age * 85, "{longest} against {by_age}");
}
