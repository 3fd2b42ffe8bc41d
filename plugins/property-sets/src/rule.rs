//! The rule: a property set reads what a client or a bot sent, and answers what is required or offered.
//!
//! BuildGrid compares requirement and offer as a whole, so that a bot has to offer every subset of what it can do.
//! Berth asks whether the offer contains the requirement, so that a bot offers what it can do once. The answer to
//! "does this bot fit this job" is the same, but for what the README lists.

mod contract;
mod dynamic;
mod fixed;
mod instanced;

pub(crate) use dynamic::Dynamic;
pub(crate) use fixed::{ABSENT, Fixed, Label};
pub(crate) use instanced::Sets;

use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

/// One property set. Its answers are not yet fit for the contract: labels are what the operator or a client wrote.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum PropertySet {
    Dynamic(Dynamic),
    Static(Fixed),
}

impl PropertySet {
    fn job(&self, platform: &[Property]) -> Result<ExecutionAnswer, Refusal> {
        match self {
            Self::Dynamic(set) => set.job(platform),
            Self::Static(set) => set.job(platform),
        }
    }

    fn bot(&self, properties: &[Property]) -> Result<WorkerAnswer, Refusal> {
        match self {
            Self::Dynamic(set) => Ok(set.bot(properties)),
            Self::Static(set) => set.bot(properties),
        }
    }
}

/// Sorted and without duplicates, so that equal needs are equal lists.
fn sorted(properties: impl IntoIterator<Item = Property>) -> Vec<Property> {
    let mut properties: Vec<Property> = properties.into_iter().collect();
    properties.sort_by(|one, other| (&one.name, &one.value).cmp(&(&other.name, &other.value)));
    properties.dedup();
    properties
}

#[cfg(test)]
mod tests;
