//! What the event feed is told of a change of policies: which version got or lost which role.

use std::collections::BTreeSet;

use berth_core::{PLACES_MAX, PolicyChanged};

use super::{
    ledger::VersionKey,
    set::{PolicySet, Role},
};

/// Why policies changed, as events say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Activated,
    RolledBack,
    Quarantined,
    Released,
    Observed,
    Unobserved,
    Unloaded,
}

impl What {
    fn word(self) -> &'static str {
        match self {
            Self::Activated => "activated",
            Self::RolledBack => "rolled-back",
            Self::Quarantined => "quarantined",
            Self::Released => "released",
            Self::Observed => "observed",
            Self::Unobserved => "unobserved",
            Self::Unloaded => "unloaded",
        }
    }
}

/// One event for each role that a version got or lost, in the order of patterns and roles. An event of the engine has room
/// for so many; a set with more differences is one that nobody has written by hand.
pub(crate) fn between(before: &PolicySet, after: &PolicySet, what: What) -> Vec<PolicyChanged> {
    let mut changes = Vec::new();
    let patterns: BTreeSet<&String> = before.instances.keys().chain(after.instances.keys()).collect();
    for pattern in patterns {
        for role in Role::ALL {
            let (old, new) = (users(before, pattern, role), users(after, pattern, role));
            let names: BTreeSet<&String> = old.iter().chain(new).collect();
            for name in names {
                let (old, new) = (version(before, old, name), version(after, new, name));
                if old != new {
                    changes.push(PolicyChanged {
                        policy: name.as_str().into(),
                        before: old.into(),
                        after: new.into(),
                        instances: pattern.as_str().into(),
                        role: role.name().into(),
                        what: what.word().into(),
                    });
                }
            }
        }
    }
    changes.truncate(PLACES_MAX - 1);
    changes
}

/// A version that begins to be something while nobody asks it, or is put back to it.
pub(crate) fn gained(key: &VersionKey, what: What) -> PolicyChanged {
    PolicyChanged { after: key.1.as_str().into(), ..alone(key, what) }
}

/// A version that is taken away, whether anybody asked it or not.
pub(crate) fn lost(key: &VersionKey, what: What) -> PolicyChanged {
    PolicyChanged { before: key.1.as_str().into(), ..alone(key, what) }
}

fn alone(key: &VersionKey, what: What) -> PolicyChanged {
    PolicyChanged {
        policy: key.0.as_str().into(),
        before: "".into(),
        after: "".into(),
        instances: "".into(),
        role: "".into(),
        what: what.word().into(),
    }
}

fn users<'a>(set: &'a PolicySet, pattern: &str, role: Role) -> &'a [String] {
    set.instances.get(pattern).and_then(|roles| roles.get(&role)).map_or(&[], Vec::as_slice)
}

/// The version of a name that has the role, or nothing.
fn version<'a>(set: &'a PolicySet, users: &[String], name: &String) -> &'a str {
    let digest = set.plugins.get(name).filter(|_| users.contains(name));
    digest.map_or("", String::as_str)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn set(plugins: &[(&str, &str)], roles: &[(Role, &[&str])]) -> PolicySet {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let roles = roles.iter().map(|(role, names)| (*role, texts(names))).collect();
        PolicySet {
            plugins: plugins.iter().map(|(name, digest)| ((*name).to_owned(), (*digest).to_owned())).collect(),
            instances: BTreeMap::from([("*".to_owned(), roles)]),
        }
    }

    fn shown(changes: &[PolicyChanged]) -> Vec<String> {
        let one = |change: &PolicyChanged| {
            format!("{} {} {}: {:?} -> {:?}", change.instances, change.role, change.policy, change.before, change.after)
        };
        changes.iter().map(one).collect()
    }

    #[test]
    fn each_role_that_a_version_got_or_lost_is_told() {
        let before = set(&[("a", "1"), ("b", "5")], &[(Role::Rank, &["a"]), (Role::CreateJob, &["a", "b"])]);
        let after = set(&[("b", "5"), ("c", "9")], &[(Role::Rank, &["c"]), (Role::CreateJob, &["b"])]);
        let told = between(&before, &after, What::Activated);
        assert_eq!(
            shown(&told),
            ["* rank a: \"1\" -> \"\"", "* rank c: \"\" -> \"9\"", "* create-job a: \"1\" -> \"\""]
        );
        assert!(told.iter().all(|change| &*change.what == "activated"));
        assert!(between(&after, &after, What::RolledBack).is_empty());
    }

    #[test]
    fn another_version_of_a_plugin_is_one_change_for_each_of_its_roles() {
        let roles: &[(Role, &[&str])] = &[(Role::Lane, &["a"]), (Role::Rank, &["a"])];
        let told = between(&set(&[("a", "1")], roles), &set(&[("a", "2")], roles), What::Quarantined);
        assert_eq!(shown(&told), ["* lane a: \"1\" -> \"2\"", "* rank a: \"1\" -> \"2\""]);
    }
}
