//! A policy that misbehaves on request, for the tests of the host. Not for use.
//!
//! A call finds its *wish* in its question: the value of a property `fault`, or the mnemonic (`place` and the hooks), or
//! the name of an `other` event. A wish is `FAULT` or `FUNCTION:FAULT`; in the second form all other functions behave.
//! Without a wish in the question, the configuration's `fault` counts, if `functions` is absent or names the function.
//! A wish that is not known is none, and the answer is that of a good policy: so a test sees that faults end.
//!
//! Any function ([`misdeeds`]):
//!
//! | fault | what happens |
//! | --- | --- |
//! | `loop` | never returns |
//! | `slow-N` | computes for N million rounds, about 2 ms each: choose N to stay just below a deadline |
//! | `recursion` | calls itself until the stack is full |
//! | `memory` | allocates until there is no more |
//! | `leak` | keeps 1 MiB more with each call, as long as the instance lives |
//! | `trap` | panics, with a message |
//! | `abort` | runs into `unreachable`, without one |
//! | `out-of-bounds` | reads beyond its memory |
//! | `chatter` | writes 10 000 messages |
//! | `loud` | writes a message of 1 MiB |
//! | `not-a-text` | writes a message that is not UTF-8 |
//! | `nan-metrics` | sets a gauge to NaN, observes infinity |
//! | `metric-flood` | counts 10 000 different names |
//! | `bad-metric-name` | counts names that break the rule |
//! | `clock`, `kv-read`, `stats` | imports these, which `properties` and `matching` must not |
//! | `kv-flood` | writes values of 64 KiB until it is refused; so many that its table is full |
//! | `kv-too-large` | writes an empty key, a long key and a long value, and traps unless each is refused |
//! | `kv-then-trap` | writes `kept` and panics |
//! | `kv-scan` | asks for all rows there are, in one go |
//!
//! One function's answer ([`answers`], [`hooks`]): wrong lengths, indexes beyond their tables, weight 0, counters that do
//! not exist, bad labels, too much of everything, text that is not UTF-8. Each is listed where it is made. `arbitrary-N` is any answer at all, made
//! from the number N ([`arbitrary`]).
//!
//! Beside this crate are guests that are bad in themselves: `about` (its examples fail), `start` (traps when it is
//! instantiated), `raw` (breaks the canonical ABI), `foreign` (imports what nobody offers). Not here: re-entrancy. No
//! import of the contract calls back, so it can only be tried from `cabi_realloc` and after the return, as `raw` does.

mod answers;
mod arbitrary;
mod hooks;
mod misdeeds;

use berth_policy_sdk::{config, export_policy};
use serde::Deserialize;

struct Faulty;

export_policy!(
    Faulty: Properties, Matching, Unmatched, Priority, Choosing, CreateJob, QueueJob, AfterAttempt, BeforePrune, Events,
);

/// The configuration.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// The fault for all questions that have no wish of their own.
    fault: String,
    /// The functions that have it; empty: all.
    functions: Vec<String>,
}

/// The fault that this call is to have, after the misdeeds that any function knows were done.
fn misbehave(function: &str, spoken: &str) -> String {
    let fault = wish(function, spoken);
    misdeeds::commit(&fault);
    fault
}

fn wish(function: &str, spoken: &str) -> String {
    match spoken.split_once(':') {
        Some((of, fault)) if of == function => return fault.to_owned(),
        None if !spoken.is_empty() => return spoken.to_owned(),
        _ => (),
    }
    let set: &Config = config();
    let meant = set.functions.is_empty() || set.functions.iter().any(|named| named == function);
    if meant { set.fault.clone() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_for_any_function_or_for_one_and_the_configuration_fills_in() {
        assert_eq!(wish("place", ""), "");
        assert_eq!(wish("place", "loop"), "loop");
        assert_eq!(wish("place", "place:loop"), "loop");
        assert_eq!(wish("place", "choose:loop"), "");
        berth_policy_sdk::testing::set_config(r#"{ "fault": "trap", "functions": ["choose"] }"#);
        assert_eq!(wish("place", ""), "");
        assert_eq!(wish("choose", ""), "trap");
        assert_eq!(wish("choose", "loop"), "loop");
    }

    #[test]
    fn without_a_wish_it_is_a_good_policy() {
        berth_policy_sdk::run_cases!(Faulty, include_str!("../cases.toml"));
    }
}
