//! Guests that misbehave: each fault is noticed, counted, answered as it should be, and forgotten by the next call.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_plugin_host::{FaultKind, Function, Limits, Plugin, PluginLimits, PluginPolicy};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{Policy, PolicyError};

use crate::guests::{load, policy};
use crate::questions::{execution, job, pairs, worker};

/// Short deadlines, so that the tests are quick; still far more than a good call needs.
fn faulty() -> (Arc<Plugin>, Arc<PluginPolicy>) {
    let limits = PluginLimits { call_deadline: Duration::from_millis(20), faults_max: 0, ..PluginLimits::default() };
    let plugin = load("faulty", of(limits));
    let policy = policy(&plugin);
    (plugin, policy)
}

fn of(plugin: PluginLimits) -> Limits {
    Limits { plugin, ..Limits::default() }
}

fn faults(plugin: &Plugin, function: Function, kinds: &[FaultKind]) -> u64 {
    let stats = plugin.stats();
    kinds.iter().map(|kind| stats.function(function).faults_of(*kind)).sum()
}

/// Endless recursion runs out of one stack or the other.
const STACK: &[FaultKind] = &[FaultKind::Stack, FaultKind::Trap];

#[test]
fn properties_faults_are_unavailable_counted_and_over_with_the_next_call() {
    let (plugin, policy) = faulty();
    let function = Function::ExecutionProperties;
    let cases: [(&str, &[FaultKind]); 9] = [
        ("loop", &[FaultKind::Deadline]),
        ("trap", &[FaultKind::Trap]),
        ("memory", &[FaultKind::Memory]),
        ("recursion", STACK),
        ("huge", &[FaultKind::Output]),
        ("many", &[FaultKind::Nonsense]),
        ("bad-label", &[FaultKind::Nonsense]),
        ("bad-requirement", &[FaultKind::Nonsense]),
        ("bad-refusal", &[FaultKind::Nonsense]),
    ];
    for (number, (wish, kinds)) in cases.into_iter().enumerate() {
        let before = faults(&plugin, function, kinds);
        let answer = policy.execution_properties(&execution(&pairs(&[("fault", wish)])));
        let named = format!("faulty@sha256:{}", plugin.digest());
        assert_eq!(answer, Err(PolicyError::Fault { plugin: named }), "{wish}");
        assert_eq!(faults(&plugin, function, kinds), before + 1, "{wish}: {:?}", plugin.stats());
        assert_eq!(plugin.stats().instances, 0, "{wish}: the instance is gone");

        let good = pairs(&[("good", &number.to_string())]);
        assert_eq!(&*policy.execution_properties(&execution(&good)).unwrap().label, "faulty", "after {wish}");
        assert_eq!(plugin.stats().instances, 1, "after {wish}");
    }
}

#[test]
fn place_faults_fall_back_to_the_built_in_rule_and_are_over_with_the_next_call() {
    let (plugin, policy) = faulty();
    let cases: [(&str, &[FaultKind]); 10] = [
        ("loop", &[FaultKind::Deadline]),
        ("trap", &[FaultKind::Trap]),
        ("memory", &[FaultKind::Memory]),
        ("recursion", STACK),
        ("huge", &[FaultKind::Output]),
        ("short", &[FaultKind::Nonsense]),
        ("long", &[FaultKind::Nonsense]),
        ("weightless", &[FaultKind::Nonsense]),
        ("beyond-the-table", &[FaultKind::Nonsense]),
        ("long-lane", &[FaultKind::Nonsense]),
    ];
    for (wish, kinds) in cases {
        let before = faults(&plugin, Function::Place, kinds);
        let questions = [job(wish), job("CppCompile"), job("")];
        assert_eq!(policy.place(&questions), BuiltinPolicy.place(&questions), "{wish}");
        assert_eq!(faults(&plugin, Function::Place, kinds), before + 1, "{wish}: {:?}", plugin.stats());

        // Rank 7 is what this guest answers, and never the built-in rule.
        assert_eq!(policy.place(&[job("CppCompile")])[0].rank, 7, "after {wish}");
        assert_eq!(plugin.stats().instances, 1, "after {wish}");
    }
}

#[test]
fn worker_properties_faults_are_unavailable() {
    let (plugin, policy) = faulty();
    for (wish, kind) in [("trap", FaultKind::Trap), ("no-capabilities", FaultKind::Nonsense)] {
        let answer = policy.worker_properties(&worker(&pairs(&[("fault", wish)])));
        assert!(matches!(answer, Err(PolicyError::Fault { .. })), "{wish}");
        assert_eq!(faults(&plugin, Function::WorkerProperties, &[kind]), 1, "{wish}");
    }
    assert!(policy.worker_properties(&worker(&[])).is_ok());
}

#[test]
fn lanes_weights_and_ranks_arrive_as_the_guest_gave_them() {
    let (_, policy) = faulty();
    let placed = policy.place(&[job("lanes"), job("lanes"), job("lanes")]);
    let shown: Vec<_> = placed.iter().map(|place| (&*place.lane.0, place.weight, place.rank)).collect();
    assert_eq!(shown, [("//:target", 1, 0), ("mine", 2, 0), ("//:target", 3, 0)]);
}

#[test]
fn an_instance_is_replaced_when_it_has_served_its_time() {
    let plugin = load("faulty", of(PluginLimits { calls_per_instance_max: 3, ..PluginLimits::default() }));
    let policy = policy(&plugin);
    for round in 0..20 {
        assert_eq!(policy.place(&[job("")])[0].rank, 7, "round {round}");
    }
    assert_eq!(faults(&plugin, Function::Place, &FaultKind::ALL), 0);
}

#[test]
fn callers_wait_for_an_instance_when_all_are_busy() {
    let limits = PluginLimits { instances_max: 1, place_deadline: Duration::from_secs(10), ..PluginLimits::default() };
    let plugin = load("faulty", of(limits));
    let policy = policy(&plugin);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..500).for_each(|_| assert_eq!(policy.place(&[job("")])[0].rank, 7)));
        }
    });
    assert_eq!(plugin.stats().instances, 1);
    assert_eq!(faults(&plugin, Function::Place, &FaultKind::ALL), 0);
}

#[test]
fn a_fault_is_logged_with_the_plugins_digest_and_a_panic_with_its_message() {
    let (plugin, policy) = faulty();
    let log = logged(|| {
        let _ = policy.execution_properties(&execution(&pairs(&[("fault", "trap")])));
    });
    for part in ["plugin fault", "trapped as you wish", plugin.digest(), "kind=\"trap\"", "execution-properties"] {
        assert!(log.contains(part), "{part} is not in: {log}");
    }
}

#[test]
fn a_chattering_guest_cannot_fill_the_log() {
    let (_, policy) = faulty();
    let log = logged(|| {
        policy.execution_properties(&execution(&pairs(&[("fault", "chatter")]))).unwrap();
    });
    assert!(log.contains("message 15"), "{log}");
    assert!(!log.contains("message 16"), "{log}");
}

/// What `act` logs, as text.
fn logged(act: impl FnOnce()) -> String {
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, act);
    let bytes = lines.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}
