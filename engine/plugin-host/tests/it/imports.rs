//! What a guest sees through its imports.

use std::sync::Arc;

use berth_core::Timestamp;
use berth_plugin_host::{Host, HostOptions, Limits, LoadError, LoadOptions, Services};
use berth_runtime::clock::Clock;
use berth_runtime::plugins::{Desk, KvSnapshot, Learnt, Load, StatsView};
use berth_runtime::policy::{PlaceQuestion, Policy};

use crate::guests::{component, granted, policy};
use crate::questions::job;

/// Instances `a` and `b`, each with figures of its own.
struct Two;

struct Figures(u32);

impl StatsView for Figures {
    fn of_lane(&self, instance: &str, _: &str) -> Load {
        assert_eq!(instance, ["a", "b"][self.0 as usize - 1]);
        Load { queued: self.0, running: 0 }
    }

    fn of_label(&self, _: &str, _: &str) -> Load {
        Load::default()
    }

    fn of_tenant(&self, _: &str, _: &str) -> Load {
        Load::default()
    }

    fn history_of(&self, key: &str) -> Option<Learnt> {
        (key == "key").then(|| Learnt { mean_ms: u64::from(self.0) * 100, ..Learnt::default() })
    }
}

impl Desk for Two {
    fn kv(&self, _: &str, plugin: &str) -> KvSnapshot {
        assert_eq!(plugin, "probe");
        KvSnapshot::default()
    }

    fn stats(&self, instance: &str) -> Arc<dyn StatsView> {
        Arc::new(Figures(if instance == "a" { 1 } else { 2 }))
    }
}

fn host() -> Host {
    let services =
        Services { clock: Clock::from_fn(|| Timestamp(1_234_567)), desk: Arc::new(Two), ..Services::default() };
    Host::with(HostOptions { services, ..HostOptions::default() }).unwrap()
}

#[test]
fn time_tables_and_figures_are_those_of_the_question() {
    let plugin = host().load("probe", &component("probe"), granted()).unwrap();
    let policy = policy(&plugin);
    assert_eq!(policy.place(&[job("time")])[0].rank, 1234);
    assert_eq!(policy.place(&[job("kept")])[0].rank, 0);
    let asked = |instance| PlaceQuestion { instance, ..job("learnt") };
    // Arrived together, and asked apart, because each has figures of its own.
    let ranks: Vec<_> = policy.place(&[asked("a"), asked("b"), asked("b")]).iter().map(|place| place.rank).collect();
    assert_eq!(ranks, [101, 202, 202]);
    assert_eq!(plugin.stats().faults_all(), 0, "{:?}", plugin.recent_faults());
}

#[test]
fn the_configuration_is_checked_against_the_plugins_own_schema() {
    let host = host();
    let with = |config: &str| LoadOptions { config: Some(config.to_owned()), ..granted() };
    let plugin = host.load("probe", &component("probe"), with(r#"{"rank": 3}"#)).unwrap();
    assert_eq!(plugin.config(), r#"{"rank": 3}"#);
    let refused = host.load("probe", &component("probe"), with(r#"{"rank": -1, "rnak": 2}"#)).unwrap_err();
    assert!(matches!(refused, LoadError::Config { .. }));
    for part in ["plugin probe", "rank: -1", "minimum of 0", "rnak"] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    // It was not loaded, and took no room.
    let small = Host::new(Limits { plugins_max: 1, ..Limits::default() }).unwrap();
    assert!(small.load("probe", &component("probe"), with("[]")).is_err());
    small.load("probe", &component("probe"), with("{}")).unwrap();
}
