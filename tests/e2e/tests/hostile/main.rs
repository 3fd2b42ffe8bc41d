//! Bad policies in force while good jobs flow, on the real program. Each is put out of force after its faults, the last good
//! version comes back, nobody waits for long, and the server's memory stays bounded.
//!
//! What single misdeeds look like to the host is tested beside the host.

mod admin;
mod corpus;
mod traffic;

use std::time::Duration;

use berth_e2e::{Plan, Site, component, say, within};
use berth_proto::admin::{PluginLimits, PluginSettings};
use serde_json::json;
use tonic::Code;

use self::{
    admin::Admin,
    corpus::{HARMFUL, RAW, TOLERATED, full_name},
    traffic::Traffic,
};

/// The plugin that answers everything; each of its versions has this name.
const NAME: &str = "site";

/// What it answers.
const ROLES: [&str; 8] = ["properties", "lane", "rank", "choose", "create-job", "queue-job", "after-attempt", "events"];

/// Jobs over which a rate is measured.
const JOBS: u64 = 40;

/// Faults that put a version out of force, and the longest that one of them may take, where nothing else is said.
const FAULTS_MAX: u32 = 5;
const DEADLINE: Duration = Duration::from_millis(50);

/// The bound is for a machine that does nothing else; one that tests run on may be as much slower.
const PATIENCE: u32 = 4;

fn settings(function: &str, fault: &str) -> PluginSettings {
    let config = if fault.is_empty() { json!({}) } else { json!({ "fault": fault, "functions": [function] }) };
    let grants = ["log", "config", "clock", "kv", "stats", "metrics"].map(str::to_owned).to_vec();
    // What cannot be met often in a short test is enough if it is met a few times.
    let faults = if ["nobody", "matches", "on-events"].contains(&function) { 3 } else { FAULTS_MAX };
    let limits = Some(PluginLimits { faults, ..PluginLimits::default() });
    PluginSettings { name: NAME.into(), config_json: config.to_string(), grants, limits, ..PluginSettings::default() }
}

