//! Odd input, and what comes of the policy when all want more than there is.

use berth_policy_model::{Dice, Job, Outcome, World, report};
use berth_policy_sdk::Jobs;
use berth_policy_sdk::choosing::Lanes;

use crate::config::Config;
use crate::{choose::choose, place::place};

fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration of a test is right")
}

fn run(config: &Config, bots: usize, jobs: &[Job], until_ms: u64) -> Outcome {
    let place = |jobs: &Jobs, _| place(config, jobs);
    World::new(bots, place).choosing(|_, lanes, _| choose(lanes)).run(jobs, until_ms)
}

/// Enough work for a tenant's builds to be always waiting.
fn work(dice: &mut Dice, tenant: &str, builds: u64, jobs: u64) -> Vec<Job> {
    let job = |n: u64| Job {
        tenant: tenant.to_owned(),
        invocation: format!("{tenant}-{}", n % builds),
        runs_ms: dice.between(500, 1500),
        ..Job::default()
    };
    (0..jobs).map(job).collect()
}

#[test]
fn tenants_share_by_weight_however_many_builds_they_start() {
    let config = config(r#"{"weights": [{"tenant": "team-a", "weight": 3}, {"tenant": "ci-*", "weight": 2}]}"#);
    let mut dice = Dice::new(1);
    let mut jobs = work(&mut dice, "team-a", 1, 20_000);
    jobs.extend(work(&mut dice, "ci-nightly", 40, 20_000));
    jobs.extend(work(&mut dice, "team-b", 5, 20_000));
    let outcome = run(&config, 60, &jobs, 200_000);
    for (tenant, builds, wanted) in [("team-a", 1, 50.0), ("ci-nightly", 40, 33.3), ("team-b", 5, 16.7)] {
        let share = 100.0 * outcome.share(10_000, 200_000, |job| jobs[job].tenant == tenant);
        let what = format!("share of tenant {tenant} with {builds} builds");
        report("fair-share", &what, &format!("{wanted:.1} % ± 5"), format!("{share:.1} %"));
        assert!((share - wanted).abs() / wanted < 0.05, "{tenant}: {share}");
    }
}

#[test]
fn builds_of_a_tenant_share_evenly_and_a_small_one_does_not_wait_for_a_huge_one() {
    let mut dice = Dice::new(2);
    let mut jobs = work(&mut dice, "t", 1, 10_000);
    let small = 10_000..10_050;
    jobs.extend(work(&mut dice, "t", 1, 50).into_iter().map(|job| Job {
        invocation: "small".to_owned(),
        arrives_ms: 30_000,
        ..job
    }));
    let outcome = run(&Config::default(), 20, &jobs, 400_000);
    let took = outcome.end_ms(|job| small.contains(&job)) - 30_000;
    // 50 jobs of a second on half of 20 bots, and the jobs that are running when it comes.
    report("fair-share", "50 jobs beside 10 000 of the same tenant, in s", "<= 8", took / 1000);
    assert!(took <= 8_000, "{took}");
    assert_eq!(outcome.idle_ms, 0);
}

#[test]
fn within_a_build_the_priority_decides() {
    let job =
        |priority| Job { tenant: "t".to_owned(), invocation: "b".to_owned(), priority, runs_ms: 1, ..Job::default() };
    let jobs: Vec<Job> = [5, -1, 0].into_iter().map(job).collect();
    let order: Vec<usize> = run(&Config::default(), 1, &jobs, 100).runs.iter().map(|run| run.job).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn names_that_are_long_or_have_separators_stay_apart() {
    let jobs: Vec<Job> = ["a/b", "a", &"x".repeat(1000), &format!("{}y", "x".repeat(999))]
        .map(|tenant| Job { tenant: tenant.to_owned(), invocation: "ü".repeat(500), runs_ms: 1, ..Job::default() })
        .into();
    let mut lanes = Vec::new();
    let place = |question: &Jobs, _| {
        let places = place(&Config::default(), question);
        lanes = places.strings.clone();
        places
    };
    World::new(1, place).run(&jobs, 100);
    assert_eq!(lanes.len(), 4);
    assert!(lanes.iter().all(|lane| lane.len() <= 256), "{lanes:?}");
    assert!(lanes[0].starts_with("a%2Fb/"));
    let tenants: std::collections::BTreeSet<_> = lanes.iter().map(|lane| lane.split_once('/')).collect();
    assert_eq!(tenants.len(), 4);
}

#[test]
fn a_lane_of_another_policy_is_a_tenant_of_its_own() {
    let lanes = Lanes {
        name: vec!["plain".to_owned(), "t/1".to_owned(), String::new()],
        weight: vec![1, 1, 0],
        queued: vec![1; 3],
        running: vec![1, 2, 0],
        head_waited_ms: vec![0; 3],
        head_rank: vec![0; 3],
    };
    assert_eq!(choose(&lanes), Some(2));
    assert_eq!(choose(&Lanes::default()), None);
}
