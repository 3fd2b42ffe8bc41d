//! A plugin that chooses lanes, asked on the thread that runs the steps.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{Chooser, LaneView, WorkerView};
use berth_plugin_host::{FaultKind, Function, Generation, Limits, Plugin, PluginChooser, PluginLimits, PluginPolicy};

use crate::guests::{load, policy};

fn probe(plugin: PluginLimits) -> (Arc<Plugin>, Arc<PluginPolicy>) {
    let plugin = load("probe", Limits { plugin, ..Limits::default() });
    let policy = policy(&plugin);
    (plugin, policy)
}

/// Patient, so that a busy machine does not decide what the test sees.
fn patient() -> PluginLimits {
    let second = Duration::from_secs(1);
    PluginLimits { choose_deadline: second, choose_batch_deadline: 60 * second, faults_max: 0, ..Default::default() }
}

fn choose(chooser: &mut PluginChooser, bot_id: &str, lanes: usize) -> Option<usize> {
    let names: Vec<String> = (0..lanes).map(|lane| format!("lane {lane}")).collect();
    let view =
        |name| LaneView { name, weight: 1, queued: 2, running: 1, head_waited: Duration::from_secs(1), head_rank: -5 };
    let lanes: Vec<_> = names.iter().map(|name| view(name.as_str())).collect();
    let worker =
        WorkerView { instance: "main", bot_id, capabilities: &[], busy: 0, slots: 1, recent: &["b", "lane 1"] };
    chooser.choose(&worker, &lanes, false)
}

/// After a fault another instance is made on a thread of its own.
fn until_there(chooser: &mut PluginChooser) -> usize {
    loop {
        chooser.begin();
        if let Some(lane) = choose(chooser, "bot", 3) {
            return lane;
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_lane_is_chosen_and_no_more_lanes_are_shown_than_may_be() {
    let (plugin, policy) = probe(patient());
    let mut chooser = policy.chooser();
    chooser.begin();
    assert!(chooser.asks("main"));
    assert_eq!(choose(&mut chooser, "bot", 3), Some(2));
    assert_eq!(choose(&mut chooser, "nobody", 3), None);
    assert_eq!(choose(&mut chooser, "truncated", 3), Some(0));
    assert_eq!(choose(&mut chooser, "truncated", 300), Some(1));
    assert_eq!(choose(&mut chooser, "bot", 300), Some(255));
    assert_eq!(choose(&mut chooser, "lately", 3), Some(1), "by what the bot served last");
    assert_eq!((plugin.stats().faults_all(), plugin.stats().function(Function::Choose).questions), (0, 6));
}

#[test]
fn a_fault_leaves_the_choice_to_the_built_in_rule_until_there_is_another_instance() {
    let (plugin, policy) = probe(patient());
    let mut chooser = policy.chooser();
    for (wish, kind) in [("beyond", FaultKind::Nonsense), ("trap", FaultKind::Trap), ("memory", FaultKind::Memory)] {
        assert_eq!(until_there(&mut chooser), 2);
        assert_eq!(choose(&mut chooser, wish, 3), None);
        assert_eq!(plugin.stats().function(Function::Choose).faults_of(kind), 1, "{wish}");
    }
    assert_eq!(until_there(&mut chooser), 2);
}

#[test]
fn who_takes_too_long_is_stopped_and_then_found_at_fault() {
    let (plugin, policy) = probe(PluginLimits { faults_max: 0, ..PluginLimits::default() });
    let mut chooser = policy.chooser();
    until_there(&mut chooser);
    // The clock of deadlines is coarse: an endless loop ends all the same.
    assert_eq!(choose(&mut chooser, "loop", 3), None);
    assert_eq!(plugin.stats().function(Function::Choose).faults_of(FaultKind::Deadline), 1);
    // What a call took beyond the limit of the batch is the last of its batch.
    chooser.begin();
    while choose(&mut chooser, "bot", 3).is_none() {
        chooser.begin();
        std::thread::yield_now();
    }
    let used = |_| choose(&mut chooser, "spin-1", 3);
    assert!((0..1_000_000).map(used).any(|answer| answer.is_none()), "a batch has an end");
    let counted = plugin.stats();
    let counted = counted.function(Function::Choose);
    assert!(counted.faults_of(FaultKind::Budget) + counted.faults_of(FaultKind::Deadline) >= 2, "{counted:?}");
}

#[test]
fn another_generation_is_followed_between_two_batches() {
    let (_, policy) = probe(patient());
    let mut chooser = policy.chooser();
    chooser.begin();
    assert_eq!(choose(&mut chooser, "bot", 2), Some(1));
    policy.swap(Generation::default());
    assert!(chooser.asks("main"), "this batch is not over");
    chooser.begin();
    assert!(!chooser.asks("main"));
    assert_eq!(choose(&mut chooser, "bot", 2), None);
}
