//! A candidate that is asked beside the plugin in force.

use berth_plugin_host::{ChainSpec, Function, GenerationSpec, Host, Limits, LoadOptions, PluginLimits, PluginPolicy};
use berth_runtime::policy::Policy;

use crate::guests::{component, everything, generation, granted, load_into};
use crate::questions::{attempt, create, execution, job, pairs, prune, queue, unmatched, worker};

#[test]
fn differences_are_recorded_and_summarised_and_change_nothing() {
    let host = Host::new(Limits::default()).unwrap();
    let (active, candidate) = (load_into(&host, "reapi-priority"), load_into(&host, "probe"));
    let chain = ChainSpec { place: Some("reapi-priority".to_owned()), ..ChainSpec::default() };
    let policy = PluginPolicy::new(generation(&GenerationSpec::everywhere(chain), &[&active]));
    assert_eq!(policy.place(&[job("")])[0].rank, 0);
    let observation = policy.observe(generation(&everything(&candidate), &[&candidate])).unwrap();
    for _ in 0..3 {
        assert_eq!(policy.place(&[job("")])[0].rank, 0, "the one in force answers");
    }
    policy.execution_properties(&execution(&pairs(&[("a", "b")]))).unwrap();
    while !observation.is_idle() {
        std::thread::yield_now();
    }
    let summary = observation.summary();
    assert_eq!((summary.asked, summary.same, summary.different, summary.faults), (4, 0, 4, 0));
    let differences = observation.differences();
    assert_eq!(differences[0].function, Function::Place);
    let rank = |answer: &str| {
        serde_json::from_str::<serde_json::Value>(answer).unwrap()["answer"]["places"][0]["rank"].clone()
    };
    assert_eq!((rank(&differences[0].active), rank(&differences[0].candidate)), (0.into(), 7.into()));
    assert_eq!(differences[0].question_digest, differences[2].question_digest);
    assert_ne!(differences[0].question_digest, differences[3].question_digest);
    assert!(policy.observe_no_more().is_some());
    policy.place(&[job("")]);
    assert_eq!(observation.summary().asked, 4);
}

#[test]
fn every_question_is_put_to_the_candidate_as_it_was() {
    let host = Host::new(Limits::default()).unwrap();
    let load = || host.load("probe", &component("probe"), granted()).unwrap();
    let (active, candidate) = (load(), load());
    let policy = PluginPolicy::new(generation(&everything(&active), &[&active]));
    let observation = policy.observe(generation(&everything(&candidate), &[&candidate])).unwrap();
    let none = Default::default();
    policy.worker_properties(&worker(&pairs(&[("x", "y")]))).unwrap();
    policy.place(&[job("everything"), job("lanes")]);
    policy.before_create_job(&create(&["platform".to_owned()], &[])).unwrap();
    policy.before_queue_job(&queue("linux", &none)).unwrap();
    policy.after_attempt(&attempt("", &none)).unwrap();
    policy.unmatched(&unmatched("linux", &none)).unwrap();
    policy.before_prune(&[prune("1", std::time::Duration::from_secs(5))]);
    // A candidate's fault is its own.
    policy.after_attempt(&attempt("trap", &none));
    while !observation.is_idle() {
        std::thread::yield_now();
    }
    let summary = observation.summary();
    assert_eq!((summary.asked, summary.same, summary.faults), (8, 8, 1), "{:?}", observation.differences());
}

#[test]
fn what_does_not_fit_into_the_queue_is_dropped_and_counted() {
    let host = Host::new(Limits::default()).unwrap();
    // Each keeps the candidate busy for its whole deadline, however often.
    let limits = Some(PluginLimits { faults_max: 0, ..PluginLimits::default() });
    let candidate = host.load("probe", &component("probe"), LoadOptions { limits, ..granted() }).unwrap();
    let active = load_into(&host, "reapi-priority");
    let chain = ChainSpec { place: Some("reapi-priority".to_owned()), ..ChainSpec::default() };
    let policy = PluginPolicy::new(generation(&GenerationSpec::everywhere(chain), &[&active]));
    let observation = policy.observe(generation(&everything(&candidate), &[&candidate])).unwrap();
    while observation.summary().dropped == 0 {
        policy.place(&[job("loop")]);
    }
}
