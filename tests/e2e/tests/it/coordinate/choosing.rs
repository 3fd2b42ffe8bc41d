//! Which spec serves a worker: a policy says, and where there is none, or it fails, the built-in rule does.

use std::time::Duration;

use berth_e2e::{Plan, Site, within};

use super::{call, fill, map, name};
use crate::plugins::{arg, component, plugin, who};

/// What Coordinate serves with weights 4 and 6, when nothing is finished.
const SHARES: &str = "b a b a b b a b a b";

/// Which spec serves one worker after the other.
fn served(at: &str, count: usize) -> String {
    let one = |_| match &call(at, "get_work", &[name("w"), map(|_| {})])[..8] {
        [0xd8, 0x80, 0x82, 0xd8, 0x80, 0x83, 0x41, spec] => char::from(*spec).to_string(),
        other => panic!("no work: {}", other.escape_ascii()),
    };
    (0..count).map(one).collect::<Vec<_>>().join(" ")
}

fn begin_anew(at: &str) {
    call(at, "clear", &[]);
    fill(at, "a", 4, 200);
    fill(at, "b", 6, 200);
}

/// How often a plugin was called to choose.
async fn calls(site: &Site, plugin: &str) -> u64 {
    let text = site.metrics().await;
    let line = text.lines().find(|line| {
        line.starts_with("berth_plugin_guest_calls_total{")
            && line.contains(&format!("plugin=\"{plugin}\""))
            && line.contains("function=\"choosing.choose\"")
    });
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn shares_follow_the_weights_with_the_bundled_policy_and_without() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    begin_anew(&at);
    assert_eq!(served(&at, 10), SHARES, "the built-in rule");
    assert_eq!(calls(&site, "work-spec-weights").await, 0);

    plugin(&site, &["activate", "work-spec-weights", "--as", "choose"]).await;
    within("the policy is asked", async {
        while calls(&site, "work-spec-weights").await == 0 {
            served(&at, 1);
        }
    })
    .await;
    begin_anew(&at);
    assert_eq!(served(&at, 10), SHARES, "the policy");
    assert!(calls(&site, "work-spec-weights").await >= 11);
}

#[tokio::test]
async fn classic_serves_the_end_of_a_chain_first() {
    const CONFIG: &str = "[plugins.work-spec-weights.config]\nrule = \"classic\"\n\
                          [plugins.work-spec-weights.config.specs.a]\nthen = \"b\"\n\
                          [policy.instances.main]\nproperties = \"containment\"\nchoose = \"work-spec-weights\"\n";
    let site = Site::started(Plan { config: CONFIG, ..Plan::default() }).await;
    let at = site.coordinate();
    begin_anew(&at);
    // Only the policy knows of the chain. It is there a moment after the first question.
    within("the policy chooses", async {
        while served(&at, 6) != "b b b b b b" {
            tokio::time::sleep(Duration::from_millis(1)).await;
            begin_anew(&at);
        }
    })
    .await;
}

#[tokio::test]
async fn a_policy_that_fails_gives_way_to_the_built_in_rule() {
    let site = Site::started(Plan::default()).await;
    let at = site.coordinate();
    let settings = site.folder().join("faulty.toml");
    let text = "config = { fault = \"trap\", functions = [\"choose\"] }\nlimits = { faults = 3 }\n\
                grants = [\"log\", \"config\", \"clock\", \"kv\", \"stats\", \"metrics\"]\n";
    std::fs::write(&settings, text).expect("the folder is ours");
    plugin(&site, &["load", arg(&component("faulty")), "--settings", arg(&settings)]).await;
    plugin(&site, &["activate", "faulty", "--as", "choose"]).await;
    assert_eq!(who(&site, "choose").await, ["faulty"]);
    within("it fails too often", async {
        while who(&site, "choose").await == ["faulty"] {
            begin_anew(&at);
            assert_eq!(served(&at, 10), SHARES, "nobody notices");
        }
    })
    .await;
    begin_anew(&at);
    assert_eq!(served(&at, 10), SHARES);
}
