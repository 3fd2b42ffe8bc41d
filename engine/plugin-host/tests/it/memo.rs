//! What is remembered and what is not.

use berth_plugin_host::{Function, FunctionStats, Limits};
use berth_runtime::policy::{ExecutionQuestion, Policy, PolicyError};

use crate::guests::{load, policy};
use crate::questions::{execution, pairs};

#[test]
fn a_platform_is_asked_for_once_whatever_the_order_of_its_properties() {
    let plugin = load("faulty", Limits::default());
    let policy = policy(&plugin);
    let one = pairs(&[("OSFamily", "linux"), ("ISA", "x86-64"), ("pool", "a")]);
    let other: Vec<_> = one.iter().rev().cloned().collect();
    let first = policy.execution_properties(&execution(&one)).unwrap();
    for _ in 0..100 {
        assert_eq!(policy.execution_properties(&execution(&other)).unwrap(), first);
    }
    let counted = counters(&plugin);
    assert_eq!((counted.questions, counted.memo_hits, counted.guest_calls), (101, 100, 1));

    let elsewhere = ExecutionQuestion { instance: "other", platform: &one };
    policy.execution_properties(&elsewhere).unwrap();
    assert_eq!(counters(&plugin).guest_calls, 2, "another instance name is another question");
    let twice: Vec<_> = one.iter().chain(&one).cloned().collect();
    policy.execution_properties(&execution(&twice)).unwrap();
    assert_eq!(counters(&plugin).guest_calls, 3, "a policy may mind duplicates");
}

#[test]
fn a_refusal_is_remembered_and_a_fault_is_not() {
    let plugin = load("faulty", Limits::default());
    let policy = policy(&plugin);
    for (wish, guest_calls) in [("refuse", 1), ("trap", 4)] {
        let platform = pairs(&[("fault", wish)]);
        for _ in 0..3 {
            assert!(policy.execution_properties(&execution(&platform)).is_err());
        }
        assert_eq!(counters(&plugin).guest_calls, guest_calls, "after {wish}");
    }
    let refused = policy.execution_properties(&execution(&pairs(&[("fault", "refuse")])));
    assert_eq!(refused, Err(PolicyError::Denied { reason: "as you wish".to_owned() }));
}

#[test]
fn a_platform_beyond_all_measure_is_refused_without_asking() {
    let plugin = load("faulty", Limits::default());
    let policy = policy(&plugin);
    for platform in [vec![("a".to_owned(), String::new()); 1025], pairs(&[("a", &"b".repeat(300_000))])] {
        let refused = policy.execution_properties(&execution(&platform));
        assert!(matches!(refused, Err(PolicyError::MalformedProperty { .. })), "{refused:?}");
    }
    assert_eq!(counters(&plugin).guest_calls, 0);
}

fn counters(plugin: &berth_plugin_host::Plugin) -> FunctionStats {
    plugin.stats().function(Function::ExecutionProperties).clone()
}
