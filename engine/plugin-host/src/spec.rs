//! Who answers what, as plain words: what the server's configuration and the admin API both produce.
//!
//! Not the plugins themselves: `generation.rs` finds those by their names, and says what does not fit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::exports::Interface;

/// The pattern that stands for every instance name that no other pattern fits.
pub const DEFAULT_PATTERN: &str = "*";

/// All that is in force at a time: for each pattern of instance names who answers, and who hears events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GenerationSpec {
    /// By pattern: an instance name; the beginning of some and `*`; or `*` alone. The most exact one that fits counts,
    /// whole: what it does not name, the built-in rule answers.
    pub instances: BTreeMap<String, ChainSpec>,
    /// Plugins that hear every event.
    pub events: Vec<String>,
}

/// Who answers for an instance name: names of plugins. What nobody is named for, the built-in rule answers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ChainSpec {
    /// What a job requires and a bot offers; `matching` and `unmatched` too, if it exports them.
    pub properties: Option<String>,
    /// All columns of `place` that no other plugin is named for.
    pub place: Option<String>,
    /// The lane and its weight.
    pub lane: Option<String>,
    /// The rank within the lane.
    pub rank: Option<String>,
    /// Counters and their limits.
    pub limits: Option<String>,
    /// Affinities.
    pub affinity: Option<String>,
    /// The history key.
    pub history: Option<String>,
    /// When a place is asked for again.
    pub again: Option<String>,
    /// Which lane a bot serves.
    pub choose: Option<String>,
    /// Whether a job may come in. All are asked in this order, each with what those before it amended.
    pub create_job: Vec<String>,
    /// Whether a job may be queued. All are asked, in the same way.
    pub queue_job: Vec<String>,
    /// What happens after an attempt that failed. The first answers; the others only where the operator has those
    /// before them passed over on a fault.
    pub after_attempt: Vec<String>,
    /// Which finished jobs are kept. The longest time counts.
    pub before_prune: Vec<String>,
}

impl GenerationSpec {
    /// One chain for all instance names.
    pub fn everywhere(chain: ChainSpec) -> Self {
        Self { instances: BTreeMap::from([(DEFAULT_PATTERN.to_owned(), chain)]), events: Vec::new() }
    }

    /// Names of all plugins that it needs, each once.
    pub fn plugins(&self) -> Vec<&str> {
        let of_chains = self.instances.values().flat_map(|chain| chain.roles().map(|(_, _, name)| name));
        let mut names: Vec<&str> = of_chains.chain(self.events.iter().map(String::as_str)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl ChainSpec {
    /// Every role that somebody is named for, with the interface that it needs.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&'static str, Interface, &str)> {
        let single = [
            ("properties", Interface::Properties, &self.properties),
            ("place", Interface::Priority, &self.place),
            ("lane", Interface::Priority, &self.lane),
            ("rank", Interface::Priority, &self.rank),
            ("limits", Interface::Priority, &self.limits),
            ("affinity", Interface::Priority, &self.affinity),
            ("history", Interface::Priority, &self.history),
            ("again", Interface::Priority, &self.again),
            ("choose", Interface::Choosing, &self.choose),
        ];
        let several = [
            ("create_job", Interface::CreateJob, &self.create_job),
            ("queue_job", Interface::QueueJob, &self.queue_job),
            ("after_attempt", Interface::AfterAttempt, &self.after_attempt),
            ("before_prune", Interface::BeforePrune, &self.before_prune),
        ];
        let single = single
            .into_iter()
            .filter_map(|(role, interface, name)| name.as_deref().map(|name| (role, interface, name)));
        let several = several
            .into_iter()
            .flat_map(|(role, interface, names)| names.iter().map(move |name| (role, interface, name.as_str())));
        single.chain(several)
    }
}

/// What is wrong with a description.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A pattern that could not fit anything, or not as its author thinks.
    #[error("instance pattern {0:?}: a `*` may only be the last character")]
    Pattern(String),
    /// A plugin that is not loaded.
    #[error("{place} names plugin {plugin:?}, which is not loaded; loaded are: {loaded}")]
    NotLoaded {
        /// Where it is named.
        place: String,
        /// The name.
        plugin: String,
        /// The names that there are.
        loaded: String,
    },
    /// A plugin that cannot do what it is named for.
    #[error("{place} names plugin {plugin:?}, which does not export berth:policy/{interface}; it exports: {exports}")]
    NotExported {
        /// Where it is named.
        place: String,
        /// The name.
        plugin: String,
        /// What it lacks.
        interface: &'static str,
        /// What it has.
        exports: String,
    },
    /// A plugin that would be asked the same twice.
    #[error("{place} names plugin {plugin:?} twice")]
    Twice {
        /// Where it is named.
        place: String,
        /// The name.
        plugin: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_knows_the_plugins_that_it_needs() {
        let chain = ChainSpec {
            properties: Some("a".to_owned()),
            place: Some("b".to_owned()),
            rank: Some("c".to_owned()),
            create_job: vec!["b".to_owned(), "d".to_owned()],
            ..ChainSpec::default()
        };
        let spec = GenerationSpec { events: vec!["e".to_owned(), "a".to_owned()], ..GenerationSpec::everywhere(chain) };
        assert_eq!(spec.plugins(), ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_word_that_is_not_known_is_refused() {
        let read = |text| serde_json::from_str::<GenerationSpec>(text);
        assert!(read(r#"{"instances": {"*": {"rank": "x", "create_job": ["y"]}}}"#).is_ok());
        assert!(read(r#"{"instances": {"*": {"ranks": "x"}}}"#).unwrap_err().to_string().contains("ranks"));
    }
}
