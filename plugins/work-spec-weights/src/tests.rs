//! The reference sequences of both rules, chains and loops, and shares under load.

use berth_policy_model::{Dice, Job, World, report};
use berth_policy_sdk::Jobs;
use berth_policy_sdk::choosing::Lanes;

use crate::config::{Config, Rule};
use crate::graph::Graph;
use crate::place::place;
use crate::{classic, simplified};

fn config(text: &str) -> Config {
    serde_json::from_str(text).expect("a configuration of a test is right")
}

fn choose(config: &Config, lanes: &Lanes) -> Option<u32> {
    match config.rule {
        Rule::Simplified => simplified::choose(config, lanes),
        Rule::Classic => classic::choose(config, lanes),
    }
}

/// Names, weights, how many wait, and the rank of the first that waits. Nothing ends.
fn sequence(config: &Config, specs: &[(&str, u32, u32, i64)], count: usize) -> String {
    let mut queued: Vec<u32> = specs.iter().map(|spec| spec.2).collect();
    let mut running = vec![0; specs.len()];
    let mut served = Vec::new();
    for _ in 0..count {
        let seen: Vec<usize> = (0..specs.len()).filter(|spec| queued[*spec] > 0).collect();
        let lanes = Lanes {
            name: seen.iter().map(|spec| specs[*spec].0.to_owned()).collect(),
            weight: seen.iter().map(|spec| specs[*spec].1).collect(),
            queued: seen.iter().map(|spec| queued[*spec]).collect(),
            running: seen.iter().map(|spec| running[*spec]).collect(),
            head_waited_ms: vec![0; seen.len()],
            head_rank: seen.iter().map(|spec| specs[*spec].3).collect(),
        };
        let Some(lane) = choose(config, &lanes) else {
            served.push("-");
            continue;
        };
        let spec = seen[lane as usize];
        queued[spec] -= 1;
        running[spec] += 1;
        served.push(specs[spec].0);
    }
    served.join(" ")
}

const CLASSIC: &str = r#"{"rule": "classic"}"#;

#[test]
fn both_rules_share_by_weight_in_the_reference_order() {
    let specs = [("a", 4, 100, 0), ("b", 6, 100, 0)];
    for rule in [CLASSIC, "{}"] {
        assert_eq!(sequence(&config(rule), &specs, 10), "b a b a b b a b a b");
    }
}

#[test]
fn classic_serves_the_most_urgent_units_first_and_no_negative_ones() {
    let specs = [("a", 4, 100, 0), ("b", 6, 100, 0), ("c", 1, 4, -9)];
    assert_eq!(sequence(&config(CLASSIC), &specs, 14), "c c c c b a b a b b a b a b");
    assert_eq!(sequence(&config(CLASSIC), &[("a", 1, 5, 1)], 1), "-");
}

