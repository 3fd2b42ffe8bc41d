//! What changes the set that is active: found and checked, stored, put in force, in that order, one change at a time.
//! A set is stored in the step in which it begins to answer, so that a restart comes up with it.

use std::sync::Arc;

use berth_core::{PoliciesChanged, PolicyChanged};
use berth_plugin_host::{Generation, Plugins, Quarantined};
use berth_runtime::{feed::shadow_name, store::Batch};
use tokio::sync::oneshot;

use super::{
    bundled, examples,
    ledger::{Refused, VersionKey},
    registry::{Registry, RegistryError},
    rows::{self, SetRow, VersionRow},
    set::PolicySet,
    told::{self, What},
    versions::{component_of, exports_of, now_ms, short},
};

impl Registry {
    /// The active set.
    pub(crate) fn active(&self) -> SetRow {
        self.look(|ledger, _| ledger.active().cloned()).expect("a set is active since the start")
    }

    /// What was decided before there was an engine is stored and told, who hears events begins, and what was observed is
    /// observed again. Where other policies are active than when the server ran last, jobs that are there are placed anew.
    pub(crate) async fn begin(
        self: &Arc<Self>,
        mut batch: Batch,
        told: Vec<PolicyChanged>,
    ) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        let mark = (!told.is_empty()).then(|| self.engine().mark_replacement(&mut batch));
        self.tell(batch, told).await?;
        self.learn_asks().await?;
        if mark.is_some() {
            self.engine().replace_all(mark).await?;
        }
        self.hearing().join(self.policy(), None, &self.policy().active()).await?;
        self.observe_again().await
    }

    /// Makes a version active.
    pub(crate) async fn activate(
        self: &Arc<Self>,
        name: &str,
        digits: &str,
        roles: &[String],
        instances: &[String],
    ) -> Result<SetRow, RegistryError> {
        let _changing = self.changing.lock().await;
        let key = self.look(|ledger, _| ledger.newest(name, digits))?;
        let plugin = self.plugin(&key).await?;
        let own = examples::roles(&exports_of(&plugin), plugin.examples());
        let set = self.look(|ledger, _| ledger.with_active(&key, roles, instances, &own))?;
        let active = self.active();
        if active.set == set {
            // A set that is the same as the one before it would be what a rollback goes back to.
            return Ok(active);
        }
        let generation = self.generation(&set).await?;
        let told = told::between(&self.active().set, &set, What::Activated);
        let why = format!("{name}@{} was activated", short(&key.1));
        self.put_in_force(set, generation, why, told, Batch::default()).await
    }

    /// Goes back to an older set.
    pub(crate) async fn rollback(self: &Arc<Self>, number: u64) -> Result<SetRow, RegistryError> {
        let _changing = self.changing.lock().await;
        let (number, set) = self.look(|ledger, _| ledger.rollback_to(number))?;
        let generation = self.generation(&set).await?;
        let file_digest = self.look(|ledger, _| ledger.file_digest.clone());
        let told = told::between(&self.active().set, &set, What::RolledBack);
        let mut batch = Batch::default();
        rows::put_active(&mut batch, number, &file_digest);
        let row = self.lock().ledger.go_to(number).clone();
        self.swap(generation, told, batch).await?;
        tracing::info!(set = number, "an older set of policies is active again");
        Ok(row)
    }

    /// Takes a version out of service, or releases it. Answers the set that is active after that.
    pub(crate) async fn quarantine(
        self: &Arc<Self>,
        name: &str,
        digits: &str,
        reason: Option<String>,
    ) -> Result<SetRow, RegistryError> {
        let _changing = self.changing.lock().await;
        let key = self.look(|ledger, _| ledger.find(name, digits))?;
        self.set_quarantine(&key, reason).await
    }

    /// The host has put a plugin into quarantine: what it does at once for as long as it runs is made to last.
    pub(crate) async fn fallen(self: &Arc<Self>, what: &Quarantined) -> Result<SetRow, RegistryError> {
        let _changing = self.changing.lock().await;
        let reason = format!("too many faults, the last: {}: {}", what.kind.name(), what.details);
        let key = {
            let state = self.lock();
            let observed = state.observed.as_ref().filter(|observed| observed.plugin().is_quarantined());
            let observed = observed.map(|observed| observed.key().clone());
            let observed = observed.filter(|key| key.0 == what.plugin && component_of(&key.1) == what.digest);
            observed.or_else(|| state.ledger.of_component(&what.plugin, &what.digest))
        };
        let key = key.ok_or_else(|| Refused::Unknown(format!("{} is not loaded any more", what.plugin)))?;
        self.set_quarantine(&key, Some(reason)).await
    }

    /// Forgets a version.
    pub(crate) async fn unload(self: &Arc<Self>, name: &str, digits: &str) -> Result<(), RegistryError> {
        let _changing = self.changing.lock().await;
        let key = self.look(|ledger, _| ledger.find(name, digits))?;
        let alone = self.lock().ledger.remove(&key)?;
        let mut batch = Batch::default();
        rows::delete_version(&mut batch, &key.0, &key.1);
        if alone {
            rows::delete_component(&mut batch, component_of(&key.1));
            self.host.forget_compiled(component_of(&key.1));
        }
        {
            let mut state = self.lock();
            state.loaded.remove(&key);
            if bundled::is_own(&key.0, &key.1) {
                state.ledger.add_version(VersionRow::bundled(&key.0, &key.1));
            }
        }
        // Left behind by a server that was killed while it observed the version.
        self.hearing().listeners.forget(&shadow_name(&key.0, &short(component_of(&key.1)))).await?;
        self.tell(batch, vec![told::lost(&key, What::Unloaded)]).await
    }

    async fn set_quarantine(
        self: &Arc<Self>,
        key: &VersionKey,
        reason: Option<String>,
    ) -> Result<SetRow, RegistryError> {
        let (row, alternatives) = {
            let mut state = self.lock();
            let row = state.ledger.set_quarantine(key, reason.clone()).clone();
            let leaves = reason.is_some() && state.ledger.is_active(key);
            (row, if leaves { state.ledger.after_quarantine(key) } else { Vec::new() })
        };
        let mut batch = Batch::default();
        rows::put_version(&mut batch, &row);
        let mut next = None;
        for set in alternatives {
            match self.generation(&set).await {
                Ok(generation) => {
                    next = Some((set, generation));
                    break;
                }
                Err(error) => tracing::warn!(plugin = key.0, %error, "a set cannot take the place of the active one"),
            }
        }
        let mut told = vec![match reason {
            Some(_) => told::lost(key, What::Quarantined),
            None => told::gained(key, What::Released),
        }];
        let active = match (next, &reason) {
            (Some((set, generation)), Some(reason)) => {
                let why = format!("{}@{} was quarantined: {reason}", key.0, short(&key.1));
                told.extend(told::between(&self.active().set, &set, What::Quarantined));
                self.put_in_force(set, generation, why, told, batch).await?
            }
            _ => {
                self.tell(batch, told).await?;
                self.active()
            }
        };
        if self.look(|ledger, _| ledger.observed.as_ref() == Some(key)) && reason.is_some() {
            self.forget_observation("it was quarantined").await?;
        }
        // Last: as long as it is in force, the host would look for somebody else at once.
        if let Some(plugin) = self.look(|_, loaded| loaded.get(key).cloned()) {
            if reason.is_some() { plugin.quarantine() } else { plugin.release() }
        }
        Ok(active)
    }

    /// Everything that a set needs, found and checked.
    async fn generation(self: &Arc<Self>, set: &PolicySet) -> Result<Generation, RegistryError> {
        let mut plugins = Plugins::new();
        for (name, digest) in &set.plugins {
            plugins.insert(name.clone(), self.plugin(&(name.clone(), digest.clone())).await?);
        }
        build(set, &plugins)
    }

    /// Stores a set with what else changes, then swaps.
    async fn put_in_force(
        self: &Arc<Self>,
        set: PolicySet,
        generation: Generation,
        why: String,
        told: Vec<PolicyChanged>,
        mut batch: Batch,
    ) -> Result<SetRow, RegistryError> {
        let row = {
            let mut state = self.lock();
            let (row, forgotten) = state.ledger.push(set, why, now_ms());
            rows::put_set(&mut batch, &row);
            rows::put_active(&mut batch, row.number, &state.ledger.file_digest);
            forgotten.into_iter().for_each(|number| rows::delete_set(&mut batch, number));
            row
        };
        self.swap(generation, told, batch).await?;
        tracing::info!(set = row.number, why = row.why, "a set of policies is active");
        Ok(row)
    }

    /// Puts a generation in force between two steps of the engine, together with its rows and with what the feed is told;
    /// jobs that wait are placed anew behind it.
    async fn swap(
        self: &Arc<Self>,
        generation: Generation,
        told: Vec<PolicyChanged>,
        mut batch: Batch,
    ) -> Result<(), RegistryError> {
        let policy = self.policy();
        self.hearing().leave(&policy.active(), &generation).await;
        policy.prepare(&generation);
        let mark = self.engine().mark_replacement(&mut batch);
        let (of_step, (say_before, before)) = (Arc::clone(policy), oneshot::channel());
        let change = move |rows: &mut Batch| {
            rows.append(batch);
            // Who asked for the swap may be gone.
            let _ = say_before.send(of_step.exchange(generation));
            PoliciesChanged { generation: of_step.active().number(), changes: told }
        };
        self.engine().change_policies(Box::new(change)).await?;
        let before = before.await.map_err(|_| RegistryError::Server("the engine is stopping".to_owned()))?;
        policy.rest(&before);
        self.learn_asks().await?;
        self.engine().replace_all(Some(mark)).await?;
        self.hearing().join(policy, Some(&before), &policy.active()).await?;
        self.observe_again().await
    }

    /// Stores rows and tells the feed what they are about, where nothing comes into force.
    pub(super) async fn tell(&self, batch: Batch, told: Vec<PolicyChanged>) -> Result<(), RegistryError> {
        let policy = Arc::clone(self.policy());
        let change = move |rows: &mut Batch| {
            rows.append(batch);
            PoliciesChanged { generation: policy.active().number(), changes: told }
        };
        Ok(self.engine().change_policies(Box::new(change)).await?)
    }
}

/// The generation of a set, or what does not fit.
pub(super) fn build(set: &PolicySet, plugins: &Plugins) -> Result<Generation, RegistryError> {
    let spec = set.spec().map_err(Refused::Wrong)?;
    Ok(Generation::build(&spec, plugins).map_err(|error| Refused::Wrong(error.to_string()))?)
}
