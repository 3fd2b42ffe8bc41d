//! What is required and offered: the properties as they came, if they can be meant.

use berth_policy_names::{shown, unfit, word};
use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

use crate::amount::{Amount, EXPECTED};
use crate::config::Config;
use crate::rule::{ANY, NOT};

const LABELS_MAX: usize = 64;

pub(crate) fn job(config: &Config, platform: Vec<Property>) -> Result<ExecutionAnswer, Refusal> {
    let requirements = compared(config, platform)?;
    let number =
        |one: &&Property| config.numeric.contains(&one.name) && one.value != ANY && !one.value.starts_with(NOT);
    if let Some(wrong) = requirements.iter().filter(number).find(|one| Amount::parse(&one.value).is_none()) {
        return Err(malformed(&wrong.name, EXPECTED));
    }
    let label = labels(config, &requirements).swap_remove(0);
    Ok(ExecutionAnswer { label, requirements, preferred: None })
}

/// A bot's value that should be a number and is none is no reason to send it away: it serves jobs that do not ask.
pub(crate) fn bot(config: &Config, properties: Vec<Property>) -> Result<WorkerAnswer, Refusal> {
    let offered = compared(config, properties)?;
    Ok(WorkerAnswer { labels: labels(config, &offered), capabilities: vec![offered], score: 0 })
}

fn compared(config: &Config, mut properties: Vec<Property>) -> Result<Vec<Property>, Refusal> {
    properties.retain(|one| !config.ignored.contains(&one.name));
    properties.iter().try_for_each(check)?;
    Ok(properties)
}

fn check(property: &Property) -> Result<(), Refusal> {
    unfit(&property.name, &property.value).map_or(Ok(()), |expected| Err(malformed(&property.name, expected)))
}

fn malformed(name: &str, expected: &str) -> Refusal {
    Refusal::malformed_property(shown(name), expected)
}

/// Words for metrics; one at least.
fn labels(config: &Config, properties: &[Property]) -> Vec<String> {
    let named = properties.iter().filter(|one| one.name == config.label && one.value != ANY && !one.value.is_empty());
    let mut labels: Vec<String> = named.filter(|one| !one.value.starts_with(NOT)).map(|one| word(&one.value)).collect();
    labels.dedup();
    labels.truncate(LABELS_MAX);
    if labels.is_empty() {
        labels.push("unknown".to_owned());
    }
    labels
}
