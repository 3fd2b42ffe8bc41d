//! A stand-in for Berth on the author's machine: the same policy, without WebAssembly.
//!
//! [`run_cases!`](crate::run_cases) is what most policies need:
//!
//! ```
//! # struct MyPolicy;
//! # impl berth_policy_sdk::Priority for MyPolicy {
//! #     fn place(jobs: berth_policy_sdk::Jobs) -> berth_policy_sdk::Places { Default::default() }
//! # }
//! # berth_policy_sdk::export_policy!(MyPolicy: Priority);
//! // Usually in a file: include_str!("../cases.toml")
//! const CASES: &str = r#"
//!     [[case]]
//!     name = "a job stands in the default lane"
//!     function = "place"
//!     question.jobs = [{ tenant = "someone" }]
//!     answer.places = [{}]
//! "#;
//! # fn main() {
//!
//! // In a #[test]:
//! berth_policy_sdk::run_cases!(MyPolicy, CASES);
//! # }
//! ```
//!
//! A test may also call the policy's functions itself. What the policy finds behind its imports belongs to the thread:
//! [`surround`] and the `set_` functions write it, [`messages`], [`kv`], [`counters`], [`gauges`] and [`observations`]
//! read what the policy did. Called that way the policy may do more than Berth allows: only in cases the limits of each
//! function hold (`kv` is read-only outside `on_events`, and no clock for `Properties`).

mod convert;
mod convert_hooks;
mod exports;
pub(crate) mod host;
mod native;
#[cfg(test)]
mod tests;

pub use berth_policy_cases as cases;
pub use exports::Exports;
pub use host::{counters, gauges, kv, messages, observations, set_config, set_kv, set_now_ms, set_stats, surround};
pub use native::{Native, run_cases};

/// Asks a policy what a file of cases says, and panics with a report if an answer is another. The policy is one that
/// [`export_policy!`](crate::export_policy) exports. Usually `run_cases!(MyPolicy, include_str!("../cases.toml"));` in
/// a `#[test]`.
#[macro_export]
macro_rules! run_cases {
    ($policy:ty, $cases:expr $(,)?) => {
        $crate::testing::run_cases::<$policy>($cases)
    };
}
