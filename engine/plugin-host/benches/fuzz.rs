//! Mutated components into the loader, and arbitrary answers through the conversions, for a while:
//!
//!     cargo bench -p berth-plugin-host --bench fuzz -- --seconds 60 [--seed N]
//!
//! Not a bench, but of all targets those are what may use the guests that the tests build and has a `main` of its own.
//!
//! Whatever a component says, the process lives, and what is loaded answers or is at fault. A finding is a panic or an
//! abort; the seed, which is printed first, finds it again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use berth_plugin_host::{Host, HostOptions, Limits, Plugin, PluginLimits};
use berth_runtime::policy::Policy;

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
    let until = Instant::now() + Duration::from_secs(seconds);
    let plugin = PluginLimits { call_deadline: Duration::from_millis(10), faults_max: 0, ..PluginLimits::default() };
    let host = Host::with(HostOptions { limits: Limits { plugin, ..Limits::default() }, ..HostOptions::default() })
        .expect("a host starts");
    let guests = ["probe", "legacy", "reapi-priority", "faulty-raw"].map(guests::component);
    let mut numbers = Numbers(seed);
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
    println!("{tried} components, {loaded} of them loaded; {faults} faults of those that did; nothing found");
}

/// A few bytes changed, cut out, doubled, or taken from elsewhere in the file.
fn mutated(whole: &[u8], numbers: &mut Numbers) -> Vec<u8> {
    let mut bytes = whole.to_vec();
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
