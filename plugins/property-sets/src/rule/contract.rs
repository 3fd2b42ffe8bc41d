//! Answers made fit for Berth: what a client or a bot wrote may be more than the contract takes.

use std::collections::BTreeSet;

use berth_policy_names::{shown, unfit, word};
use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

use super::dynamic::NO_LABEL;

const PROPERTIES_MAX: usize = 1024;
const LABELS_MAX: usize = 64;

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
    let refused = |expected| Err(Refusal::malformed_property(shown(&property.name), expected));
    unfit(&property.name, &property.value).map_or(Ok(()), refused)
}

/// A label as a word for metrics.
fn label(text: &str) -> String {
    let word = word(text);
    if word.is_empty() { NO_LABEL.to_owned() } else { word }
}
