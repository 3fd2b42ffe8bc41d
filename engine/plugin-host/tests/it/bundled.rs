//! The bundled plugins say what the built-in rule says.

use berth_plugin_host::Function;
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::bundled;
use crate::questions::{Numbers, execution, worker};

const NAMES: [&str; 9] = ["OSFamily", "OSFamily", "ISA", "pool", "container-image", "größe", "", "tab\t", "c1\u{85}"];
const VALUES: [&str; 8] = ["linux", "x86-64", "li nux", "docker://a@sha256:00", "", "ü", "new\nline", "\u{1f6a2}"];

/// Mostly good ones, of all sizes; now and then one that is malformed in some way.
fn platform(numbers: &mut Numbers) -> Vec<(String, String)> {
    let usual = |numbers: &mut Numbers| {
        let (names, values) = if numbers.below(8) == 0 { (9, 8) } else { (6, 6) };
        (numbers.pick(&NAMES[..names]).to_owned(), numbers.pick(&VALUES[..values]).to_owned())
    };
    let mut platform: Vec<_> = (0..numbers.below(7)).map(|_| usual(numbers)).collect();
    match numbers.below(40) {
        0 => platform.push(("n".repeat(1023 + numbers.below(4)), "x".to_owned())),
        1 => platform.push(("x".to_owned(), "ü".repeat(2047 + numbers.below(4)))),
        2 => platform.extend((0..250 + numbers.below(12)).map(|n| (format!("p{n}"), "v".to_owned()))),
        3 => platform.extend((0..15 + numbers.below(2)).map(|n| (format!("p{n}"), "v".repeat(4090)))),
        _ => (),
    }
    platform
}

#[test]
fn containment_answers_like_the_built_in_rule() {
    let policy = bundled();
    let mut numbers = Numbers(0xbe27);
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..3_000 {
        let platform = platform(&mut numbers);
        let ours = policy.execution_properties(&execution(&platform));
        assert_eq!(ours, BuiltinPolicy.execution_properties(&execution(&platform)), "round {round}: {platform:?}");
        let ours = policy.worker_properties(&worker(&platform));
        assert_eq!(ours, BuiltinPolicy.worker_properties(&worker(&platform)), "round {round}: {platform:?}");
        *if ours.is_ok() { &mut accepted } else { &mut refused } += 1;
    }
    // Both ways were taken often, and no answer was a fault that fell back to the built-in rule.
    assert!(accepted > 500 && refused > 300, "{accepted} accepted, {refused} refused");
    for plugin in policy.stats() {
        assert!(plugin.functions.iter().all(|function| function.faults_all() == 0), "{plugin:?}");
    }
}

#[test]
fn reapi_priority_places_like_the_built_in_rule_and_is_really_asked_for_every_job() {
    let policy = bundled();
    let mut numbers = Numbers(0x01de);
    let texts: Vec<String> = (0..200).map(|n| format!("text {n} {}", "ü".repeat(n % 9))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).chain([""; 50]).collect();
    let mut asked = 0;
    for round in 0..300 {
        let jobs = if round % 50 == 0 { 2_500 } else { numbers.below(60) };
        let question = |numbers: &mut Numbers| PlaceQuestion {
            instance: numbers.pick(&["main", ""]),
            priority: numbers.next() as i32,
            label: numbers.pick(&["linux", "unknown"]),
            invocation: numbers.pick(&texts),
            correlated_invocations: numbers.pick(&texts),
            tool: numbers.pick(&texts),
            mnemonic: numbers.pick(&texts),
            target: numbers.pick(&texts),
            ..PlaceQuestion::default()
        };
        let questions: Vec<_> = (0..jobs).map(|_| question(&mut numbers)).collect();
        assert_eq!(policy.place(&questions), BuiltinPolicy.place(&questions), "round {round}");
        asked += jobs as u64;
    }
    let stats = policy.stats();
    let placed = stats.iter().find(|plugin| plugin.name == "reapi-priority").unwrap().function(Function::Place);
    assert_eq!(placed.questions, asked);
    assert!(placed.guest_calls >= 290 && placed.faults_all() == 0, "{placed:?}");
}
