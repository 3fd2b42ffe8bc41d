//! What a policy in Wasm costs a call, with the same rule in Rust as the yardstick:
//! `cargo bench -p berth-plugin-host --bench cost`.
//!
//! The smallest of many rounds: what a call costs when nobody disturbs it. Trust the ratios more than the numbers.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::{AttemptAction, Chooser, JobId, LaneView, Property, PropertySet, Timestamp, Verdict, WorkerView};
use berth_plugin_host::{Limits, PluginLimits};
use berth_runtime::builtin::BuiltinPolicy;
use berth_runtime::plugins::{Change, EventsConsumer, FeedEvent, KvLimits, KvSnapshot, KvTransaction};
use berth_runtime::policy::hooks::{
    AttemptQuestion, CreateAmendments, CreateQuestion, MatchQuestion, PruneQuestion, QueueAmendments, QueueQuestion,
    UnmatchedQuestion, UnmatchedVerdict,
};
use berth_runtime::policy::{
    ExecutionProperties, ExecutionQuestion, Fit, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
    WorkerQuestion,
};

#[path = "../tests/it/guests.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod guests;
#[path = "../tests/it/questions.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod questions;

const INVOCATION: &str = "0a5e3e9c-6a51-4a4c-9d3f-0f7b7a2d6a55";

fn main() {
    println!("{:<48} {:>12} {:>12} {:>8}", "nanoseconds a question", "native", "wasm", "ratio");
    bundled();
    others();
}

/// What is asked of every site: the bundled policies against the built-in rule, which says the same.
fn bundled() {
    let bundled = guests::bundled();
    let platform = platform("x86-64");
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
    for plugin in bundled.stats() {
        assert_eq!(
            plugin.faults_all(),
            0,
            "a fault is answered by the built-in rule: the figures are void: {plugin:?}"
        );
    }
}

/// What only some sites ask: a guest that exports everything against [`Native`].
fn others() {
    // Patient: what is measured here is the cost, whatever else the machine does.
    let second = Duration::from_secs(1);
    let limits = PluginLimits { choose_deadline: second, choose_batch_deadline: second, ..PluginLimits::default() };
    let plugin = guests::load("probe", Limits { plugin: limits, ..Limits::default() });
    let policy = guests::policy(&plugin);
    let wasm = &*policy;
    for jobs in [1, 100, 1000] {
        let questions: Vec<_> =
            (0..jobs).map(|_| PlaceQuestion { mnemonic: "everything", ..job("//some/package:target") }).collect();
        row(&format!("place, all columns, {jobs} jobs a call"), jobs, &Native, wasm, |policy| {
            black_box(policy.place(&questions));
        });
    }
    let (arguments, set) = (["cc".to_owned(), "-c".to_owned(), "a.c".to_owned()], PropertySet::default());
    for pairs in [1, 1000] {
        let needs: Vec<(Arc<str>, PropertySet)> = vec![("linux".into(), set.clone()); pairs];
        let offers = vec![vec![set.clone()]];
        let pairs: Vec<_> = (0..pairs as u32).map(|need| (need, 0)).collect();
        let question = MatchQuestion { instance: "main", needs: &needs, offers: &offers, pairs: &pairs };
        row(&format!("matches, {} pairs a call", pairs.len()), pairs.len(), &Native, wasm, |policy| {
            black_box(policy.matches(&question));
        });
    }
    row("nobody", 1, &Native, wasm, |policy| _ = black_box(policy.unmatched(&questions::unmatched("linux", &set))));
    choosing(&policy);
    let platform = platform("x86-64");
    let create = questions::create(&arguments, &platform);
    row("before-create-job, 4 pairs, 3 arguments", 1, &Native, wasm, |policy| {
        _ = black_box(policy.before_create_job(&create));
    });
    let queue = questions::queue("linux", &set);
    row("before-queue-job", 1, &Native, wasm, |policy| _ = black_box(policy.before_queue_job(&queue)));
    let attempt = questions::attempt("", &set);
    row("after-attempt", 1, &Native, wasm, |policy| _ = black_box(policy.after_attempt(&attempt)));
    for jobs in [1, 256] {
        let jobs: Vec<_> = (0..jobs).map(|_| questions::prune("1", Duration::ZERO)).collect();
        row(&format!("before-prune, {} jobs a call", jobs.len()), jobs.len(), &Native, wasm, |policy| {
            _ = black_box(policy.before_prune(&jobs));
        });
    }
    let listener = policy.listener("probe");
    for events in [1, 256] {
        let happened: Vec<_> = (0..events)
            .map(|n| FeedEvent { sequence: n, at: Timestamp(n), change: Change::JobDeleted(JobId(n.into())) })
            .collect();
        let (what, events) = (format!("on-events, {events} events a call, one write"), happened.len());
        let mut heard = 0;
        let native = nanos(events, || heard += black_box(&happened).len());
        let wasm = nanos(events, || listener.on_events(&mut table(), &happened).expect("it counts them"));
        print(&what, native, wasm);
    }
    assert_eq!(plugin.stats().faults_all(), 0, "the figures would be void: {:?}", plugin.recent_faults());
}

