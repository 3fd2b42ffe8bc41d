//! Mutated components into the loader, and arbitrary answers through the conversions, for a while:
//!
//!     cargo bench -p berth-plugin-host --bench fuzz -- --seconds 60 [--seed N]
//!
//! Half of the time goes to each. Not a bench, but of all targets those are what may use the guests that the tests build and has a `main` of its own.
//!
//! Whatever a component says, the process lives, what is loaded answers or is at fault, and what the engine is told keeps
//! to the contract. A finding is a panic or an abort; the seed, which is printed first, finds it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_core::{Chooser, LaneView, Property, PropertySet, WorkerView};
use berth_plugin_host::{Host, HostOptions, Limits, Plugin, PluginLimits};
use berth_runtime::policy::hooks::MatchQuestion;
use berth_runtime::policy::{Placement, Policy};

#[path = "../tests/it/guests.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod guests;
#[path = "../tests/it/questions.rs"]
#[allow(dead_code, reason = "the tests need more of it")]
mod questions;

use questions::Numbers;

fn main() {
    let argument = |name: &str| {
        let mut arguments = std::env::args().skip_while(|argument| argument != name);
        arguments.nth(1).map(|value| value.parse::<u64>().unwrap_or_else(|_| panic!("{name} takes a number")))
    };
    let seconds = argument("--seconds").unwrap_or(5);
    let seed = argument("--seed").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}, {seconds} s");
    let half = Duration::from_millis(seconds * 500);
    let plugin = PluginLimits { call_deadline: Duration::from_millis(10), faults_max: 0, ..PluginLimits::default() };
    let host = Host::with(HostOptions { limits: Limits { plugin, ..Limits::default() }, ..HostOptions::default() })
        .expect("a host starts");
    components(&host, Numbers(seed), half);
    answers(&host, Numbers(seed), half);
}

/// Components that were changed after they were built.
fn components(host: &Host, mut numbers: Numbers, time: Duration) {
    let guests = ["probe", "legacy", "reapi-priority", "faulty-raw"].map(guests::component);
    let until = Instant::now() + time;
    let (mut tried, mut loaded, mut faults) = (0_u64, 0_u64, 0_u64);
    while Instant::now() < until {
        let whole = &guests[numbers.below(guests.len())];
        let changed = mutated(whole, &mut numbers);
        tried += 1;
        if let Ok(plugin) = host.load("fuzzed", &changed, guests::granted()) {
            loaded += 1;
            ask(&plugin, &mut numbers);
            faults += plugin.stats().faults_all();
        }
    }
    println!("{tried} changed components, {loaded} of them loaded; {faults} faults of those that did; nothing found");
}

/// A few bytes changed, cut out, doubled, or taken from elsewhere in the file. Half of the time one byte alone: that
/// often leaves a component that loads.
fn mutated(whole: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    if numbers.below(2) == 0 {
        let at = numbers.below(bytes.len());
        bytes[at] = numbers.next() as u8;
        return bytes;
    }
    for _ in 0..1 + numbers.below(4) {
        let (at, length) = (numbers.below(bytes.len()), 1 + numbers.below(16));
        let end = (at + length).min(bytes.len());
        match numbers.below(6) {
            0 | 1 => bytes[at] = numbers.next() as u8,
            2 => bytes[at] ^= 1 << numbers.below(8),
            3 => _ = bytes.drain(at..end),
            4 => {
                let copied = bytes[at..end].to_vec();
                let to = numbers.below(bytes.len());
                bytes.splice(to..to, copied);
            }
            _ => bytes.truncate(at.max(8)),
        }
        if bytes.is_empty() {
            return bytes;
        }
    }
    bytes
}

/// Every function, with texts of all kinds. A guest whose code was changed answers anything.
fn ask(plugin: &Arc<Plugin>, numbers: &mut Numbers) {
    const TEXTS: [&str; 8] = ["", "linux", "everything", "lanes", "\u{1f6a2}\0", "learnt", "prefer", "fill"];
    let policy = guests::policy(plugin);
    for _ in 0..4 {
        let text = numbers.pick(&TEXTS);
        let set = Default::default();
        let pairs = questions::pairs(&[("wish", text), (numbers.pick(&TEXTS), text)]);
        let _ = policy.execution_properties(&questions::execution(&pairs));
        let _ = policy.worker_properties(&questions::worker(&pairs));
        let jobs: Vec<_> = (0..1 + numbers.below(20)).map(|_| questions::job(numbers.pick(&TEXTS))).collect();
        assert_eq!(policy.place(&jobs).len(), jobs.len());
        let _ = policy.before_create_job(&questions::create(&[text.to_owned()], &pairs));
        let _ = policy.before_queue_job(&questions::queue(text, &set));
        let _ = policy.after_attempt(&questions::attempt(text, &set));
        let _ = policy.unmatched(&questions::unmatched(text, &set));
        assert_eq!(policy.before_prune(&[questions::prune(text, Duration::ZERO)]).len(), 1);
    }
}