#[test]
fn simplified_serves_the_work_spec_with_the_highest_priority_first() {
    let config = config(r#"{"specs": {"c": {"priority": 1}}}"#);
    let specs = [("a", 4, 100, 0), ("b", 6, 100, 0), ("c", 1, 4, 0)];
    assert_eq!(sequence(&config, &specs, 8), "c c c c b a b a");
    assert_eq!(sequence(&config, &[("a", 1, 9, 0), ("b", 300, 9, 0)], 3), "b b b");
}

#[test]
fn classic_serves_what_is_further_down_a_chain_first_unless_told_not_to() {
    let chain = config(r#"{"rule": "classic", "specs": {"a": {"then": "b"}, "b": {"then": "c"}}}"#);
    let specs = [("a", 20, 3, 0), ("b", 20, 2, 0), ("c", 20, 1, 0)];
    assert_eq!(sequence(&chain, &specs, 6), "c b b a a a");
    let patient = config(r#"{"rule": "classic", "specs": {"a": {"then": "b", "then-preempts": false}}}"#);
    assert_eq!(sequence(&patient, &[("a", 20, 3, 0), ("b", 20, 3, 0)], 6), "a b a b a b");
}

#[test]
fn classic_serves_paths_before_loops_and_loops_by_their_share() {
    let looped =
        config(r#"{"rule": "classic", "specs": {"l": {"then": "m"}, "m": {"then": "l"}, "s": {"continuous": true}}}"#);
    let specs = [("a", 20, 2, 0), ("l", 20, 100, 0), ("s", 20, 100, 0)];
    let served = sequence(&looped, &specs, 62);
    assert!(served.starts_with("a a "), "{served}");
    let (sources, loops) = (served.matches('s').count(), served.matches('l').count());
    assert_eq!(sources + loops, 60);
    assert!((39..=41).contains(&sources), "two of three go to the source that makes its own work: {served}");
}

#[test]
fn chains_that_meet_are_one_path_and_a_loop_is_found_from_anywhere() {
    let config = config(
        r#"{"specs": {"a": {"then": "c"}, "b": {"then": "c"}, "c": {"then": "d"}, "d": {"then": "nowhere"},
            "x": {"then": "y"}, "y": {"then": "z"}, "z": {"then": "y"}, "k": {"continuous": true, "then": "e"}, "e": {}}}"#,
    );
    let graph = Graph::new(&config, ["plain"].into_iter());
    assert_eq!(graph.paths, [vec!["b", "a", "c", "d"], vec!["e"], vec!["plain"], vec!["x"]]);
    assert_eq!(graph.loops, [vec!["y", "z"]]);
    assert_eq!(graph.sources, [vec!["k"]]);
    assert_eq!(graph.continuous, [vec!["k"]]);
    let itself = self::config(r#"{"specs": {"a": {"then": "a"}}}"#);
    assert_eq!(Graph::new(&itself, std::iter::empty()).loops, [vec!["a"]]);
}

#[test]
fn a_weight_may_be_said_by_how_nice_a_work_spec_is() {
    let config = config(
        r#"{"specs": {"a": {"nice": 5}, "b": {"nice": 100}, "c": {"weight": 7, "nice": 5}, "d": {"weight": -1}}}"#,
    );
    let weight = |name: &str| config.specs[name].weight();
    assert_eq!(["a", "b", "c", "d"].map(weight), [15, 1, 7, 1]);
}

#[test]
fn no_lanes_no_choice() {
    assert_eq!(choose(&config(CLASSIC), &Lanes::default()), None);
    assert_eq!(choose(&config("{}"), &Lanes::default()), None);
}

#[test]
fn work_specs_share_bots_by_weight_under_load() {
    for (name, rule) in [("simplified", "simplified"), ("classic", "classic")] {
        let config = config(&format!(
            r#"{{"rule": "{rule}", "specs": {{"a": {{"weight": 1}}, "b": {{"weight": 4}}, "c": {{"weight": 5}}}}}}"#
        ));
        let mut dice = Dice::new(17);
        let jobs: Vec<Job> = (0..30_000)
            .map(|n| {
                let invocation = ["a", "b", "c"][n % 3].to_owned();
                Job { invocation, runs_ms: dice.between(500, 1500), ..Job::default() }
            })
            .collect();
        let world = World::new(50, |jobs: &Jobs, _| place(&config, jobs));
        let outcome = world.choosing(|_, lanes, _| choose(&config, lanes)).run(&jobs, 200_000);
        for (spec, wanted) in [("a", 10.0), ("b", 40.0), ("c", 50.0)] {
            let share = 100.0 * outcome.share(10_000, 200_000, |job| jobs[job].invocation == spec);
            let what = format!("{name}: share of work spec {spec}");
            report("work-spec-weights", &what, &format!("{wanted:.0} % ± 5"), format!("{share:.1} %"));
            assert!((share - wanted).abs() / wanted < 0.05, "{name} {spec}: {share}");
        }
    }
}
