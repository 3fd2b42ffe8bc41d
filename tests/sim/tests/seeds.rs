//! What must be true of the simulation itself.

use berth_sim::run;

#[test]
fn the_same_seed_gives_the_same_history() {
    let (first, second) = (run(7, 3_000, false), run(7, 3_000, false));
    assert_eq!(first, second);
    assert_ne!(first.hash, run(8, 3_000, false).hash);
}

#[test]
fn some_seeds_pass_and_see_crashes() {
    let reports: Vec<_> = (1..=20).map(|seed| run(seed, 2_000, false)).collect();
    for report in &reports {
        assert_eq!(report.failure, None, "seed {}", report.seed);
    }
    assert!(reports.iter().map(|report| report.crashes).sum::<u64>() > 20);
}
