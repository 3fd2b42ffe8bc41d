//! Answers made fit for Berth: what a client or a bot wrote may be more than the contract takes.

use std::collections::BTreeSet;

use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

use super::dynamic::NO_LABEL;

const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const PROPERTIES_MAX: usize = 1024;
const LABELS_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 64;
const SHOWN_CHARS: usize = 80;

pub(super) fn job(mut answer: ExecutionAnswer) -> Result<ExecutionAnswer, Refusal> {
    answer.label = label(&answer.label);
    answer.requirements.iter().chain(answer.preferred.iter().flatten()).try_for_each(check)?;
    Ok(answer)
}

pub(super) fn bot(mut answer: WorkerAnswer) -> Result<WorkerAnswer, Refusal> {
    let labels: BTreeSet<String> = answer.labels.iter().map(|one| label(one)).collect();
    answer.labels = labels.into_iter().take(LABELS_MAX).collect();
    if answer.labels.is_empty() {
        answer.labels.push(NO_LABEL.to_owned());
    }
    answer.capabilities.iter().flatten().try_for_each(check)?;
    match answer.capabilities.iter().all(|set| set.len() <= PROPERTIES_MAX) {
        true => Ok(answer),
        false => Err(Refusal::FailedPrecondition(format!("a bot may offer at most {PROPERTIES_MAX} properties"))),
    }
}

fn check(property: &Property) -> Result<(), Refusal> {
    let Property { name, value } = property;
    let expected = if name.is_empty() || name.len() > NAME_BYTES_MAX {
        "a name of 1 to 1024 bytes"
    } else if value.len() > VALUE_BYTES_MAX {
        "a value of at most 4096 bytes"
    } else if name.contains(char::is_control) || value.contains(char::is_control) {
        "no control characters"
    } else {
        return Ok(());
    };
    Err(Refusal::malformed_property(name.chars().take(SHOWN_CHARS).collect::<String>(), expected))
}

/// A label as a word for metrics.
fn label(text: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let word: String = text.chars().map(|one| if allowed(one) { one } else { '_' }).take(LABEL_BYTES_MAX).collect();
    if word.is_empty() { NO_LABEL.to_owned() } else { word }
}