/// What was seen of the whole test.
#[derive(Default)]
struct Seen {
    ratios: Vec<f64>,
    longest: Duration,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn good_jobs_go_on_under_any_policy_and_the_last_good_one_comes_back() {
    let site = Site::started(Plan::default()).await;
    let mut admin = Admin::new(site.channel().await);
    let faulty = std::fs::read(component("faulty", env!("CARGO_TARGET_TMPDIR"))).expect("it was just built");
    let good = admin.load(settings("", ""), &faulty).await.expect("the guest loads");
    admin.activate(NAME, &good, &ROLES).await;
    let mut traffic = Traffic::start(&site).await;
    traffic.rate(5 * JOBS).await;
    let before_bytes = resident_bytes(&site);

    let mut seen = Seen::default();
    harmful(&mut admin, &mut traffic, &faulty, &good, &mut seen).await;
    tolerated(&mut admin, &mut traffic, &faulty, &mut seen).await;
    raw(&mut admin, &mut traffic, &mut seen).await;
    refused(&mut admin, &mut traffic, &faulty).await;
    changed(&mut admin, &mut traffic, &faulty).await;

    traffic.rate(JOBS).await;
    let metrics = site.metrics().await;
    // On a busy machine one of those that are only just tolerated may be among them.
    let harmed = admin.quarantined_versions(NAME).await;
    assert!(harmed >= HARMFUL.len(), "{harmed}");
    let line = format!("berth_plugin_versions_quarantined{{plugin=\"{NAME}\"}} {harmed}\n");
    assert!(metrics.contains(&line), "no {line}");
    seen.ratios.sort_by(f64::total_cmp);
    let wait_max = DEADLINE * FAULTS_MAX + Duration::from_secs(1);
    let grown = resident_bytes(&site).saturating_sub(before_bytes) >> 20;
    say(&format!(
        "jobs/s after quarantine against before, median of {}: {:.2}; longest Execute {:.0?}, {wait_max:?} are allowed; the \
         server's memory grew by {grown} MB",
        seen.ratios.len(),
        seen.ratios[seen.ratios.len() / 2],
        seen.longest,
    ));
    assert!(seen.longest < wait_max * PATIENCE, "{:?}", seen.longest);
    assert!(grown < 500, "{grown} MB");
}

async fn harmful(admin: &mut Admin, traffic: &mut Traffic, faulty: &[u8], good: &str, seen: &mut Seen) {
    say("function              fault              faults  refused  longest wait  jobs/s before, after");
    for (function, fault) in HARMFUL {
        let (normal, refused) = (traffic.rate(JOBS).await, traffic.refused());
        let bad = admin.load(settings(function, fault), faulty).await.expect("the guest loads");
        traffic.longest();
        admin.activate(NAME, &bad, &ROLES).await;
        let shown = within(&format!("{function} {fault} is put out of force"), admin.quarantined(NAME, &bad)).await;
        let waited = traffic.longest();
        assert_eq!(admin.active(NAME).await.as_deref(), Some(good), "{function} {fault}");
        assert!(shown.quarantine_reason.starts_with("too many faults"), "{shown:?}");
        let of = full_name(function);
        let counted = shown.functions.iter().find(|counted| counted.function == of).expect("it was asked");
        let count: u64 = counted.faults.values().sum();
        let last = shown.recent_faults.last().expect("the last faults are shown");
        assert!(count >= 3 && last.function == of && !last.details.is_empty(), "{function} {fault}: {shown:?}");
        assert!(shown.quarantine_reason.contains(&last.kind) || counted.faults.len() > 1, "{shown:?}");
        let after = traffic.rate(JOBS).await;
        let refused = traffic.refused() - refused;
        say(&format!("{function:21} {fault:18} {count:6}  {refused:7}  {waited:12.0?}  {normal:5.0}, {after:5.0}"));
        seen.ratios.push(after / normal);
        seen.longest = seen.longest.max(waited);
    }
}

async fn tolerated(admin: &mut Admin, traffic: &mut Traffic, faulty: &[u8], seen: &mut Seen) {
    for (function, fault) in TOLERATED {
        let normal = traffic.rate(JOBS).await;
        let bad = admin.load(settings(function, fault), faulty).await.expect("the guest loads");
        traffic.longest();
        admin.activate(NAME, &bad, &ROLES).await;
        let during = traffic.rate(JOBS).await;
        let waited = traffic.longest();
        say(&format!("{function:21} {fault:18}                  {waited:12.0?}  {normal:5.0}, {during:5.0} in force"));
        seen.longest = seen.longest.max(waited);
        // On a busy machine what is slow by just under its deadline may be over it now and then.
        if admin.active(NAME).await.as_deref() == Some(&bad) {
            admin.rollback().await;
        }
    }
}

/// Each job's priority is its wish.
async fn raw(admin: &mut Admin, traffic: &mut Traffic, seen: &mut Seen) {
    let raw = std::fs::read(component("faulty-raw", env!("CARGO_TARGET_TMPDIR"))).expect("it was just built");
    let settings = PluginSettings { name: "raw".into(), ..PluginSettings::default() };
    let version = admin.load(settings, &raw).await.expect("the guest loads");
    for (priority, what) in RAW {
        traffic.longest();
        admin.activate("raw", &version, &["rank"]).await;
        traffic.prioritise(priority);
        let shown = within(&format!("{what}: it is put out of force"), admin.quarantined("raw", &version)).await;
        traffic.prioritise(0);
        let waited = traffic.longest();
        let last = shown.recent_faults.last().expect("the last faults are shown");
        say(&format!("place                 {what:44} {waited:12.0?}  {}", last.kind));
        seen.longest = seen.longest.max(waited);
        traffic.rate(JOBS / 4).await;
        admin.release("raw", &version).await;
    }
}

/// What cannot be a policy is never in force.
async fn refused(admin: &mut Admin, traffic: &mut Traffic, faulty: &[u8]) {
    let read = |package| std::fs::read(component(package, env!("CARGO_TARGET_TMPDIR"))).expect("it was just built");
    let start = admin.load(settings("", ""), &read("faulty-start")).await.expect_err("it traps when it starts");
    assert_eq!(start.code(), Code::FailedPrecondition, "{start:?}");
    let foreign = admin.load(settings("", ""), &read("faulty-foreign")).await.expect_err("nobody offers its import");
    assert!(foreign.message().contains("acme:vault/secrets"), "{foreign:?}");
    let about = admin.load(settings("", ""), &read("faulty-about")).await.expect_err("its examples fail");
    assert_eq!(about.code(), Code::FailedPrecondition, "{about:?}");
    let limits = Some(PluginLimits { table_elements: 1, ..PluginLimits::default() });
    let table = admin.load(PluginSettings { limits, ..settings("", "") }, faulty).await;
    let table = table.expect_err("its table is larger");
    assert_eq!(table.code(), Code::FailedPrecondition, "{table:?}");
    traffic.rate(JOBS).await;
}

/// A component that was cut, or in which bytes were changed, is refused or behaves somehow; the server goes on.
async fn changed(admin: &mut Admin, traffic: &mut Traffic, faulty: &[u8]) {
    for part in [0, 8, 1_000, faulty.len() / 2, faulty.len() - 1] {
        let cut = admin.load(settings("", ""), &faulty[..part]).await.expect_err("half a component is none");
        assert_eq!(cut.code(), Code::FailedPrecondition, "{cut:?}");
    }
    let (mut loaded, mut random) = (0, 0x9e37_79b9_7f4a_7c15_u64);
    for flips in 0..24 {
        let mut bytes = faulty.to_vec();
        for _ in 0..1 + flips / 8 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let place = usize::try_from(random >> 33).expect("it is small") % bytes.len();
            bytes[place] ^= 1 << (random >> 29 & 7);
        }
        let Ok(version) = admin.load(settings("", ""), &bytes).await else { continue };
        loaded += 1;
        admin.activate(NAME, &version, &ROLES).await;
        traffic.rate(JOBS / 4).await;
        if admin.active(NAME).await.as_deref() == Some(&version) {
            admin.rollback().await;
        }
    }
    say(&format!("24 components with changed bytes: {loaded} were loaded, and were in force for a while"));
}

/// What of the server is in memory.
fn resident_bytes(site: &Site) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", site.pid())).expect("this is Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux tells it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") << 10
}
