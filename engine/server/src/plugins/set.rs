//! A set of policies: which version of which plugin, and who answers what for which instances. The configuration file,
//! the store and the admin API all hold this one shape; it is swapped as a whole.

use std::{collections::BTreeMap, fmt, str::FromStr};

use berth_plugin_host::{ChainSpec, GenerationSpec};
use serde::{Deserialize, Deserializer, Serialize};

/// What a plugin can be given to answer. The columns of `place` are roles of their own: each belongs to one plugin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Role {
    /// `properties`, and `matching` and `unmatched` where the plugin exports them.
    Properties,
    /// The columns `lane` and `weight`.
    Lane,
    /// The column `rank`.
    Rank,
    /// The columns `limits` and `counters`.
    Limits,
    /// The columns `affinities` and `affine`.
    Affinity,
    /// The column `history`.
    History,
    /// The column `again-ms`.
    Again,
    /// `choosing`.
    Choose,
    /// `create-job`.
    CreateJob,
    /// `queue-job`.
    QueueJob,
    /// `after-attempt`.
    AfterAttempt,
    /// `before-prune`.
    BeforePrune,
    /// `events`.
    Events,
}

impl Role {
    /// All, in the order in which they are shown.
    pub(crate) const ALL: [Self; 13] = [
        Self::Properties,
        Self::Lane,
        Self::Rank,
        Self::Limits,
        Self::Affinity,
        Self::History,
        Self::Again,
        Self::Choose,
        Self::CreateJob,
        Self::QueueJob,
        Self::AfterAttempt,
        Self::BeforePrune,
        Self::Events,
    ];

    /// As in configuration files.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Properties => "properties",
            Self::Lane => "lane",
            Self::Rank => "rank",
            Self::Limits => "limits",
            Self::Affinity => "affinity",
            Self::History => "history",
            Self::Again => "again",
            Self::Choose => "choose",
            Self::CreateJob => "create-job",
            Self::QueueJob => "queue-job",
            Self::AfterAttempt => "after-attempt",
            Self::BeforePrune => "before-prune",
            Self::Events => "events",
        }
    }

    /// The interface that a plugin must export for it.
    pub(crate) fn interface(self) -> &'static str {
        match self {
            Self::Properties => "properties",
            Self::Lane | Self::Rank | Self::Limits | Self::Affinity | Self::History | Self::Again => "priority",
            Self::Choose => "choosing",
            Self::CreateJob => "create-job",
            Self::QueueJob => "queue-job",
            Self::AfterAttempt => "after-attempt",
            Self::BeforePrune => "before-prune",
            Self::Events => "events",
        }
    }

    /// Whether it is a column of `place`.
    pub(crate) fn is_column(self) -> bool {
        self.interface() == "priority"
    }

    /// Whether several plugins may have it, in an order.
    pub(crate) fn is_shared(self) -> bool {
        matches!(self, Self::CreateJob | Self::QueueJob | Self::AfterAttempt | Self::BeforePrune | Self::Events)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|role| role.name()).collect();
            format!("role {text:?} is not known; known are: {}", known.join(", "))
        })
    }
}

/// Who has a role: the names of plugins, in their order.
pub(crate) type Roles = BTreeMap<Role, Vec<String>>;

/// Plugins by name, and their roles by instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PolicySet {
    /// Name to digest.
    pub(crate) plugins: BTreeMap<String, String>,
    /// By pattern of instance names: a name, the beginning of some and `*`, or `*` alone. The most exact that fits counts.
    #[serde(deserialize_with = "one_or_many")]
    pub(crate) instances: BTreeMap<String, Roles>,
}

/// All instances.
pub(crate) const EVERYWHERE: &str = "*";

/// A role's plugins: one name, or a list of names.
pub(crate) fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Roles>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Names {
        One(String),
        Many(Vec<String>),
    }
    let chains = BTreeMap::<String, BTreeMap<Role, Names>>::deserialize(deserializer)?;
    let names = |names| match names {
        Names::One(name) => vec![name],
        Names::Many(names) => names,
    };
    let roles =
        |roles: BTreeMap<Role, Names>| roles.into_iter().map(|(role, plugins)| (role, names(plugins))).collect();
    Ok(chains.into_iter().map(|(pattern, chain)| (pattern, roles(chain))).collect())
}

impl PolicySet {
    /// As the host for plugins wants it. Fails where a role that belongs to one plugin has several.
    pub(crate) fn spec(&self) -> Result<GenerationSpec, String> {
        let mut spec = GenerationSpec::default();
        for (pattern, roles) in &self.instances {
            let one = |role: Role| match roles.get(&role).map(Vec::as_slice) {
                None | Some([]) => Ok(None),
                Some([plugin]) => Ok(Some(plugin.clone())),
                Some(several) => {
                    let named = several.join(", ");
                    Err(format!("instances {pattern:?}: {role} belongs to one plugin, and {named} are named"))
                }
            };
            let all = |role: Role| roles.get(&role).cloned().unwrap_or_default();
            let chain = ChainSpec {
                properties: one(Role::Properties)?,
                lane: one(Role::Lane)?,
                rank: one(Role::Rank)?,
                limits: one(Role::Limits)?,
                affinity: one(Role::Affinity)?,
                history: one(Role::History)?,
                again: one(Role::Again)?,
                choose: one(Role::Choose)?,
                create_job: all(Role::CreateJob),
                queue_job: all(Role::QueueJob),
                after_attempt: all(Role::AfterAttempt),
                before_prune: all(Role::BeforePrune),
                ..ChainSpec::default()
            };
            spec.instances.insert(pattern.clone(), chain);
            for plugin in all(Role::Events) {
                if !spec.events.contains(&plugin) {
                    spec.events.push(plugin);
                }
            }
        }
        Ok(spec)
    }

