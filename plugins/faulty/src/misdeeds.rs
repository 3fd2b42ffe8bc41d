//! What any function can do wrong, before it answers.

use std::cell::RefCell;
use std::hint::black_box;

use berth_policy_sdk::log::{Level, write};
use berth_policy_sdk::{clock, kv, metrics, stats};

pub(crate) fn commit(fault: &str) {
    match fault {
        "loop" => loop {
            black_box(());
        },
        "recursion" => {
            black_box(endless(black_box(1)));
        }
        "memory" => loop {
            black_box(Vec::<u8>::with_capacity(1 << 20)).leak();
        },
        "leak" => LEAK.with_borrow_mut(|leak| leak.push(vec![1; 1 << 20])),
        "trap" => panic!("trapped as you wish"),
        "abort" => std::process::abort(),
        "out-of-bounds" => {
            // SAFETY: none; that is the point. 16 bytes below the end of the address space is beyond any guest's memory.
            black_box(unsafe { ((usize::MAX - 16) as *const u8).read_volatile() });
        }
        "chatter" => (0..10_000).for_each(|n| write(Level::Info, &format!("message {n}"))),
        "loud" => write(Level::Warn, &"loud ".repeat(200 << 10)),
        "not-a-text" => write(Level::Warn, &not_a_text()),
        "nan-metrics" => {
            metrics::gauge("nan", f64::NAN);
            metrics::observe("infinite", f64::INFINITY);
        }
        "metric-flood" => (0..10_000).for_each(|n| metrics::count(&format!("metric_{n}"), u64::MAX)),
        "bad-metric-name" => ["", "Upper", "a b", "ü", &"x".repeat(65)].iter().for_each(|name| metrics::count(name, 1)),
        "clock" => {
            black_box(clock::now_ms());
        }
        "kv-read" => {
            black_box(kv::get("events"));
        }
        "stats" => {
            black_box(stats::of_lane("", ""));
        }
        "kv-flood" => {
            let value = vec![0xaa; 64 << 10];
            black_box((0..u32::MAX).find(|n| kv::set(&format!("flood/{n}"), &value).is_err()));
        }
        "kv-too-large" => {
            let refused = |key: &str, bytes: usize| kv::set(key, &vec![0; bytes]).is_err();
            assert!(refused("", 0) && refused(&"k".repeat(513), 0) && refused("k", (64 << 10) + 1), "it was written");
        }
        "kv-then-trap" => {
            let _ = kv::set("kept", b"it must not be");
            panic!("trapped after a write, as you wish");
        }
        "kv-scan" => {
            black_box(kv::scan("").count());
        }
        slow => {
            let rounds = slow.strip_prefix("slow-").and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            (0..rounds.saturating_mul(1_000_000)).for_each(|round| {
                black_box(round);
            });
        }
    }
}

thread_local! {
    static LEAK: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Uses what the inner call returns, so that no compiler makes a loop of it.
#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    endless(depth + 1) + frame[31]
}

/// A text that is none.
pub(crate) fn not_a_text() -> String {
    // SAFETY: it breaks the promise that a string makes, on purpose. Nothing here looks into it before the host does.
    unsafe { String::from_utf8_unchecked(black_box(vec![b'a', 0xff, 0xfe])) }
}
