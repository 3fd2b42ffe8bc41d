//! The bundled policy for failed attempts: what is tried again, where and when; which job is poison; which bot is bad;
//! and what ran out of memory goes to a bigger bot.
//!
//! The rule is in `rule`; README.md tells each decision and its setting.

mod config;
mod memory;
mod rule;

use berth_policy_sdk::after_attempt::{Question, Verdict};
use berth_policy_sdk::{About, AfterAttempt, config, export_policy};

struct Retry;

impl AfterAttempt for Retry {
    fn after_attempt(question: Question) -> Verdict {
        rule::verdict(config(), &question)
    }
}

impl About for Retry {
    const CONFIG_SCHEMA: &str = include_str!("../config.schema.json");
    const EXAMPLES: &str = include_str!("../cases.toml");
}

export_policy!(Retry: AfterAttempt, About);

#[cfg(test)]
mod tests;

#[cfg(test)]
mod cases {
    use berth_policy_sdk::About;

    #[test]
    fn it_answers_as_its_cases_say() {
        berth_policy_sdk::run_cases!(super::Retry, super::Retry::EXAMPLES);
    }
}