fn choosing(policy: &Arc<berth_plugin_host::PluginPolicy>) {
    let worker = WorkerView { instance: "main", bot_id: "bot", capabilities: &[], busy: 0, slots: 4, recent: &[] };
    let head_waited = Duration::from_secs(1);
    let view = LaneView { name: INVOCATION, weight: 1, queued: 10, running: 2, head_waited, head_rank: 0 };
    let mut chooser = policy.chooser();
    // Its instance is made on another thread.
    while chooser.choose(&worker, &[view], false).is_none() {
        chooser.begin();
        std::thread::yield_now();
    }
    for lanes in [2, 16, 256] {
        let views = vec![view; lanes];
        let native = nanos(1, || _ = black_box(black_box(&views).iter().min_by_key(|view| view.running / view.weight)));
        let wasm = nanos(1, || {
            chooser.begin();
            assert!(black_box(chooser.choose(&worker, &views, false)).is_some());
        });
        print(&format!("choose, {lanes} lanes"), native, wasm);
    }
}

fn table() -> KvTransaction {
    KvTransaction::new(KvSnapshot::default(), KvLimits::default())
}

/// About what the guest `probe` answers, in Rust.
struct Native;

impl Policy for Native {
    fn execution_properties(&self, _: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        unreachable!("the built-in rule is asked this")
    }

    fn worker_properties(&self, _: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        unreachable!("the built-in rule is asked this")
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let place = |job: &PlaceQuestion<'_>| Placement {
            weight: 2,
            rank: i64::from(job.priority),
            history: Some("key".into()),
            again: Some(Duration::from_secs(5)),
            ..Placement::default()
        };
        questions.iter().map(place).collect()
    }

    fn matches(&self, question: &MatchQuestion<'_>) -> Option<Fit> {
        let fits = |(need, offer): &(u32, u32)| {
            u32::from(question.needs[*need as usize].1.len() == question.offers[*offer as usize].len())
        };
        Some(Fit { scores: question.pairs.iter().map(fits).collect(), lasting: true })
    }

    fn unmatched(&self, question: &UnmatchedQuestion<'_>) -> Option<UnmatchedVerdict> {
        Some(UnmatchedVerdict::Wait(question.oldest + Duration::from_secs(1)))
    }

    fn before_create_job(&self, question: &CreateQuestion<'_>) -> Result<CreateAmendments, PolicyError> {
        Ok(CreateAmendments { priority: Some(question.priority + 1), ..CreateAmendments::default() })
    }

    fn before_queue_job(&self, question: &QueueQuestion<'_>) -> Result<QueueAmendments, PolicyError> {
        Ok(QueueAmendments { rank: Some(question.rank * 2), ..QueueAmendments::default() })
    }

    fn after_attempt(&self, _: &AttemptQuestion<'_>) -> Option<Verdict> {
        let requirements = Some([Property::new("size", "large")].into_iter().collect());
        let action =
            AttemptAction::Retry { after: Duration::from_secs(1), elsewhere: true, requirements, counts: false };
        Some(Verdict { action, quarantine: Duration::from_secs(60) })
    }

    fn before_prune(&self, questions: &[PruneQuestion<'_>]) -> Vec<Duration> {
        questions.iter().map(|job| job.ended).collect()
    }
}

fn row(what: &str, calls: usize, native: &dyn Policy, wasm: &dyn Policy, mut call: impl FnMut(&dyn Policy)) {
    let native = nanos(calls, || call(native));
    print(what, native, nanos(calls, || call(wasm)));
}

fn print(what: &str, native: f64, wasm: f64) {
    // Below a nanosecond there is nothing to compare.
    println!("{what:<48} {native:>12.0} {wasm:>12.0} {:>8.1}", wasm / native.max(1.0));
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
        invocation: INVOCATION,
        correlated_invocations: "",
        tool: "bazel",
        mnemonic: "CppCompile",
        target,
        ..PlaceQuestion::default()
    }
}
