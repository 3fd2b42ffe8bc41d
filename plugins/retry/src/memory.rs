//! Running out of memory: how it is seen, and where the job goes then.

use berth_policy_sdk::Property;
use berth_policy_sdk::after_attempt::{Question, Reason};

use crate::config::{OutOfMemory, among};

/// Where a job goes that ran out of memory.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// To a bot with these.
    Bigger(Vec<Property>),
    /// It was on the biggest already.
    Top,
    /// It says nothing of memory that the ladder knows.
    Unknown,
}

/// A bot that was lost may have been killed for what this job did, but nobody says so: only reports count.
pub(crate) fn ran_out(config: &OutOfMemory, question: &Question) -> bool {
    let exit_code = question.exit_code.is_some_and(|code| config.exit_codes.contains(&code));
    let message = || {
        let message = question.message.to_lowercase();
        config.messages.iter().any(|part| !part.is_empty() && message.contains(&part.to_lowercase()))
    };
    match question.reason {
        Reason::Reported => among(&config.codes, question.code) || exit_code || message(),
        Reason::CommandFailed => exit_code,
        Reason::BotLost | Reason::Timeout => false,
    }
}

/// One rung up. A job that does not say how much it needs goes to the first.
pub(crate) fn next(config: &OutOfMemory, requirements: &[Property]) -> Next {
    let rung = |value: &String| config.ladder.iter().position(|rung| rung == value);
    let mut rungs = requirements.iter().filter(|one| one.name == config.property).map(|one| rung(&one.value));
    let next = match rungs.next() {
        None => 0,
        Some(None) => return Next::Unknown,
        Some(Some(first)) => rungs.flatten().fold(first, usize::max) + 1,
    };
    let Some(value) = config.ladder.get(next) else {
        return if config.ladder.is_empty() { Next::Unknown } else { Next::Top };
    };
    let others = requirements.iter().filter(|one| one.name != config.property).cloned();
    Next::Bigger(others.chain([Property::new(config.property.as_str(), value.as_str())]).collect())
}
