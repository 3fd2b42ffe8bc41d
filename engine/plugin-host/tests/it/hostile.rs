//! Guests that are bad in themselves: at load, when they start, and in how they speak to the host at all.

use std::time::Duration;

use berth_plugin_host::{
    FaultKind, Function, Grant, Grants, Host, Interface, Limits, LoadError, LoadOptions, PluginLimits,
};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::{component, granted, load, policy};
use crate::questions::job;

#[test]
fn a_guest_that_traps_when_it_starts_is_refused() {
    let host = Host::new(Limits::default()).unwrap();
    let refused = host.load("start", &component("faulty-start"), granted()).unwrap_err();
    assert!(matches!(refused, LoadError::Start { .. }), "{refused}");
}

#[test]
fn a_guest_that_imports_what_nobody_offers_is_refused_with_the_name() {
    let host = Host::new(Limits::default()).unwrap();
    let refused = host.load("nosy", &component("faulty-foreign"), granted()).unwrap_err();
    assert!(matches!(refused, LoadError::ForeignImport { .. }), "{refused}");
    assert!(refused.to_string().contains("acme:vault/secrets@2.1.0"), "{refused}");
}

#[test]
fn what_the_bundled_plugins_do_not_use_they_do_not_import() {
    let host = Host::new(Limits::default()).unwrap();
    for name in ["containment", "reapi-priority"] {
        let options = |grants| LoadOptions { grants, ..LoadOptions::default() };
        let log: Grants = [Grant::Log].into_iter().collect();
        host.load(name, &component(name), options(log)).unwrap();
        let refused = host.load(name, &component(name), options(Grants::NONE)).unwrap_err();
        assert!(matches!(refused, LoadError::NotGranted { grant: Grant::Log, .. }), "{refused}");
    }
}

#[test]
fn examples_are_there_for_whoever_runs_them() {
    for name in ["faulty-about", "containment", "reapi-priority"] {
        let plugin = load(name, Limits::default());
        assert!(plugin.has(Interface::About) && plugin.examples().contains("[[case]]"), "{name}");
    }
}

#[test]
fn a_guest_that_breaks_the_canonical_abi_is_at_fault_and_the_next_call_is_good() {
    let plugin = PluginLimits {
        place_deadline: Duration::from_millis(20),
        instances_max: 1,
        faults_max: 0,
        ..PluginLimits::default()
    };
    let plugin = load("faulty-raw", Limits { plugin, ..Limits::default() });
    let policy = policy(&plugin);
    let faults = || FaultKind::ALL.iter().map(|kind| plugin.stats().function(Function::Place).faults_of(*kind)).sum();
    // Its answer has no column, so that every job gets rank 0; the built-in rule gives it its priority.
    let asked = |priority| {
        let question = PlaceQuestion { priority, ..job("") };
        let rank = policy.place(&[question])[0].rank;
        assert!(rank == 0 || rank == BuiltinPolicy.place(&[question])[0].rank, "{priority}");
        rank
    };
    assert_eq!(asked(100), 0, "what it does not know is no fault");
    let mut expected: u64 = 0;
    for at_once in 1..=9 {
        assert_eq!(asked(at_once), i64::from(at_once), "{at_once}");
        expected += 1;
        assert_eq!((at_once, faults()), (at_once, expected));
        assert_eq!(asked(100), 0, "after {at_once}");
    }
    for with_the_next in 10..=13 {
        assert_eq!(asked(with_the_next), 0, "{with_the_next}");
        assert_eq!(asked(100), 100, "after {with_the_next}");
        expected += 1;
        assert_eq!((with_the_next, faults()), (with_the_next, expected));
        assert_eq!(asked(100), 0, "after the fault of {with_the_next}");
    }
}
