//! What any function may be asked to do wrong.

use std::hint::black_box;

use berth_policy_sdk::log::{Level, write};
use berth_policy_sdk::{clock, kv, metrics, stats};

/// Does it, if it is a misdeed.
pub(crate) fn misbehave(wish: &str) {
    match wish {
        "loop" => loop {
            black_box(());
        },
        "trap" => panic!("trapped as you wish"),
        "memory" => loop {
            black_box(Vec::<u8>::with_capacity(1 << 20)).leak();
        },
        "recursion" => {
            black_box(endless(black_box(1)));
        }
        "chatter" => (0..10_000).for_each(|n| write(Level::Info, &format!("message {n}"))),
        "long-message" => write(Level::Info, &"ü".repeat(100_000)),
        "clock" => _ = black_box(clock::now_ms()),
        "kv" => _ = black_box(kv::get("key")),
        "kv-flood" => (0..u64::MAX).for_each(|n| _ = black_box(kv::set(&format!("key {n}"), &[0; 60_000]))),
        "stats" => _ = black_box(stats::of_lane("main", "")),
        "metrics" => metrics::count("calls", 1),
        "not-a-number" => metrics::gauge("gauge", f64::NAN),
        "bad-metric" => metrics::count("Not A Name", 1),
        "metrics-flood" => (0..100_000).for_each(|n| metrics::count(&format!("name_{n}"), 1)),
        // Busy for a while, and then good: below the deadline or beyond it, as the number says.
        _ if wish.starts_with("spin-") => spin(wish[5..].parse().unwrap_or(0)),
        _ => (),
    }
}

fn spin(thousands: u32) {
    for round in 0..thousands * 1000 {
        black_box(round);
    }
}

/// Uses what the inner call returns, so that no compiler makes a loop of it.
#[allow(unconditional_recursion)]
fn endless(depth: u64) -> u64 {
    let frame = black_box([depth; 32]);
    endless(depth + 1) + frame[31]
}
