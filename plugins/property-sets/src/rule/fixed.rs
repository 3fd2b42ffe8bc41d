//! The static property set: the kinds of bots that there are, each with a label.

use std::collections::BTreeSet;

use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

use super::sorted;

/// The name of a property that only this policy gives: its value is an exclusive key that the bot must not have.
/// A job gets it for each exclusive key that its label lacks, a bot for each that it does not have, and so containment
/// keeps other jobs off a bot with an exclusive key.
pub(crate) const ABSENT: &str = "absent-exclusive-key";
/// As many properties as a message repeats.
const SHOWN: usize = 8;
/// As many letters of each.
const SHOWN_CHARS: usize = 80;

/// One kind of bot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Label {
    pub(crate) label: String,
    /// Sorted, without duplicates.
    pub(crate) properties: Vec<Property>,
}

/// Labels in the order of the configuration: the first that fits is taken.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Fixed {
    pub(crate) labels: Vec<Label>,
    /// Keys that jobs and bots may give, and that mean nothing.
    pub(crate) wildcard: BTreeSet<String>,
    /// Keys of bots that serve only jobs whose label has the key.
    pub(crate) exclusive: BTreeSet<String>,
    /// Keys that count only if a label that has them is there too.
    pub(crate) preferred: BTreeSet<String>,
}

impl Fixed {
    pub(super) fn job(&self, platform: &[Property]) -> Result<ExecutionAnswer, Refusal> {
        let counts = |one: &&Property| !self.wildcard.contains(&one.name);
        let must = |one: &&Property| counts(one) && !self.preferred.contains(&one.name);
        let wanted: Vec<&Property> = platform.iter().filter(must).collect();
        let label = self.first_with(&wanted).ok_or_else(|| nothing_for("job", &wanted))?;
        let requirements = self.needs(label);
        let wished: Vec<&Property> = platform.iter().filter(counts).collect();
        let wish = if wished.len() > wanted.len() { self.first_with(&wished) } else { None };
        // A wish that contradicts what is required cannot be said in Berth's contract.
        let wish = wish.map(|label| self.needs(label)).filter(|wish| *wish != requirements);
        let preferred = wish.filter(|wish| requirements.iter().all(|required| wish.contains(required)));
        Ok(ExecutionAnswer { label: label.label.clone(), requirements, preferred })
    }

    fn first_with(&self, wanted: &[&Property]) -> Option<&Label> {
        self.labels.iter().find(|label| wanted.iter().all(|property| label.properties.contains(property)))
    }

    /// All that the label has, whatever part of it was asked for.
    fn needs(&self, label: &Label) -> Vec<Property> {
        sorted(label.properties.iter().cloned().chain(self.absent(&label.properties)))
    }

    /// A mark for each exclusive key that is not among these.
    fn absent(&self, properties: &[Property]) -> Vec<Property> {
        let lacks = |key: &&String| !properties.iter().any(|property| property.name == **key);
        let marks = self.exclusive.iter().filter(lacks);
        marks.map(|key| Property::new(ABSENT, key.as_str())).collect()
    }

    pub(super) fn bot(&self, properties: &[Property]) -> Result<WorkerAnswer, Refusal> {
        let counted: Vec<Property> =
            properties.iter().filter(|one| !self.wildcard.contains(&one.name)).cloned().collect();
        let served: Vec<&Label> = self.served_by(&counted).collect();
        if served.is_empty() {
            return Err(nothing_for("bot", &counted.iter().collect::<Vec<_>>()));
        }
        let offered = served.iter().flat_map(|label| label.properties.iter().cloned());
        let capabilities = vec![sorted(offered.chain(self.absent(&counted)))];
        let labels = self.served_by(properties).map(|label| label.label.clone()).collect();
        Ok(WorkerAnswer { labels, capabilities, score: 0 })
    }

    fn served_by<'a>(&'a self, properties: &'a [Property]) -> impl Iterator<Item = &'a Label> {
        let has_key = |all: &[Property], key: &str| all.iter().any(|property| property.name == key);
        let exclusive: Vec<&String> = self.exclusive.iter().filter(|key| has_key(properties, key)).collect();
        self.labels.iter().filter(move |label| {
            label.properties.iter().all(|needed| properties.contains(needed))
                && exclusive.iter().all(|key| has_key(&label.properties, key))
        })
    }
}

/// Says what was asked for, and not what there is: other tenants' bots are none of a client's business.
fn nothing_for(whom: &str, wanted: &[&Property]) -> Refusal {
    let short = |text: &str| text.chars().take(SHOWN_CHARS).filter(|letter| !letter.is_control()).collect::<String>();
    let mut shown: Vec<String> =
        wanted.iter().take(SHOWN).map(|one| format!("{}={}", short(&one.name), short(&one.value))).collect();
    if wanted.len() > SHOWN {
        shown.push(format!("and {} more", wanted.len() - SHOWN));
    }
    let what = if shown.is_empty() { "no properties".to_owned() } else { shown.join(", ") };
    Refusal::FailedPrecondition(format!("there is no property set for a {whom} with {what}"))
}
