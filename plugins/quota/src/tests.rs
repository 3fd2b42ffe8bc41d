//! What a configuration must be, and what comes of the policy when all want more than they may have.

use berth_policy_model::{Dice, Job, World, report};
use berth_policy_sdk::Jobs;

use crate::config::{Config, Numbers};
use crate::rule::place;

fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration of a test is right")
}

#[test]
fn the_first_override_that_fits_counts_and_the_default_fills_its_gaps() {
    let config = config(
        r#"{"tenant": {"max-running": 10, "max-queued": 100, "override": [
            {"name": "ci-*", "instance": "dev", "max-running": 5},
            {"name": "ci-*", "max-running": 50, "min-running": 4},
            {"name": "", "max-queued": 0}]}}"#,
    );
    let numbers =
        |name: &str, instance: &str| config.tenant.as_ref().expect("there are limits").numbers(name, instance);
    let of = |max_running, max_queued, min_running| Numbers {
        max_running,
        max_queued,
        min_running,
        evict_after_ms: None,
        cool_down_ms: None,
    };
    assert_eq!(numbers("x", "main"), of(Some(10), Some(100), None));
    assert_eq!(numbers("ci-1", "dev"), of(Some(5), Some(100), None));
    assert_eq!(numbers("ci-1", "main"), of(Some(50), Some(100), Some(4)));
    assert_eq!(numbers("", "main"), of(Some(10), Some(0), None));
}

#[test]
fn a_guarantee_beyond_the_limit_is_refused() {
    let error = |text: &str| serde_json::from_str::<Config>(text).expect_err("it contradicts itself").to_string();
    assert!(error(r#"{"tenant": {"max-running": 1, "min-running": 2}}"#).contains("min-running 2"));
    let by_default = r#"{"tenant": {"min-running": 2, "override": [{"name": "a", "max-running": 1}]}}"#;
    assert!(error(by_default).contains("the override for"));
    assert!(error(r#"{"tenants": {}}"#).contains("unknown field"));
    assert!(error(r#"{"tenant": {"evict-after-ms": 999}}"#).contains("evict-after-ms 999; 1000 or more"));
}

#[test]
fn nobody_is_counted_who_has_no_limit() {
    let jobs = Jobs {
        strings: vec![String::new(), "main".to_owned(), "a".to_owned(), "b".to_owned()],
        instance: vec![1, 1],
        tenant: vec![2, 3],
        label: vec![0, 0],
        priority: vec![0, 0],
        ..Jobs::default()
    };
    assert_eq!(place(&Config::default(), &jobs), Default::default());
    let places = place(&config(r#"{"tenant": {"override": [{"name": "a", "max-running": 1}]}}"#), &jobs);
    assert_eq!(places.counters, Some(vec![vec![0], vec![]]));
    assert_eq!(places.limits.len(), 1);
}

#[test]
fn a_quota_is_never_exceeded_and_a_guarantee_is_kept() {
    let config = config(
        r#"{"tenant": {"max-running": 12, "max-queued": 300, "override": [{"name": "urgent", "min-running": 6}]},
            "instance": {"max-running": 30}}"#,
    );
    let mut dice = Dice::new(5);
    let mut jobs: Vec<Job> = (0..6000)
        .map(|n| Job {
            arrives_ms: n * 10,
            instance: "main".to_owned(),
            tenant: format!("tenant-{}", dice.below(4)),
            runs_ms: dice.between(200, 3000),
            ..Job::default()
        })
        .collect();
    jobs.extend((0..600).map(|n| Job {
        arrives_ms: 20_000 + n * 50,
        instance: "main".to_owned(),
        tenant: "urgent".to_owned(),
        runs_ms: 1000,
        ..Job::default()
    }));
    let outcome = World::new(40, |jobs: &Jobs, _| place(&config, jobs)).run(&jobs, 600_000);
    let (mut running, mut queued) = (0, 0);
    for (name, (most_running, most_queued)) in &outcome.peaks {
        if name.starts_with("tenant ") {
            (running, queued) = (running.max(*most_running), queued.max(*most_queued));
        }
    }
    report("quota", "most running of a tenant", "<= 12", running);
    report("quota", "most queued of a tenant", "<= 300", queued);
    report("quota", "most running of the instance", "<= 30", outcome.peaks["instance main"].0);
    assert!(running == 12 && queued == 300, "the limits were reached, and not passed");
    assert_eq!(outcome.peaks["instance main"].0, 30);
    assert!(!outcome.refused.is_empty());

    // From the first of its jobs on, six at a time run; other tenants have work all the time.
    let share = outcome.share(25_000, 45_000, |job| jobs[job].tenant == "urgent") * 30.0;
    report("quota", "running of the tenant with a guarantee of 6, of 5 that want 30", ">= 6", format!("{share:.1}"));
    assert!(share >= 5.95, "{share}");
}
