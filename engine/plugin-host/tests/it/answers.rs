//! Every function of the contract 1.0: what the guest answers arrives, converted.

use std::sync::Arc;
use std::time::Duration;

use berth_core::{AttemptAction, Property, PropertySet};
use berth_plugin_host::{ChainSpec, Contract, GenerationSpec, Host, Interface, Limits, Plugin, PluginPolicy};
use berth_runtime::policy::hooks::{MatchQuestion, QueueAmendments, UnmatchedVerdict};
use berth_runtime::policy::{Policy, PolicyError};

use crate::guests::{component, generation, granted, load, policy};
use crate::questions::{attempt, create, execution, job, pairs, prune, queue, unmatched, worker};

fn probe() -> (Arc<Plugin>, Arc<PluginPolicy>) {
    let plugin = load("probe", Limits::default());
    let policy = policy(&plugin);
    (plugin, policy)
}

fn set(properties: &[(&str, &str)]) -> PropertySet {
    properties.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

#[test]
fn a_component_says_what_it_can_be_asked_and_what_it_is() {
    let (plugin, policy) = probe();
    assert_eq!(plugin.exports().contract, Contract::V1);
    assert_eq!(plugin.exports().iter().count(), Interface::ALL.len());
    assert!(plugin.config_schema().unwrap().contains("\"rank\"") && plugin.examples().starts_with('#'));
    let asks = policy.asks("main");
    assert!(
        asks.create && asks.queue && asks.attempt && asks.unmatched && asks.matching && asks.choosing && asks.prune
    );
    let legacy = load("legacy", Limits::default());
    assert_eq!(legacy.exports().contract, Contract::V0_1);
    assert_eq!(legacy.exports().to_string(), "properties, priority");
}

#[test]
fn properties_with_preferences_scores_and_refusals() {
    let (_, policy) = probe();
    let answer = policy.execution_properties(&execution(&pairs(&[("wish", "prefer")]))).unwrap();
    assert_eq!(answer.preferred, Some(set(&[("wish", "prefer"), ("fast", "yes")])));
    assert_eq!(policy.worker_properties(&worker(&[])).unwrap().score, 5);
    let refused = |wish| policy.execution_properties(&execution(&pairs(&[("wish", wish)]))).unwrap_err();
    assert_eq!(
        refused("exhausted"),
        PolicyError::Exhausted { reason: "enough".to_owned(), retry_after: Some(Duration::from_millis(1500)) }
    );
    assert!(matches!(refused("malformed"), PolicyError::MalformedProperty { .. }));
}

#[test]
fn pairs_are_judged_in_batches_of_any_size() {
    let (plugin, policy) = probe();
    let needs: Vec<(Arc<str>, PropertySet)> = (0..40)
        .map(|size: u32| ("linux".into(), (0..size).map(|n| Property::new(n.to_string(), "x")).collect()))
        .collect();
    let offers: Vec<Vec<PropertySet>> = (0..40).map(|sets| vec![PropertySet::default(); sets]).collect();
    let all: Vec<(u32, u32)> = (0..40).flat_map(|need| (0..40).map(move |offer| (need, offer))).collect();
    let question = MatchQuestion { instance: "main", needs: &needs, offers: &offers, pairs: &all };
    let fit = policy.matches(&question).unwrap();
    let expected: Vec<u32> = all.iter().map(|(need, offer)| if need == offer { *need } else { 0 }).collect();
    assert_eq!((fit.scores, fit.lasting), (expected, true));
    assert_eq!(plugin.stats().function(berth_plugin_host::Function::Matches).guest_calls, 2);

    let bad = [("short".into(), PropertySet::default())];
    let question = MatchQuestion { instance: "main", needs: &bad, offers: &offers, pairs: &[(0, 0)] };
    let fit = policy.matches(&question).unwrap();
    assert_eq!((fit.scores, fit.lasting), (vec![0], false));
}

#[test]
fn every_column_of_a_place_arrives() {
    let (_, policy) = probe();
    let placed = policy.place(&[job("everything"), job("")]);
    for place in placed {
        assert_eq!((&*place.lane.0, place.weight, place.rank), ("mine", 2, 7));
        let limit = &place.limits[0];
        assert_eq!((&*limit.name, limit.max_running, limit.max_queued, limit.min_running), ("seats", Some(3), None, 1));
        let second = Duration::from_secs(1);
        assert_eq!((limit.evict_after, limit.cool_down), (Some(20 * second), 600 * second));
        let affinity = &place.affinities[0];
        assert_eq!((&*affinity.key, affinity.weight, affinity.wait), ("warm", 2, Duration::from_millis(100)));
        assert_eq!((place.history.as_deref(), place.again), (Some("key"), Some(Duration::from_secs(5))));
    }
}

#[test]
fn jobs_that_nobody_can_serve_wait_or_are_refused() {
    let (_, policy) = probe();
    let none = PropertySet::default();
    let wait = UnmatchedVerdict::Wait(Duration::from_secs(6));
    assert_eq!(policy.unmatched(&unmatched("linux", &none)), Some(wait));
    let refuse = UnmatchedVerdict::Refuse("nobody will come".into());
    assert_eq!(policy.unmatched(&unmatched("refuse", &none)), Some(refuse));
    for nonsense in ["soon", "never"] {
        assert_eq!(policy.unmatched(&unmatched(nonsense, &none)), None);
    }
}

#[test]
fn amendments_accumulate_in_the_order_of_the_chain_and_the_first_refusal_ends_it() {
    let host = Host::new(Limits::default()).unwrap();
    let load = |name: &str| host.load(name, &component("probe"), granted()).unwrap();
    let (one, two) = (load("one"), load("two"));
    let both = || vec!["one".to_owned(), "two".to_owned()];
    let chain = ChainSpec { create_job: both(), queue_job: both(), ..ChainSpec::default() };
    let asked = generation(&GenerationSpec::everywhere(chain), &[&one, &two]);

    let (wish, platform) = (["platform".to_owned()], pairs(&[("pool", "mine")]));
    let amended = asked.before_create_job(&create(&wish, &platform)).unwrap();
    assert_eq!((amended.priority, amended.platform), (Some(6), Some(pairs(&[("pool", "other")]))));
    let none = PropertySet::default();
    let amended = asked.before_queue_job(&queue("linux", &none)).unwrap();
    assert_eq!(amended, QueueAmendments { rank: Some(84), queue_timeout: None });

    let refused = asked.before_create_job(&create(&["refuse".to_owned()], &platform));
    assert_eq!(refused.unwrap_err(), PolicyError::Denied { reason: "as you wish".to_owned() });
    let refused = asked.before_queue_job(&queue("refuse", &none)).unwrap_err();
    assert!(matches!(refused, PolicyError::Exhausted { .. }));
    let calls = |plugin: &Plugin| plugin.stats().functions.iter().map(|function| function.guest_calls).sum::<u64>();
    assert_eq!((calls(&one), calls(&two)), (4, 2), "after a refusal nobody is asked");
}

#[test]
fn a_failed_attempt_gets_a_verdict() {
    let (_, policy) = probe();
    let none = PropertySet::default();
    let verdict = policy.after_attempt(&attempt("", &none)).unwrap();
    let retry = AttemptAction::Retry {
        after: Duration::from_secs(1),
        elsewhere: true,
        requirements: Some(set(&[("size", "large")])),
        counts: false,
    };
    assert_eq!((verdict.action, verdict.quarantine), (retry, Duration::from_secs(60)));
    assert_eq!(policy.after_attempt(&attempt("complete", &none)).unwrap().action, AttemptAction::Complete);
    let fail = AttemptAction::Fail { message: "as you wish".into() };
    assert_eq!(policy.after_attempt(&attempt("fail", &none)).unwrap().action, fail);
}

#[test]
fn finished_jobs_are_kept_as_long_as_wished_and_a_minute_if_nobody_knows() {
    let (_, policy) = probe();
    let kept = policy.before_prune(&[prune("1", Duration::from_secs(3)), prune("2", Duration::ZERO)]);
    assert_eq!(kept, [Duration::from_secs(3), Duration::ZERO]);
    let many: Vec<_> = (0..600).map(|_| prune("1", Duration::from_secs(9))).collect();
    assert_eq!(policy.before_prune(&many), vec![Duration::from_secs(9); 600]);
    assert_eq!(policy.before_prune(&[prune("trap", Duration::ZERO)]), [Duration::from_secs(60)]);
}
