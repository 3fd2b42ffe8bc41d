//! What a policy in Wasm costs a call, with the built-in rule as the yardstick: `cargo bench -p berth-plugin-host`.
//!
//! The smallest of many rounds: what a call costs when nobody disturbs it. Trust the ratios more than the numbers.

use std::hint::black_box;
use std::time::{Duration, Instant};

use berth_core::{Chooser, LaneView, PropertySet, WorkerView};
use berth_plugin_host::{Function, Limits};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::policy::{ExecutionQuestion, PlaceQuestion, Policy, WorkerQuestion};

#[path = "../tests/it/guests.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod guests;
#[path = "../tests/it/questions.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod questions;

fn main() {
    let bundled = guests::bundled();
    let platform = platform("x86-64");
    println!("{:<48} {:>12} {:>12} {:>8}", "nanoseconds a call (place: a job)", "built-in", "wasm", "ratio");

    let question = ExecutionQuestion { instance: "main", platform: &platform };
    row("execution-properties, 4 pairs, remembered", 1, &BuiltinPolicy, &bundled, |policy| {
        black_box(policy.execution_properties(black_box(&question))).expect("a good platform");
    });
    // More platforms than are remembered, each asked for in turn: never a hit.
    let platforms: Vec<_> = (0..200_000).map(|n| self::platform(&format!("isa-{n}"))).collect();
    let mut next = platforms.iter().cycle();
    row("execution-properties, 4 pairs, new to it", 1, &BuiltinPolicy, &bundled, |policy| {
        let platform = next.next().expect("a cycle has no end");
        black_box(policy.execution_properties(&ExecutionQuestion { instance: "main", platform })).expect("good");
    });
    let question = WorkerQuestion { instance: "main", bot_id: "bot", properties: &platform };
    row("worker-properties, 4 pairs", 1, &BuiltinPolicy, &bundled, |policy| {
        black_box(policy.worker_properties(black_box(&question))).expect("good properties");
    });
    for jobs in [1, 10, 100, 1000] {
        let targets: Vec<String> = (0..jobs).map(|n| format!("//some/package:target_{n}")).collect();
        let questions: Vec<_> = targets.iter().map(|target| job(target)).collect();
        row(&format!("place, {jobs} jobs a call"), jobs, &BuiltinPolicy, &bundled, |policy| {
            black_box(policy.place(black_box(&questions)));
        });
    }
    others();
    for plugin in bundled.stats() {
        let faults: u64 = plugin.functions.iter().flat_map(|function| function.faults).sum();
        assert_eq!(faults, 0, "a fault is answered by the built-in rule, so the figures would be void: {plugin:?}");
    }
}

/// Questions that the built-in rule does not know, put to a guest that exports everything.
fn others() {
    let plugin = guests::load("probe", Limits::default());
    let policy = guests::policy(&plugin);
    println!("\n{:<48} {:>12}", "nanoseconds a call, a guest on contract 1.0", "wasm");
    let alone = |what: &str, calls: usize, call: &mut dyn FnMut()| {
        println!("{what:<48} {:>12.0}", nanos(calls, call));
    };
    for jobs in [1, 100, 1000] {
        let questions: Vec<_> = (0..jobs).map(|_| job("//some/package:target")).collect();
        alone(&format!("place, one column, {jobs} jobs a call"), jobs, &mut || _ = black_box(policy.place(&questions)));
        let everything: Vec<_> = questions.iter().map(|job| PlaceQuestion { mnemonic: "everything", ..*job }).collect();
        alone(&format!("place, all columns, {jobs} jobs a call"), jobs, &mut || {
            _ = black_box(policy.place(&everything))
        });
    }
    let (arguments, set) = (["cc".to_owned(), "-c".to_owned(), "a.c".to_owned()], PropertySet::default());
    let platform = platform("x86-64");
    let create = questions::create(&arguments, &platform);
    alone("before-create-job, 4 pairs, 3 arguments", 1, &mut || _ = black_box(policy.before_create_job(&create)));
    let queue = questions::queue("linux", &set);
    alone("before-queue-job", 1, &mut || _ = black_box(policy.before_queue_job(&queue)));
    let attempt = questions::attempt("", &set);
    alone("after-attempt", 1, &mut || _ = black_box(policy.after_attempt(&attempt)));
    let kept: Vec<_> = (0..256).map(|_| questions::prune("1", Duration::ZERO)).collect();
    alone("before-prune, 256 jobs a call: a job", 256, &mut || _ = black_box(policy.before_prune(&kept)));
    let worker = WorkerView { instance: "main", bot_id: "bot", capabilities: &[], busy: 0, slots: 4 };
    let view = |lane: &'static str| LaneView {
        name: lane,
        weight: 1,
        queued: 10,
        running: 2,
        head_waited: Duration::from_secs(1),
        head_rank: 0,
    };
    let mut chooser = policy.chooser();
    for lanes in [2, 16, 256] {
        let views: Vec<_> = (0..lanes).map(|_| view("0a5e3e9c-6a51-4a4c-9d3f-0f7b7a2d6a55")).collect();
        alone(&format!("choose, {lanes} lanes"), 1, &mut || {
            chooser.begin();
            black_box(chooser.choose(&worker, &views, false));
        });
    }
    let figures = plugin.stats();
    let choose = figures.function(Function::Choose);
    println!(
        "choose: p50 {:?}, p99 {:?} of {} calls",
        choose.guest_time_p50, choose.guest_time_p99, choose.guest_calls
    );
    assert_eq!(figures.faults_all(), 0, "the figures would be void: {:?}", plugin.recent_faults());
}

fn row(what: &str, calls: usize, builtin: &dyn Policy, wasm: &dyn Policy, mut call: impl FnMut(&dyn Policy)) {
    let native = nanos(calls, || call(builtin));
    let guest = nanos(calls, || call(wasm));
    println!("{what:<48} {native:>12.0} {guest:>12.0} {:>8.1}", guest / native);
}

fn nanos(calls: usize, mut call: impl FnMut()) -> f64 {
    let repeat = (2_000 / calls).max(5);
    let mut best = Duration::MAX;
    for _ in 0..100 {
        let started = Instant::now();
        (0..repeat).for_each(|_| call());
        best = best.min(started.elapsed());
    }
    best.as_nanos() as f64 / (repeat * calls) as f64
}

fn platform(isa: &str) -> Vec<(String, String)> {
    [("ISA", isa), ("OSFamily", "linux"), ("container-image", "docker://example.com/image"), ("pool", "default")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn job(target: &str) -> PlaceQuestion<'_> {
    PlaceQuestion {
        instance: "main",
        priority: 0,
        label: "linux",
        invocation: "0a5e3e9c-6a51-4a4c-9d3f-0f7b7a2d6a55",
        correlated_invocations: "",
        tool: "bazel",
        mnemonic: "CppCompile",
        target,
        ..PlaceQuestion::default()
    }
}
