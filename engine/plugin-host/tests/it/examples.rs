//! The policies of `plugins/examples`, which other languages' tools build: `cargo xtask examples` builds them and runs
//! these tests, each with the component's file in `BERTH_EXAMPLE`.

use std::sync::Arc;
use std::time::Duration;

use berth_plugin_host::{Host, Limits, LoadOptions, Plugin, PluginPolicy};
use berth_runtime::policy::hooks::CreateAmendments;
use berth_runtime::policy::{PlaceQuestion, Policy, PolicyError};

use crate::guests::policy;
use crate::questions::{create, execution, job, pairs, worker};

/// The component under the limits and with the grants that any plugin gets.
fn load(name: &str, config: &str) -> (Arc<Plugin>, Arc<PluginPolicy>) {
    let file = std::env::var_os("BERTH_EXAMPLE").expect("cargo xtask examples says which component");
    let component = std::fs::read(file).expect("the example was built");
    let host = Host::new(Limits::default()).expect("a host starts");
    let options = LoadOptions { config: Some(config.to_owned()), ..LoadOptions::default() };
    let plugin = host.load(name, &component, options).expect("the example loads");
    println!("{name}: {} bytes, {:?} to compile", plugin.load_cost().bytes, plugin.load_cost().compile);
    assert!(plugin.examples().contains("[[case]]"), "it carries its cases");
    let policy = policy(&plugin);
    (plugin, policy)
}

/// What a call costs, at its best.
fn show_cost(plugin: &Plugin, what: &str, calls: u32, mut call: impl FnMut()) {
    let time = |_| {
        let started = std::time::Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed() / calls
    };
    let best = (0..20).map(time).min().unwrap_or(Duration::MAX);
    println!("{}: {what}: {best:?}", plugin.name());
    assert_eq!(plugin.stats().faults_all(), 0, "{:?}", plugin.recent_faults());
}

#[test]
#[ignore = "needs the component in C that cargo xtask examples builds"]
fn builds() {
    let (plugin, policy) = load("builds", "{}");
    let of = |invocation, priority| PlaceQuestion { invocation, priority, ..job("") };
    let placed = policy.place(&[of("one", -5), of("two", 0), of("one", 7), of("", 1)]);
    let placed: Vec<_> = placed.iter().map(|place| (&*place.lane.0, place.weight, place.rank)).collect();
    assert_eq!(placed, [("one", 1, -5), ("two", 1, 0), ("one", 1, 7), ("", 1, 1)]);
    let many = vec![of("one", 0); 1000];
    show_cost(&plugin, "place, one job a call", 100, || _ = policy.place(&many[..1]));
    show_cost(&plugin, "place, 1000 jobs a call", 2, || _ = policy.place(&many));
}

#[test]
#[ignore = "needs the component in Python that cargo xtask examples builds"]
fn reserved() {
    let (plugin, policy) = load("reserved", r#"{"pools": {"gpu": ["ml", "te*"], "lab": ["ml"]}}"#);
    // The tenant of these questions is `team`.
    for (pool, allowed) in [("small", true), ("gpu", true), ("lab", false)] {
        let platform = pairs(&[("OSFamily", "linux"), ("pool", pool)]);
        match policy.before_create_job(&create(&[], &platform)) {
            Ok(amendments) => assert_eq!((amendments, allowed), (CreateAmendments::default(), true), "{pool}"),
            Err(PolicyError::Denied { reason }) => {
                assert_eq!((reason.as_str(), allowed), ("pool=lab is not for tenant 'team'", false));
            }
            Err(error) => panic!("{pool}: {error}"),
        }
    }
    let platform = pairs(&[("OSFamily", "linux"), ("pool", "gpu")]);
    show_cost(&plugin, "before-create-job", 20, || _ = policy.before_create_job(&create(&[], &platform)));
}

#[test]
#[ignore = "needs the component in JavaScript that cargo xtask examples builds"]
fn names() {
    let (plugin, policy) = load("names", r#"{"names": {"os": "OSFamily"}, "dropped": ["note"]}"#);
    let mut platform = pairs(&[("note", "x"), ("os", "linux"), ("pool", "a")]);
    let answer = policy.execution_properties(&execution(&platform)).expect("a good platform");
    let required: Vec<_> = answer.requirements.iter().map(|one| (&*one.name, &*one.value)).collect();
    assert_eq!((&*answer.label, required), ("linux", vec![("OSFamily", "linux"), ("pool", "a")]));
    assert_eq!(
        policy.worker_properties(&worker(&platform)).expect("a good bot").capabilities,
        std::slice::from_ref(&answer.requirements)
    );
    platform.push(("OSFamily".to_owned(), "macos".to_owned()));
    let refused = policy.execution_properties(&execution(&platform)).expect_err("it contradicts itself");
    assert_eq!(refused, PolicyError::DuplicateProperty { name: "OSFamily".to_owned() });
    show_cost(&plugin, "worker-properties", 20, || _ = policy.worker_properties(&worker(&platform[..3])));
}