    /// The roles of a plugin, over all instances.
    pub(crate) fn roles_of(&self, plugin: &str) -> Vec<Role> {
        let has = |role: &Role| {
            let mut named = self.instances.values().filter_map(|roles| roles.get(role)).flatten();
            named.any(|name| name == plugin)
        };
        Role::ALL.into_iter().filter(has).collect()
    }

    /// The same set with another version of a plugin. With `roles`, it answers these for the instances; what it answered
    /// there before and is not named any more falls back to the built-in rule.
    pub(crate) fn with(&self, name: &str, digest: &str, roles: &[Role], patterns: &[String]) -> Self {
        let mut set = self.clone();
        set.plugins.insert(name.to_owned(), digest.to_owned());
        if roles.is_empty() {
            return set;
        }
        let everywhere = [EVERYWHERE.to_owned()];
        for pattern in if patterns.is_empty() { &everywhere } else { patterns } {
            // A narrower pattern starts with the roles that hold everywhere: it counts as a whole.
            let base = set.instances.get(EVERYWHERE).cloned().unwrap_or_default();
            let chain = set.instances.entry(pattern.clone()).or_insert(base);
            give(chain, name, roles);
        }
        set.forget_unused();
        set
    }

    /// The same set without a plugin.
    pub(crate) fn without(&self, name: &str) -> Self {
        let mut set = self.clone();
        set.plugins.remove(name);
        set.instances.values_mut().for_each(|chain| give(chain, name, &[]));
        set
    }

    /// Whether it has this version.
    pub(crate) fn has(&self, name: &str, digest: &str) -> bool {
        self.plugins.get(name).is_some_and(|active| active == digest)
    }

    /// A plugin without a role is not part of the set.
    fn forget_unused(&mut self) {
        let used: Vec<String> = self.plugins.keys().filter(|name| !self.roles_of(name).is_empty()).cloned().collect();
        self.plugins.retain(|name, _| used.contains(name));
    }
}

/// The plugin has these roles, and no other.
fn give(chain: &mut Roles, name: &str, roles: &[Role]) {
    for role in Role::ALL {
        let plugins = chain.entry(role).or_default();
        let has = plugins.iter().any(|plugin| plugin == name);
        match (roles.contains(&role), role.is_shared()) {
            (true, true) if !has => plugins.push(name.to_owned()),
            (true, false) => *plugins = vec![name.to_owned()],
            (false, _) if has => plugins.retain(|plugin| plugin != name),
            _ => {}
        }
    }
    chain.retain(|_, plugins| !plugins.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> PolicySet {
        toml::from_str(text).unwrap()
    }

    const BASIC: &str = r#"
        plugins = { containment = "aa", reapi-priority = "bb" }
        [instances."*"]
        properties = "containment"
        rank = ["reapi-priority"]
    "#;

    #[test]
    fn the_file_may_name_one_plugin_or_several() {
        let set = set(BASIC);
        assert_eq!(set.roles_of("containment"), [Role::Properties]);
        assert_eq!(set.roles_of("reapi-priority"), [Role::Rank]);
        let spec = set.spec().unwrap();
        assert_eq!(spec.instances["*"].rank.as_deref(), Some("reapi-priority"));
        assert_eq!(spec.instances["*"].lane, None);
    }

    #[test]
    fn an_activation_takes_what_is_exclusive_and_joins_what_is_shared() {
        let set = set(BASIC).with("fair", "cc", &[Role::Lane, Role::Rank, Role::Events], &[]);
        assert_eq!(set.roles_of("fair"), [Role::Lane, Role::Rank, Role::Events]);
        assert!(!set.plugins.contains_key("reapi-priority"), "nothing is left for it to answer");
        let set = set.with("audit", "dd", &[Role::Events], &[]);
        assert_eq!(set.spec().unwrap().events, ["fair", "audit"]);
        let set = set.with("fair", "ee", &[Role::Lane], &[]);
        assert_eq!(set.spec().unwrap().events, ["audit"]);
        assert!(set.has("fair", "ee") && !set.has("fair", "cc"));
        assert!(!set.without("fair").plugins.contains_key("fair"));
    }

    #[test]
    fn a_narrower_pattern_starts_with_the_roles_that_held() {
        let set = set(BASIC).with("fair", "cc", &[Role::Lane], &["team/*".to_owned()]);
        assert_eq!(set.instances["team/*"][&Role::Properties], ["containment"]);
        assert!(!set.instances["*"].contains_key(&Role::Lane));
    }

    #[test]
    fn a_role_for_one_plugin_is_not_given_to_two() {
        let mut set = set(BASIC);
        set.instances.get_mut("*").unwrap().insert(Role::Lane, vec!["a".into(), "b".into()]);
        let error = set.spec().unwrap_err();
        assert!(error.contains("lane belongs to one plugin, and a, b are named"), "{error}");
        assert!(toml::from_str::<PolicySet>("[instances.\"*\"]\nlanes = \"x\"").is_err());
    }
}
