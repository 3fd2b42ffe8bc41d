//! Odd input, and what comes of the rule in a queue.

use berth_policy_model::{Dice, Job, Outcome, World, report};

use super::*;

#[test]
fn no_number_is_too_large() {
    let config = Config::default();
    assert_eq!(rank(&config, i32::MAX, 0, u64::MAX), i64::MAX);
    assert!(rank(&config, i32::MIN, u64::MAX, 0) < 0);
    assert_eq!((weight(i32::MIN), weight(0), weight(i32::MAX)), (1 << 30, 1 << 15, 1));
    assert_eq!(choose(&config, &Worker::default(), &Lanes::default()), None);
}

#[test]
fn aging_orders_by_arrival_and_a_step_is_worth_its_time() {
    let config = Config { aging_ms: 1000, ..Config::default() };
    let rank = |priority, arrived: u64, now: u64| rank(&config, priority, now - arrived, now);
    assert_eq!(rank(5, 10, 10), rank(5, 10, 99_999), "asked again, the answer is the same");
    assert!(rank(1, 0, 0) < rank(0, 1001, 1001), "a second earlier beats a step");
    assert!(rank(1, 0, 0) > rank(0, 999, 999));
}

/// Ten bots, jobs of a second. The queue is full of urgent work for ten minutes; less urgent jobs came first.
fn world(config: &Config) -> (Vec<Job>, Outcome) {
    let mut dice = Dice::new(3);
    let mut jobs: Vec<Job> =
        (0..600).map(|n| Job { arrives_ms: n, priority: 10, runs_ms: 1000, ..Job::default() }).collect();
    jobs.extend((0..6000).map(|n| Job { arrives_ms: 100 * n, runs_ms: dice.between(900, 1100), ..Job::default() }));
    jobs.extend((0..20).map(|n| Job { arrives_ms: n, runs_ms: 1000, ..Job::default() }));
    let place = |jobs: &Jobs, now: u64| super::place(config, jobs, now);
    let world = World::new(10, place).choosing(|worker, lanes, _| super::choose(config, worker, lanes));
    let outcome = world.run(&jobs, 600_000);
    (jobs, outcome)
}

#[test]
fn without_either_the_less_urgent_wait_for_as_long_as_others_come() {
    let config = Config { aging_ms: 0, ..Config::default() };
    let (jobs, outcome) = world(&config);
    let share = 100.0 * outcome.share(60_000, 540_000, |job| jobs[job].priority == 10);
    report("priority-age", "share of old jobs of low priority, priority alone", "0 %", format!("{share:.1} %"));
    assert!(share < 1.0);
}

#[test]
fn the_percentage_is_the_share_of_those_that_waited_longest() {
    for percentage in [95, 80, 50] {
        let config = Config { priority_assignment_percentage: percentage, aging_ms: 0 };
        let (jobs, outcome) = world(&config);
        // While old ones of low priority wait, each assignment by age is one of theirs.
        let last = outcome.runs.iter().filter(|run| jobs[run.job].priority == 10).map(|run| run.started_ms).max();
        let until = last.expect("some ran").min(540_000);
        let share = 100.0 * outcome.share(20_000, until, |job| jobs[job].priority == 10);
        let wanted = f64::from(100 - percentage);
        let what = format!("share of old jobs of low priority, percentage {percentage}");
        report("priority-age", &what, &format!("{wanted:.0} % ± 5"), format!("{share:.1} %"));
        assert!((share - wanted).abs() < 5.0, "{share}");
    }
}

#[test]
fn with_aging_no_job_waits_longer_than_its_steps_and_the_work_before_it() {
    let config = Config { aging_ms: 5_000, ..Config::default() };
    let (jobs, outcome) = world(&config);
    let waited = |run: &berth_policy_model::Run| run.started_ms - jobs[run.job].arrives_ms;
    let low = outcome.runs.iter().filter(|run| jobs[run.job].priority == 10);
    let (ran, longest) = low.map(waited).fold((0, 0), |(ran, longest), waited| (ran + 1, longest.max(waited)));
    // Ten steps of five seconds; then its own kind, 600 jobs at ten a second, and what was there already.
    let bound = 10 * 5_000 + 60_000 + 10_000;
    report(
        "priority-age",
        "longest wait at low priority, aging of 5 s, in s",
        &format!("<= {}", bound / 1000),
        longest / 1000,
    );
    assert_eq!(ran, 600);
    assert!(longest <= bound, "{longest}");
}
