//! Which versions and sets there are, and what may become active next. Decides, and neither loads nor stores: what it
//! decides is written by `registry` and `changes`.

use std::collections::BTreeMap;

use super::{
    rows::{SETS_MAX, SetRow, Stored, VersionRow},
    set::{PolicySet, Role},
    versions::{component_of, short},
};

/// Name and digest.
pub(crate) type VersionKey = (String, String);

/// Why an operator's wish is not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    Wrong(String),
    #[error("{0}")]
    Not(String),
}

/// All versions and sets.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    versions: BTreeMap<VersionKey, VersionRow>,
    sets: BTreeMap<u64, SetRow>,
    active: u64,
    pub(crate) file_digest: String,
    /// The version that is asked beside the active one.
    pub(crate) observed: Option<VersionKey>,
}

impl Ledger {
    pub(crate) fn new(stored: Stored) -> Self {
        let key = |row: &VersionRow| (row.name.clone(), row.digest.clone());
        Self {
            versions: stored.versions.into_iter().map(|row| (key(&row), row)).collect(),
            active: stored.active.unwrap_or(0),
            sets: stored.sets,
            file_digest: stored.file_digest,
            observed: stored.observed,
        }
    }

    /// Bundled policies are those of the binary, and each is there without being loaded. Versions and sets that name an
    /// older component name the one that is there from now on. Answers the keys of versions that moved so.
    pub(crate) fn follow<'a>(
        &mut self,
        bundled: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<(VersionKey, VersionKey)> {
        let mut moved = Vec::new();
        for (name, digest) in bundled {
            let own = self.versions.values().filter(|row| row.source == "bundled" && row.name == name);
            let old: Vec<String> =
                own.map(|row| row.digest.clone()).filter(|own| component_of(own) != digest).collect();
            for old in old {
                let key = (name.to_owned(), old);
                let mut row = self.versions.remove(&key).expect("it was just there");
                row.digest = format!("{digest}{}", &key.1[component_of(&key.1).len()..]);
                row.quarantine = None;
                moved.push((key, (row.name.clone(), row.digest.clone())));
                self.add_version(row);
            }
            let key = (name.to_owned(), digest.to_owned());
            self.versions.entry(key).or_insert_with(|| VersionRow::bundled(name, digest));
        }
        if let Some((_, new)) = moved.iter().find(|(old, _)| self.observed.as_ref() == Some(old)) {
            self.observed = Some(new.clone());
        }
        for set in self.sets.values_mut().map(|row| &mut row.set) {
            for ((name, old), (_, new)) in &moved {
                if let Some(used) = set.plugins.get_mut(name).filter(|used| *used == old) {
                    used.clone_from(new);
                }
            }
        }
        moved
    }

    /// The active set; `None` before the first.
    pub(crate) fn active(&self) -> Option<&SetRow> {
        self.sets.get(&self.active)
    }

