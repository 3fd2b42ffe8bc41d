//! Who is asked for which instance name, and how that changes while calls are running.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use berth_plugin_host::{Chain, Function, Generation, Host, Limits, PluginPolicy};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::{component, load};
use crate::questions::{execution, job, pairs};

#[test]
fn without_plugins_the_built_in_rule_answers() {
    let policy = PluginPolicy::new(Generation::default());
    let platform = pairs(&[("OSFamily", "linux")]);
    let ours = policy.execution_properties(&execution(&platform));
    assert_eq!(ours, BuiltinPolicy.execution_properties(&execution(&platform)));
    assert_eq!(policy.place(&[job("")]), BuiltinPolicy.place(&[job("")]));
    assert!(policy.stats().is_empty());
}

#[test]
fn a_plugin_is_not_named_for_what_it_does_not_export() {
    let plugin = load("reapi-order", Limits::default());
    let error = Chain::new(Some(Arc::clone(&plugin)), None).unwrap_err();
    assert!(error.to_string().contains("reapi-order does not export berth:policy/properties"), "{error}");
    assert!(Chain::new(None, Some(plugin)).is_ok());
}

#[test]
fn each_instance_name_has_its_own_chain_and_answers_stay_in_order() {
    let plugin = load("faulty", Limits::default());
    let special = Chain::new(None, Some(Arc::clone(&plugin))).unwrap();
    let policy = PluginPolicy::new(Generation::default().with_instance("special", special));
    let asked = |instance, priority| PlaceQuestion { instance, priority, ..job("") };
    let questions = [asked("special", 1), asked("a", 2), asked("b", 3), asked("special", 4), asked("special", 5)];
    let ranks: Vec<_> = policy.place(&questions).into_iter().map(|place| place.rank).collect();
    assert_eq!(ranks, [7, 2, 3, 7, 7]);
    assert_eq!(plugin.stats().function(Function::Place).questions, 3);
}

#[test]
fn a_swap_takes_effect_at_once_and_no_call_gets_lost() {
    let host = Host::new(Limits::default()).unwrap();
    let chain = |name| Chain::new(None, Some(host.load(name, &component(name)).unwrap())).unwrap();
    let generations = [Generation::new(chain("faulty")), Generation::new(chain("reapi-order"))];
    let policy = PluginPolicy::new(generations[0].clone());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let rank = policy.place(&[job("")])[0].rank;
                    assert!(rank == 7 || rank == 0, "{rank}");
                }
            });
        }
        for round in 0..200 {
            let expected = if round % 2 == 0 { 0 } else { 7 };
            let before = policy.activate(generations[(round + 1) % 2].clone());
            assert_eq!(before.number(), round as u64 + 1);
            assert_eq!(policy.place(&[job("")])[0].rank, expected, "round {round}");
        }
        done.store(true, Relaxed);
    });
    let faults: u64 =
        policy.stats().iter().map(|plugin| plugin.function(Function::Place).faults.iter().sum::<u64>()).sum();
    assert_eq!(faults, 0);
}
