//! The dynamic property set: which keys there are, and what each of them is for.

use std::collections::BTreeSet;

use berth_policy_sdk::properties::{ExecutionAnswer, WorkerAnswer};
use berth_policy_sdk::{Property, Refusal};

use super::sorted;

/// What a job or a bot is called that does not say what it is.
pub(super) const NO_LABEL: &str = "unknown";

/// Keys by their purpose. Made by the configuration, which holds that unique keys and the label's are match or
/// wildcard keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Dynamic {
    /// Keys that may have one value only, in a job.
    pub(crate) unique: BTreeSet<String>,
    /// Keys that a bot must offer as the job gives them.
    pub(crate) matched: BTreeSet<String>,
    /// Keys that a job may give, and that mean nothing.
    pub(crate) wildcard: BTreeSet<String>,
    /// Keys that a bot should offer if there is a choice.
    pub(crate) preferred: BTreeSet<String>,
    /// The key whose value is the label.
    pub(crate) label_key: String,
}

impl Dynamic {
    pub(super) fn job(&self, platform: &[Property]) -> Result<ExecutionAnswer, Refusal> {
        // In the order of the names, so that of several mistakes the client always hears of the same.
        for (index, property) in platform.iter().enumerate() {
            self.check(property, index.checked_sub(1).map(|before| &platform[before]))?;
        }
        let label = self.labels(platform).into_iter().next().unwrap_or(NO_LABEL).to_owned();
        let of = |wanted: &dyn Fn(&str) -> bool| sorted(platform.iter().filter(|one| wanted(&one.name)).cloned());
        let requirements = of(&|name| self.matched.contains(name));
        let preferred = of(&|name| self.matched.contains(name) || self.preferred.contains(name));
        let wish = preferred != requirements;
        Ok(ExecutionAnswer { label, requirements, preferred: wish.then_some(preferred) })
    }

    /// `before` is the one that stands before it: the platform is sorted, so that values of a name stand together.
    fn check(&self, property: &Property, before: Option<&Property>) -> Result<(), Refusal> {
        let Property { name, value } = property;
        if !self.known().any(|known| known == name) {
            let known = self.known().collect::<BTreeSet<_>>().into_iter().map(String::as_str).collect::<Vec<_>>();
            return Err(Refusal::unknown_property(name.as_str(), known.join(", ")));
        }
        let another = before.is_some_and(|other| other.name == *name && other.value != *value);
        match another && self.unique.contains(name) {
            true => Err(Refusal::DuplicateProperty(name.clone())),
            false => Ok(()),
        }
    }

    fn known(&self) -> impl Iterator<Item = &String> {
        self.matched.iter().chain(&self.wildcard).chain(&self.preferred)
    }

    /// The bot offers all that could be asked of it, once: a job that asks for a part of it fits. What is preferred is
    /// offered too, and no job requires it; BuildGrid's bots do not offer it, so that there nobody ever gets a wish.
    pub(super) fn bot(&self, properties: &[Property]) -> WorkerAnswer {
        let offered = |one: &&Property| self.matched.contains(&one.name) || self.preferred.contains(&one.name);
        let capabilities = vec![sorted(properties.iter().filter(offered).cloned())];
        let labels = self.labels(properties).into_iter().map(str::to_owned).collect();
        WorkerAnswer { labels, capabilities, score: 0 }
    }

    /// All values of the label's key, sorted.
    fn labels<'a>(&self, properties: &'a [Property]) -> BTreeSet<&'a str> {
        properties.iter().filter(|one| one.name == self.label_key).map(|one| one.value.as_str()).collect()
    }
}
