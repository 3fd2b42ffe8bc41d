//! Everything that a guest on the contract 1.0 may do wrong, in every function: noticed as what it is, answered as the
//! operator set, and over with the next call.

use std::sync::Arc;
use std::time::Duration;

use berth_core::PropertySet;
use berth_plugin_host::{
    AdmissionFault, AttemptFault, FaultKind, Function, Limits, LoadOptions, OnFault, Plugin, PluginLimits,
    PluginPolicy, PropertiesFault, PruneFault,
};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::hooks::MatchQuestion;
use berth_runtime::policy::{Policy, PolicyError};

use crate::guests::{component, granted, policy};
use crate::questions::{attempt, create, execution, job, pairs, prune, queue, unmatched, worker};

/// Short deadlines, so that the tests are quick; still far more than a good call needs.
fn probe(on_fault: OnFault) -> (Arc<Plugin>, Arc<PluginPolicy>) {
    let limits = PluginLimits {
        call_deadline: Duration::from_millis(20),
        // Endless in what each does, not in how often.
        faults_max: 0,
        ..PluginLimits::default()
    };
    let host = berth_plugin_host::Host::new(Limits::default()).unwrap();
    let options = LoadOptions { limits: Some(limits), on_fault, ..granted() };
    let plugin = host.load("probe", &component("probe"), options).unwrap();
    let policy = policy(&plugin);
    (plugin, policy)
}

/// Asks one function, with a wish in the text where it looks for one.
fn ask(policy: &PluginPolicy, function: Function, wish: &str) {
    let (none, wished) = (PropertySet::default(), pairs(&[("wish", wish)]));
    match function {
        Function::ExecutionProperties => _ = policy.execution_properties(&execution(&wished)),
        Function::WorkerProperties => _ = policy.worker_properties(&worker(&wished)),
        Function::Matches => {
            let (needs, offers) = ([(wish.into(), none)], [vec![]]);
            let question = MatchQuestion { instance: "", needs: &needs, offers: &offers, pairs: &[(0, 0)] };
            _ = policy.matches(&question);
        }
        Function::Nobody => _ = policy.unmatched(&unmatched(wish, &none)),
        Function::Place => _ = policy.place(&[job(wish)]),
        Function::BeforeCreateJob => _ = policy.before_create_job(&create(&[wish.to_owned()], &[])),
        Function::BeforeQueueJob => _ = policy.before_queue_job(&queue(wish, &none)),
        Function::AfterAttempt => _ = policy.after_attempt(&attempt(wish, &none)),
        Function::BeforePrune => _ = policy.before_prune(&[prune(wish, Duration::ZERO)]),
        Function::Choose | Function::OnEvents | Function::ConfigSchema | Function::Examples => {
            unreachable!("asked elsewhere")
        }
    }
}

const ASKED: [Function; 9] = [
    Function::ExecutionProperties,
    Function::WorkerProperties,
    Function::Matches,
    Function::Nobody,
    Function::Place,
    Function::BeforeCreateJob,
    Function::BeforeQueueJob,
    Function::AfterAttempt,
    Function::BeforePrune,
];

/// Endless recursion runs out of one stack or the other.
const STACK: &[FaultKind] = &[FaultKind::Stack, FaultKind::Trap];
const NONSENSE: &[FaultKind] = &[FaultKind::Nonsense];

fn must_be(plugin: &Plugin, policy: &PluginPolicy, function: Function, wish: &str, kinds: &[FaultKind]) {
    let count = || kinds.iter().map(|kind| plugin.stats().function(function).faults_of(*kind)).sum::<u64>();
    let before = (count(), plugin.stats().faults_all());
    ask(policy, function, wish);
    let told = plugin.recent_faults();
    assert_eq!(count(), before.0 + 1, "{wish} in {}: {told:?}", function.name());
    assert_eq!(told.last().map(|fault| fault.function), Some(function), "{wish}");

    ask(policy, function, "good");
    assert_eq!(plugin.stats().faults_all(), before.1 + 1, "after {wish} in {}: {told:?}", function.name());
}

#[test]
fn the_common_misdeeds_in_every_function() {
    let (plugin, policy) = probe(OnFault::default());
    for function in ASKED {
        must_be(&plugin, &policy, function, "loop", &[FaultKind::Deadline]);
        must_be(&plugin, &policy, function, "trap", &[FaultKind::Trap]);
        must_be(&plugin, &policy, function, "memory", &[FaultKind::Memory]);
        must_be(&plugin, &policy, function, "recursion", STACK);
        for wish in ["not-a-number", "bad-metric"] {
            must_be(&plugin, &policy, function, wish, NONSENSE);
        }
        for wish in ["clock", "kv", "stats", "metrics"] {
            if function.is_pure() {
                must_be(&plugin, &policy, function, wish, NONSENSE);
                let told = plugin.recent_faults().pop().unwrap().details;
                assert!(told.contains("not allowed here") && told.contains(wish), "{told}");
            }
        }
    }
    let before = plugin.stats().faults_all();
    for function in ASKED {
        for wish in ["chatter", "long-message"] {
            ask(&policy, function, wish);
        }
    }
    for wish in ["clock", "kv", "stats", "metrics"] {
        ask(&policy, Function::Place, wish);
    }
    assert_eq!(plugin.stats().faults_all(), before, "{:?}", plugin.recent_faults().last());
}

