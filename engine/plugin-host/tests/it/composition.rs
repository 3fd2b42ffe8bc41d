//! Who is asked for which instance name, and how that changes while calls are running.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use berth_plugin_host::{
    ChainSpec, Function, Generation, GenerationSpec, Host, Limits, PluginPolicy, Plugins, SpecError,
};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::{generation, load, load_into};
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

fn named(name: &str) -> Option<String> {
    Some(name.to_owned())
}

#[test]
fn a_description_that_does_not_fit_says_where_and_why() {
    let plugin = load("reapi-priority", Limits::default());
    let plugins = Plugins::from([("order".to_owned(), plugin)]);
    let refused = |pattern: &str, chain: ChainSpec| {
        let mut spec = GenerationSpec::default();
        spec.instances.insert(pattern.to_owned(), chain);
        Generation::build(&spec, &plugins).unwrap_err()
    };
    let error = refused("*", ChainSpec { properties: named("order"), ..ChainSpec::default() });
    assert!(matches!(error, SpecError::NotExported { .. }), "{error}");
    for part in ["properties of instances \"*\"", "\"order\"", "berth:policy/properties", "priority"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = refused("main", ChainSpec { rank: named("ordre"), ..ChainSpec::default() });
    assert!(error.to_string().contains("rank of instances \"main\" names plugin \"ordre\""), "{error}");
    assert!(error.to_string().ends_with("loaded are: order"), "{error}");
    let error = refused("a*b", ChainSpec::default());
    assert_eq!(error, SpecError::Pattern("a*b".to_owned()));
}

#[test]
fn each_instance_name_has_its_own_chain_and_answers_stay_in_order() {
    let plugin = load("faulty", Limits::default());
    let mut spec = GenerationSpec::default();
    let places = || ChainSpec { place: named("faulty"), ..ChainSpec::default() };
    spec.instances.insert("special".to_owned(), places());
    spec.instances.insert("team-*".to_owned(), ChainSpec::default());
    spec.instances.insert("team-a*".to_owned(), places());
    let policy = PluginPolicy::new(generation(&spec, &[&plugin]));
    let asked = |instance, priority| PlaceQuestion { instance, priority, ..job("") };
    let questions = [
        asked("special", 1),
        asked("a", 2),
        asked("team-b", 3),
        asked("special", 4),
        asked("special", 5),
        asked("team-ax", 6),
    ];
    let ranks: Vec<_> = policy.place(&questions).into_iter().map(|place| place.rank).collect();
    assert_eq!(ranks, [7, 2, 3, 7, 7, 7]);
    assert_eq!(plugin.stats().function(Function::Place).questions, 4);
}

#[test]
fn columns_of_several_plugins_make_one_place_and_who_owns_none_is_not_asked() {
    let host = Host::new(Limits::default()).unwrap();
    let (faulty, order) = (load_into(&host, "faulty"), load_into(&host, "reapi-priority"));
    let chain = ChainSpec { lane: named("faulty"), rank: named("reapi-priority"), ..ChainSpec::default() };
    let policy = PluginPolicy::new(generation(&GenerationSpec::everywhere(chain), &[&faulty, &order]));
    let question = PlaceQuestion { priority: 3, ..job("lanes") };
    let placed = policy.place(&[question, question]);
    let shown: Vec<_> = placed.iter().map(|place| (&*place.lane.0, place.weight, place.rank)).collect();
    assert_eq!(shown, [("//:target", 1, 3), ("mine", 2, 3)]);

    // The lane's owner fails: its column is the built-in one, the other's stays. What is queued already keeps its place.
    let question = PlaceQuestion { priority: 3, ..job("trap") };
    assert_eq!(policy.place(&[question]), BuiltinPolicy.place(&[question]));
    assert_eq!(policy.place_again(&[question]), [None]);
    assert!(policy.place_again(&[job("")])[0].is_some());

    let chain = ChainSpec { place: named("faulty"), rank: named("reapi-priority"), ..ChainSpec::default() };
    let before = faulty.stats().function(Function::Place).guest_calls;
    let placed = generation(&GenerationSpec::everywhere(chain), &[&faulty, &order]).place(&[job("")]);
    assert_eq!(placed[0].rank, 0, "the rank is the other's");
    assert_eq!(faulty.stats().function(Function::Place).guest_calls, before + 1);
}

#[test]
fn a_swap_takes_effect_at_once_and_no_call_gets_lost() {
    let host = Host::new(Limits::default()).unwrap();
    let plugins = ["faulty", "reapi-priority"].map(|name| load_into(&host, name));
    let make = |index: usize| {
        let chain = ChainSpec { place: named(plugins[index].name()), ..ChainSpec::default() };
        generation(&GenerationSpec::everywhere(chain), &[&plugins[index]])
    };
    let policy = PluginPolicy::new(make(0));
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
            let before = policy.swap(make((round + 1) % 2));
            assert_eq!(before.number(), round as u64 + 1);
            assert_eq!(policy.generation(), round as u64 + 2);
            assert_eq!(policy.place(&[job("")])[0].rank, expected, "round {round}");
        }
        done.store(true, Relaxed);
    });
    assert_eq!(plugins.iter().map(|plugin| plugin.stats().faults_all()).sum::<u64>(), 0);
}

#[test]
fn a_plugin_that_made_too_many_faults_gives_way_to_the_version_before_it() {
    let host = Host::new(Limits::default()).unwrap();
    let faulty = load_into(&host, "faulty");
    // Two versions of one name: another component, and one that fails on request.
    let good = host.load("faulty", &crate::guests::component("reapi-priority"), crate::guests::granted()).unwrap();
    let chain = ChainSpec { place: named("faulty"), ..ChainSpec::default() };
    let spec = GenerationSpec::everywhere(chain);
    let policy = PluginPolicy::new(generation(&spec, &[&good]));
    policy.swap(generation(&spec, &[&faulty]));
    for _ in 0..faulty.limits().faults_max {
        assert_eq!(policy.place(&[job("trap")]), BuiltinPolicy.place(&[job("trap")]));
    }
    assert!(faulty.is_quarantined());
    let active = policy.active();
    assert_eq!((active.number(), active.plugins()["faulty"].digest()), (3, good.digest()));
    let calls = faulty.stats().function(Function::Place).guest_calls;
    assert_eq!(policy.place(&[job("trap")])[0].rank, 0, "the good one does not know that wish");
    assert_eq!(faulty.stats().function(Function::Place).guest_calls, calls);

    // The good one fails too, says an operator: there is no other, and the built-in rule answers.
    good.quarantine();
    policy.place(&[job("")]);
    let question = PlaceQuestion { priority: 9, ..job("") };
    assert_eq!(policy.place(&[question]), BuiltinPolicy.place(&[question]));
    assert_eq!(policy.active().number(), 4);
    policy.place(&[question]);
    assert_eq!(policy.active().number(), 4, "it gives way once");
}
