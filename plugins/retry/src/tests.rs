//! Odd input, and how much a poisonous job and a bad bot cost.

use std::collections::BTreeSet;

use berth_policy_model::{Dice, report};
use berth_policy_sdk::Property;
use berth_policy_sdk::after_attempt::{Action, Question, Reason};

use crate::config::Config;
use crate::memory::{Next, next, ran_out};
use crate::rule::verdict;

fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration of a test is right")
}

fn failed(attempt: u32) -> Question {
    Question { code: 14, attempt, counted: attempt, counted_max: 5, failed_bots: 1, ..Question::default() }
}

#[test]
fn the_wait_grows_to_its_limit_and_no_further() {
    let config = config(r#"{"backoff": {"first-ms": 100, "factor": 3, "max-ms": 1000}}"#);
    let after = |attempt: u32| match verdict(&config, &Question { counted: 0, ..failed(attempt) }).action {
        Action::Retry(retry) => retry.after_ms,
        Action::Fail(_) | Action::Complete => panic!("it is tried again"),
    };
    assert_eq!([0, 1, 2, 3, 4, u32::MAX].map(after), [100, 100, 300, 900, 1000, 1000]);
}

#[test]
fn each_rung_of_the_ladder_is_climbed_once() {
    let config = config(r#"{"out-of-memory": {"property": "memory", "ladder": ["4G", "16G", "64G"]}}"#).out_of_memory;
    let of = |value: &str| vec![Property::new("ISA", "x86-64"), Property::new("memory", value)];
    let bigger = |from: &[Property], to: &str| assert_eq!(next(&config, from), Next::Bigger(of(to)));
    bigger(&[Property::new("ISA", "x86-64")], "4G");
    bigger(&of("4G"), "16G");
    bigger(&of("16G"), "64G");
    assert_eq!(next(&config, &of("64G")), Next::Top);
    assert_eq!(next(&config, &of("5G")), Next::Unknown);
    assert_eq!(next(&Config::default().out_of_memory, &of("4G")), Next::Unknown);
}

#[test]
fn running_out_of_memory_is_seen_by_code_exit_code_or_message() {
    let memory = Config::default().out_of_memory;
    let seen = |question: Question| ran_out(&memory, &question);
    assert!(seen(Question { code: 8, ..Question::default() }));
    assert!(seen(Question { message: "Killed: Out of Memory".to_owned(), ..Question::default() }));
    assert!(seen(Question { reason: Reason::CommandFailed, exit_code: Some(137), ..Question::default() }));
    assert!(!seen(Question { reason: Reason::CommandFailed, exit_code: Some(1), ..Question::default() }));
    assert!(!seen(Question { reason: Reason::BotLost, code: 8, ..Question::default() }));
    assert!(!seen(Question { code: 14, ..Question::default() }));
}

/// Ten bots, one of which fails everything; 300 jobs, five of which fail everywhere.
#[test]
fn poison_stops_early_and_a_bad_bot_gets_little_work() {
    let outcome = |config: &Config| {
        let (bad_bot, poison) = (3, 5);
        let mut dice = Dice::new(7);
        let (mut wasted, mut good_that_failed, mut quarantined) = (0, 0, false);
        let mut last = vec![Vec::<(usize, bool)>::new(); 10];
        for job in 0..300 {
            let mut failed_bots = BTreeSet::new();
            for attempt in 1.. {
                let bots: Vec<usize> = (0..10)
                    .filter(|bot| !(quarantined && *bot == bad_bot || config.elsewhere && failed_bots.contains(bot)))
                    .collect();
                let bot = bots[dice.below(bots.len() as u64) as usize];
                let fails = bot == bad_bot || job < poison;
                last[bot].push((job, fails));
                if !fails {
                    break;
                }
                wasted += 1;
                failed_bots.insert(bot);
                let recent = &last[bot][last[bot].len().saturating_sub(16)..];
                let failures: Vec<usize> = recent.iter().filter(|(_, failed)| *failed).map(|(job, _)| *job).collect();
                let question = Question {
                    failed_bots: failed_bots.len() as u32,
                    bot_failures: failures.len() as u32,
                    bot_attempts: failures.iter().collect::<BTreeSet<_>>().len() as u32,
                    counted_max: 10,
                    ..failed(attempt)
                };
                let verdict = verdict(config, &question);
                quarantined |= verdict.quarantine_bot_ms > 0;
                assert!(verdict.quarantine_bot_ms == 0 || bot == bad_bot, "a good bot is not blamed for poison");
                if !matches!(verdict.action, Action::Retry(_)) {
                    good_that_failed += usize::from(job >= poison);
                    break;
                }
            }
        }
        (wasted, good_that_failed)
    };
    let without = config(r#"{"poison-bots": 0, "quarantine": {"failures": 0}, "elsewhere": false}"#);
    let (wasted_without, _) = outcome(&without);
    let (wasted, failed) = outcome(&Config::default());
    report("retry", "attempts wasted on 5 poisonous jobs and a bad bot, by the limit alone", "-", wasted_without);
    report("retry", "the same with the defaults of this policy", "<= 25", wasted);
    report("retry", "good jobs that failed", "0", failed);
    // Three attempts a poisonous job, eight on the bad bot, and one or two that coincide.
    assert!(wasted <= 25 && wasted_without > 60, "{wasted} against {wasted_without}");
    assert_eq!(failed, 0);
}