/// Any answers at all, from a guest that makes them up.
fn answers(host: &Host, mut numbers: Numbers, time: Duration) {
    let plugin = guests::load_into(host, "faulty");
    let policy = guests::policy(&plugin);
    let mut chooser = policy.chooser();
    let until = Instant::now() + time;
    while Instant::now() < until {
        let wish = format!("arbitrary-{}", numbers.next());
        let platform = questions::pairs(&[("fault", &wish)]);
        let set: PropertySet = [Property::new("fault", wish.as_str())].into_iter().collect();
        if let Ok(answer) = policy.execution_properties(&questions::execution(&platform)) {
            label(&answer.label);
            properties(&answer.requirements);
            answer.preferred.iter().for_each(properties);
        }
        if let Ok(answer) = policy.worker_properties(&questions::worker(&platform)) {
            answer.labels.iter().for_each(|word| label(word));
            assert!((1..=64).contains(&answer.capabilities.len()));
            answer.capabilities.iter().for_each(properties);
        }
        let needs = [("linux".into(), set.clone())];
        let pairs: Vec<_> = (0..1 + numbers.below(20)).map(|_| (0, 0)).collect();
        let question = MatchQuestion { instance: "main", needs: &needs, offers: &[vec![]], pairs: &pairs };
        assert!(policy.matches(&question).is_none_or(|fit| fit.scores.len() == pairs.len()));
        let _ = policy.unmatched(&questions::unmatched("linux", &set));
        let jobs: Vec<_> = (0..1 + numbers.below(20)).map(|_| questions::job(&wish)).collect();
        let placed = policy.place(&jobs);
        assert_eq!(placed.len(), jobs.len());
        placed.iter().for_each(place);
        let mut create = questions::create(&[], &platform);
        create.requester.mnemonic = &wish;
        if let Ok(amended) = policy.before_create_job(&create) {
            assert!(amended.platform.iter().flatten().all(|(name, _)| (1..=1024).contains(&name.len())));
        }
        let mut queue = questions::queue("linux", &set);
        queue.requester.mnemonic = &wish;
        let _ = policy.before_queue_job(&queue);
        let mut attempt = questions::attempt("", &set);
        attempt.requester.mnemonic = &wish;
        let _ = policy.after_attempt(&attempt);
        let over = |_| {
            let mut job = questions::prune("1", Duration::ZERO);
            job.requester.mnemonic = &wish;
            job
        };
        let pruned: Vec<_> = (0..1 + numbers.below(20)).map(over).collect();
        assert_eq!(policy.before_prune(&pruned).len(), pruned.len());
        let (capabilities, views) = ([set], [lane("a"), lane("b")]);
        let worker =
            WorkerView { instance: "main", bot_id: "bot", capabilities: &capabilities, busy: 0, slots: 1, recent: &[] };
        chooser.begin();
        assert!(chooser.choose(&worker, &views, false).is_none_or(|index| index < views.len()));
    }
    let figures = plugin.stats();
    let calls: u64 = figures.functions.iter().map(|function| function.guest_calls).sum();
    println!("{calls} arbitrary answers, {} of them faults; nothing found", figures.faults_all());
    assert!(figures.faults_all() < calls, "good answers are among them");
}

fn lane(name: &str) -> LaneView<'_> {
    LaneView { name, weight: 1, queued: 1, running: 0, head_waited: Duration::ZERO, head_rank: 0 }
}

/// What the contract says of a label.
fn label(word: &str) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    assert!((1..=64).contains(&word.len()) && word.bytes().all(allowed), "{word:?}");
}

/// What it says of properties.
fn properties(set: &PropertySet) {
    assert!(set.len() <= 1024);
    for property in set.iter() {
        let (name, value) = (&*property.name, &*property.value);
        assert!((1..=1024).contains(&name.len()) && value.len() <= 4096, "{name:?}={value:?}");
        assert!(!name.chars().chain(value.chars()).any(char::is_control), "{name:?}={value:?}");
    }
}

/// What it says of the place of a job.
fn place(placed: &Placement) {
    assert!(placed.weight >= 1 && placed.lane.0.len() <= 256, "{placed:?}");
    assert!(placed.limits.len() <= 8 && placed.affinities.len() <= 4, "{placed:?}");
    assert!(placed.limits.iter().all(|limit| (1..=256).contains(&limit.name.len())), "{placed:?}");
    assert!(placed.affinities.iter().all(|affinity| (1..=256).contains(&affinity.key.len())), "{placed:?}");
    assert!(placed.affinities.iter().all(|affinity| affinity.wait <= Duration::from_secs(10)), "{placed:?}");
    assert!(placed.again.is_none_or(|again| again >= Duration::from_secs(1)), "{placed:?}");
}
