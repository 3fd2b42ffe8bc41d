//! The work book against its naive model.

use berth_sim::run_work;

#[test]
fn the_book_does_what_the_model_does() {
    let (mut calls, mut crashes, mut handed_out) = (0, 0, 0);
    for seed in 1..=60 {
        let report = run_work(seed, 1_500);
        assert_eq!(report.failure, None, "seed {seed}, step {}", report.steps);
        (calls, crashes, handed_out) = (calls + report.calls, crashes + report.crashes, handed_out + report.handed_out);
    }
    // Otherwise it tested nothing.
    assert!(calls > 100_000 && crashes > 3_000 && handed_out > 5_000, "{calls} {crashes} {handed_out}");
}

#[test]
fn the_same_seed_gives_the_same_calls() {
    assert_eq!(run_work(3, 500), run_work(3, 500));
    assert_ne!(run_work(3, 500), run_work(4, 500));
}