    /// The newest first.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &SetRow> {
        self.sets.values().rev()
    }

    pub(crate) fn versions(&self) -> impl Iterator<Item = &VersionRow> {
        self.versions.values()
    }

    /// The name of each version, and whether it is quarantined.
    pub(crate) fn quarantines(&self) -> Vec<(String, bool)> {
        self.versions.values().map(|row| (row.name.clone(), row.quarantine.is_some())).collect()
    }

    pub(crate) fn version(&self, key: &VersionKey) -> Option<&VersionRow> {
        self.versions.get(key)
    }

    pub(crate) fn add_version(&mut self, row: VersionRow) {
        self.versions.insert((row.name.clone(), row.digest.clone()), row);
    }

    /// BUNDLED, LOADED, OBSERVED, ACTIVE or QUARANTINED.
    pub(crate) fn state_of(&self, row: &VersionRow) -> &'static str {
        let key = (row.name.clone(), row.digest.clone());
        if self.is_active(&key) {
            "ACTIVE"
        } else if row.quarantine.is_some() {
            "QUARANTINED"
        } else if self.observed.as_ref() == Some(&key) {
            "OBSERVED"
        } else if row.loaded_at == 0 {
            "BUNDLED"
        } else {
            "LOADED"
        }
    }

    pub(crate) fn is_active(&self, key: &VersionKey) -> bool {
        self.active().is_some_and(|row| row.set.has(&key.0, &key.1))
    }

    /// A version by its name and the first digits of its digest; without digits the active one, else the newest.
    pub(crate) fn find(&self, name: &str, digits: &str) -> Result<VersionKey, Refused> {
        let digits = super::source::without_prefix(digits);
        let own: Vec<&VersionRow> = self.versions.values().filter(|row| row.name == name).collect();
        if own.is_empty() {
            let mut names: Vec<_> = self.versions.keys().map(|(name, _)| name.as_str()).collect();
            names.dedup();
            return Err(Refused::Unknown(format!("no plugin {name:?} is loaded; there are: {}", names.join(", "))));
        }
        let mut fitting: Vec<_> = own.iter().filter(|row| has_digits(&row.digest, digits)).collect();
        if !digits.is_empty() && fitting.len() > 1 {
            // Digits without those of settings are the name of the version that has none.
            fitting.sort_by_key(|row| row.digest.contains('+'));
            if !fitting[0].digest.contains('+') && fitting[1].digest.contains('+') {
                fitting.truncate(1);
            }
        }
        let found = match (fitting.as_slice(), digits.is_empty()) {
            ([], _) => {
                let digests: Vec<_> = own.iter().map(|row| row.digest.as_str()).collect();
                let message = format!("plugin {name:?} has no version {digits:?}; it has: {}", digests.join(", "));
                return Err(Refused::Unknown(message));
            }
            ([one], _) => one,
            (many, true) => {
                let active = many.iter().find(|row| self.is_active(&(row.name.clone(), row.digest.clone())));
                let newest = many.iter().max_by_key(|row| row.loaded_at);
                active.or(newest).expect("there are several")
            }
            (many, false) => {
                let digests: Vec<_> = many.iter().map(|row| row.digest.as_str()).collect();
                let message = format!("{digits:?} fits several versions of {name:?}: {}", digests.join(", "));
                return Err(Refused::Wrong(message));
            }
        };
        Ok((found.name.clone(), found.digest.clone()))
    }

    /// The newest version of a plugin, active or not: what an activation without digits means.
    pub(crate) fn newest(&self, name: &str, digits: &str) -> Result<VersionKey, Refused> {
        let found = self.find(name, digits)?;
        if !digits.is_empty() {
            return Ok(found);
        }
        let own = self.versions.values().filter(|row| row.name == name);
        let newest = own.max_by_key(|row| row.loaded_at).expect("one was found");
        Ok((newest.name.clone(), newest.digest.clone()))
    }

    /// What is to be observed: the newest version of a plugin that is not active.
    pub(crate) fn candidate(&self, name: &str, digits: &str) -> Result<VersionKey, Refused> {
        let key = self.newest(name, digits)?;
        if self.is_active(&key) {
            let known = "it answers already; load another version, or name one with --digest";
            return Err(Refused::Not(format!("{name}@{} is active: {known}", short(&key.1))));
        }
        Ok(key)
    }

    /// A version with this component: the active one, if it has.
    pub(crate) fn of_component(&self, name: &str, component: &str) -> Option<VersionKey> {
        let fits = |key: &&VersionKey| key.0 == name && component_of(&key.1) == component;
        let mut fitting: Vec<_> = self.versions.keys().filter(fits).cloned().collect();
        fitting.sort_by_key(|key| !self.is_active(key));
        fitting.into_iter().next()
    }

    /// The set in which a version answers `roles` (none named: what its plugin answers now, else `own`).
    pub(crate) fn with_active(
        &self,
        key: &VersionKey,
        roles: &[String],
        instances: &[String],
        own: &[Role],
    ) -> Result<PolicySet, Refused> {
        let row = self.versions.get(key).expect("the caller found it");
        if let Some(reason) = &row.quarantine {
            let (name, digits) = (&key.0, short(&key.1));
            return Err(Refused::Not(format!(
                "{name}@{digits} is quarantined: {reason}; release it with: berth plugin quarantine {name} --digest {digits} --release"
            )));
        }
        let base = self.active().map(|row| row.set.clone()).unwrap_or_default();
        let mut wanted =
            roles.iter().map(|role| role.parse::<Role>()).collect::<Result<Vec<_>, _>>().map_err(Refused::Wrong)?;
        if wanted.is_empty() && instances.is_empty() && base.plugins.contains_key(&key.0) {
            return Ok(base.with(&key.0, &key.1, &[], &[]));
        }
        if wanted.is_empty() {
            wanted = own.to_vec();
        }
        if let Some(active) = base.plugins.get(&key.0).filter(|active| **active != key.1) {
            let elsewhere = base.instances.iter().filter(|(pattern, roles)| {
                !instances.is_empty()
                    && !instances.contains(pattern)
                    && roles.values().flatten().any(|own| *own == key.0)
            });
            let elsewhere: Vec<_> = elsewhere.map(|(pattern, _)| pattern.as_str()).collect();
            if !elsewhere.is_empty() {
                let (name, active, patterns) = (&key.0, short(active), elsewhere.join(", "));
                return Err(Refused::Not(format!(
                    "{name}@{active} answers for instances {patterns}, too, and a set has one version of a plugin: load \
                     the new one under a name of its own (berth plugin load ... --name {name}-2) and activate that here, \
                     or activate it without --instance"
                )));
            }
        }
        Ok(base.with(&key.0, &key.1, &wanted, instances))
    }

    /// The set to go back to, and its number; 0: the last that was active before and can be.
    pub(crate) fn rollback_to(&self, number: u64) -> Result<(u64, PolicySet), Refused> {
        if number != 0 {
            let row = self.sets.get(&number).ok_or_else(|| {
                let known: Vec<_> = self.sets.keys().map(u64::to_string).collect();
                Refused::Unknown(format!("there is no set {number}; there are: {}", known.join(", ")))
            })?;
            return match self.unusable_in(&row.set) {
                Some(name) => {
                    Err(Refused::Not(format!("set {number} has a version of {name} that is quarantined or unloaded")))
                }
                None => Ok((number, row.set.clone())),
            };
        }
        // Back to what is the same would change nothing.
        let other = |row: &&SetRow| self.active().is_none_or(|active| active.set != row.set);
        let usable = self.older().filter(other).find(|row| self.unusable_in(&row.set).is_none());
        let none = || Refused::Not("there is no older set to go back to".to_owned());
        usable.map(|row| (row.number, row.set.clone())).ok_or_else(none)
    }

    /// What may become active when a version that is active is quarantined, the best first: another version of its
    /// plugin in its place, the newest that was active before; those who had its roles before; nobody.
    pub(crate) fn after_quarantine(&self, key: &VersionKey) -> Vec<PolicySet> {
        let Some(active) = self.active().map(|row| &row.set) else { return Vec::new() };
        let versions = self.older().filter_map(|row| row.set.plugins.get(&key.0));
        let mut sets: Vec<_> = versions
            .filter(|digest| **digest != key.1 && self.is_usable(&key.0, digest))
            .map(|digest| active.with(&key.0, digest, &[], &[]))
            .collect();
        let without = active.without(&key.0);
        sets.push(self.with_former(without.clone(), active, &key.0));
        sets.push(without);
        sets.dedup();
        sets
    }

    /// Gives the roles that a plugin had to those who had them before.
    fn with_former(&self, mut set: PolicySet, active: &PolicySet, name: &str) -> PolicySet {
        for (pattern, roles) in &active.instances {
            for role in roles.iter().filter(|(_, plugins)| plugins.iter().any(|own| own == name)).map(|(role, _)| *role)
            {
                let former = self.older().find_map(|row| {
                    let plugins = row.set.instances.get(pattern)?.get(&role)?;
                    let usable = |plugin: &String| {
                        plugin != name
                            && row.set.plugins.get(plugin).is_some_and(|digest| self.is_usable(plugin, digest))
                    };
                    plugins.iter().all(usable).then_some((row, plugins))
                });
                let taken = set.instances.get(pattern).is_some_and(|roles| roles.contains_key(&role));
                let Some((row, plugins)) = former.filter(|_| !taken) else { continue };
                set.instances.entry(pattern.clone()).or_default().insert(role, plugins.clone());
                for plugin in plugins {
                    set.plugins.entry(plugin.clone()).or_insert_with(|| row.set.plugins[plugin].clone());
                }
            }
        }
        set
    }

    /// Sets that were active before this one, the last first: what was rolled back is not among them.
    fn older(&self) -> impl Iterator<Item = &SetRow> {
        let before = |row: &&SetRow| self.sets.get(&row.before);
        std::iter::successors(self.active(), before).skip(1)
    }

    pub(crate) fn set_quarantine(&mut self, key: &VersionKey, reason: Option<String>) -> &VersionRow {
        let row = self.versions.get_mut(key).expect("the caller found it");
        row.quarantine = reason;
        row
    }

    /// A new set becomes active. Answers its row, and the numbers of sets that are forgotten.
    pub(crate) fn push(&mut self, set: PolicySet, why: String, now_ms: u64) -> (SetRow, Vec<u64>) {
        let number = self.sets.last_key_value().map_or(0, |(number, _)| *number) + 1;
        let row = SetRow { number, activated_at: now_ms, why, before: self.active, set };
        self.sets.insert(number, row.clone());
        self.active = number;
        let mut forgotten = Vec::new();
        while self.sets.len() > SETS_MAX {
            // What was rolled back goes first: nobody goes back to it without naming it.
            let kept: Vec<u64> = self.older().map(|row| row.number).collect();
            let off = self.sets.keys().find(|set| **set != number && !kept.contains(set));
            let oldest = *off.or(self.sets.keys().next()).expect("there are many");
            self.sets.remove(&oldest);
            forgotten.push(oldest);
        }
        (row, forgotten)
    }

    /// An older set becomes active again.
    pub(crate) fn go_to(&mut self, number: u64) -> &SetRow {
        self.active = number;
        &self.sets[&number]
    }

    /// Forgets a version. Answers whether its component is not used by any other.
    pub(crate) fn remove(&mut self, key: &VersionKey) -> Result<bool, Refused> {
        if self.versions.get(key).is_some_and(|row| row.loaded_at == 0) {
            return Err(Refused::Not(format!("{} comes with Berth; it costs nothing while it is not active", key.0)));
        }
        if self.is_active(key) {
            return Err(Refused::Not(format!("{} is active; activate another version or roll back first", key.0)));
        }
        if self.observed.as_ref() == Some(key) {
            return Err(Refused::Not(format!("{0} is observed; end it with: berth plugin observe {0} --stop", key.0)));
        }
        self.versions.remove(key);
        let component = component_of(&key.1);
        Ok(!self.versions.keys().any(|(_, digest)| component_of(digest) == component))
    }

    /// A plugin of the set whose version is quarantined, or gone.
    fn unusable_in<'a>(&self, set: &'a PolicySet) -> Option<&'a str> {
        let mut plugins = set.plugins.iter();
        plugins.find(|(name, digest)| !self.is_usable(name, digest)).map(|(name, _)| name.as_str())
    }

    fn is_usable(&self, name: &str, digest: &str) -> bool {
        self.versions.get(&(name.to_owned(), digest.to_owned())).is_some_and(|row| row.quarantine.is_none())
    }
}

/// Whether a version can be meant by these digits: the first of its component, and after a `+` those of its settings.
fn has_digits(version: &str, digits: &str) -> bool {
    let Some((component, settings)) = digits.split_once('+') else { return version.starts_with(digits) };
    let own = version.split_once('+');
    own.is_some_and(|(own, of_settings)| own.starts_with(component) && of_settings.starts_with(settings))
}

#[cfg(test)]
mod tests;
