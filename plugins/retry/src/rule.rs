//! The rule, in the order in which it decides.

use berth_policy_sdk::after_attempt::{Action, Question, Reason, Retry, Verdict};

use crate::config::{Config, among};
use crate::memory::{self, Next};

pub(crate) fn verdict(config: &Config, question: &Question) -> Verdict {
    if memory::ran_out(&config.out_of_memory, question) {
        match memory::next(&config.out_of_memory, &question.requirements) {
            Next::Bigger(requirements) => {
                let retry = Retry {
                    after_ms: 0,
                    elsewhere: false,
                    requirements: Some(requirements),
                    counts: config.out_of_memory.counts,
                };
                return limited(question, retry).into();
            }
            Next::Top => return at_the_top(config, question).into(),
            Next::Unknown => (),
        }
    }
    let bad_bot = is_bad(config, question);
    let quarantine_bot_ms = if bad_bot { config.quarantine.for_ms } else { 0 };
    Verdict { action: action(config, question, bad_bot), quarantine_bot_ms }
}

fn action(config: &Config, question: &Question, bad_bot: bool) -> Action {
    let again = match question.reason {
        Reason::Reported => among(&config.retry_codes, question.code),
        Reason::BotLost => true,
        Reason::Timeout => config.retry_timeouts,
        Reason::CommandFailed => false,
    };
    if !again {
        return Action::Complete;
    }
    if config.poison_bots > 0 && question.failed_bots >= config.poison_bots {
        return Action::Fail(format!("{} different bots failed it", question.failed_bots));
    }
    let lost = question.reason == Reason::BotLost && !config.lost_bots_count;
    let counts = !lost && (!bad_bot || config.quarantine.counts);
    let retry = Retry { after_ms: after_ms(config, question), elsewhere: config.elsewhere, requirements: None, counts };
    limited(question, retry)
}

/// Another attempt, if there is one left.
fn limited(question: &Question, retry: Retry) -> Action {
    match retry.counts && question.counted >= question.counted_max {
        true => Action::Fail(format!("{} attempts counted, which is the limit", question.counted)),
        false => Action::Retry(retry),
    }
}

/// A command's own result is what its client wants to see; a report is explained.
fn at_the_top(config: &Config, question: &Question) -> Action {
    let memory = &config.out_of_memory;
    match question.reason {
        Reason::CommandFailed => Action::Complete,
        Reason::Reported | Reason::BotLost | Reason::Timeout => Action::Fail(format!(
            "it ran out of memory, and there is no more than {}",
            memory.ladder.last().map_or("", String::as_str)
        )),
    }
}

/// Different jobs must have failed: one that is poison blames no bot.
fn is_bad(config: &Config, question: &Question) -> bool {
    let quarantine = &config.quarantine;
    quarantine.failures > 0 && question.bot_failures >= quarantine.failures && question.bot_attempts >= quarantine.jobs
}

/// Longer after each attempt, counted or not.
fn after_ms(config: &Config, question: &Question) -> u64 {
    let backoff = &config.backoff;
    let factor = backoff.factor.saturating_pow(question.attempt.saturating_sub(1));
    backoff.first_ms.saturating_mul(factor).min(backoff.max_ms)
}