#[test]
fn answers_that_break_the_rules_of_their_function() {
    let (plugin, policy) = probe(OnFault::default());
    let cases: [(Function, &[&str]); 9] = [
        (Function::ExecutionProperties, &["many", "bad-label", "bad-requirement", "bad-preferred", "bad-refusal"]),
        (Function::WorkerProperties, &["no-capabilities", "many", "labels"]),
        (Function::Matches, &["short"]),
        (Function::Nobody, &["soon", "never"]),
        (
            Function::Place,
            &[
                "short",
                "long",
                "weightless",
                "beyond-the-table",
                "long-lane",
                "unknown-limit",
                "many-limits",
                "nameless-limit",
                "patient",
                "many-affinities",
                "impatient",
            ],
        ),
        (Function::BeforeCreateJob, &["bad-platform", "no-time", "all-time"]),
        (Function::BeforeQueueJob, &["no-time"]),
        (Function::AfterAttempt, &["bad-message", "bad-requirement", "never"]),
        (Function::BeforePrune, &["short", "for-ever"]),
    ];
    for (function, wishes) in cases {
        for wish in wishes {
            must_be(&plugin, &policy, function, wish, NONSENSE);
        }
    }
    for function in [Function::ExecutionProperties, Function::Place] {
        must_be(&plugin, &policy, function, "huge", &[FaultKind::Output]);
    }
}

#[test]
fn a_flood_of_metrics_keeps_a_hundred_names() {
    let (plugin, policy) = probe(OnFault::default());
    ask(&policy, Function::Place, "metrics-flood");
    let (figures, dropped) = plugin.figures();
    assert!(figures.len() <= 100 && dropped > 0, "{} names, {dropped} dropped", figures.len());
}

#[test]
fn what_is_answered_on_a_fault_is_the_operators_choice() {
    let (none, wished) = (PropertySet::default(), pairs(&[("wish", "trap")]));
    let trap = ["trap".to_owned()];
    let (plugin, refusing) = probe(OnFault::default());
    let fault = PolicyError::Fault { plugin: format!("{plugin:?}") };
    assert_eq!(refusing.execution_properties(&execution(&wished)), Err(fault.clone()));
    assert_eq!(refusing.worker_properties(&worker(&wished)), Err(fault.clone()));
    assert_eq!(refusing.before_create_job(&create(&trap, &[])), Err(fault.clone()));
    assert_eq!(refusing.before_queue_job(&queue("trap", &none)), Err(fault));
    assert_eq!(refusing.after_attempt(&attempt("trap", &none)), None);

    let (_, lenient) = probe(OnFault {
        properties: PropertiesFault::BuiltIn,
        admission: AdmissionFault::Admit,
        after_attempt: AttemptFault::Next,
        before_prune: PruneFault::Delete,
        ..OnFault::default()
    });
    let built_in = BuiltinPolicy.execution_properties(&execution(&wished));
    assert_eq!(lenient.execution_properties(&execution(&wished)), built_in);
    assert_eq!(lenient.worker_properties(&worker(&wished)), BuiltinPolicy.worker_properties(&worker(&wished)));
    assert_eq!(lenient.before_create_job(&create(&trap, &[])), Ok(Default::default()));
    assert_eq!(lenient.before_queue_job(&queue("trap", &none)), Ok(Default::default()));
    assert_eq!(lenient.after_attempt(&attempt("trap", &none)), None);
    assert_eq!(lenient.before_prune(&[prune("trap", Duration::ZERO)]), [Duration::ZERO]);
}

#[test]
fn a_client_cannot_drive_a_good_plugin_into_a_fault() {
    let (plugin, policy) = probe(OnFault::default());
    let huge = "ü".repeat(8 << 20);
    let arguments = vec![huge.clone(), huge.clone()];
    assert!(policy.before_create_job(&create(&arguments, &[])).is_ok());
    let platform = vec![("pool".to_owned(), huge.clone())];
    assert!(policy.before_create_job(&create(&[], &platform)).is_err(), "refused, and not by the guest");
    policy.place(&[berth_runtime::policy::PlaceQuestion { target: &huge, invocation: &huge, ..job("everything") }]);
    policy.after_attempt(&attempt(&huge, &PropertySet::default()));
    assert_eq!(plugin.stats().faults_all(), 0, "{:?}", plugin.recent_faults());
}
