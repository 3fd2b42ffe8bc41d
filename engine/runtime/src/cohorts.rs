//! Cohorts and quotas: a cohort is a set of labels, and each job whose label is in one belongs to a counter of its own
//! kind. Operators set the numbers of these counters while the server runs: a quota.
//!
//! There is no second mechanism: the counters are core's ([`berth_core::Limit`]), and a quota is numbers that an operator
//! set for one of them. So a quota holds from the moment at which it is set, for jobs that run and wait too.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use berth_core::{InstanceName, Limit, LimitState};

use crate::{
    Engine, EngineError,
    store::{Batch, StoreError, Table},
};

/// Names of counters of cohorts begin with this; policies cannot name such a counter.
const PREFIX: &str = "berth:quota/";

/// With the prefix and an instance name the counter's name has no more than 256 bytes.
const NAME_BYTES_MAX: usize = 40;

/// Row of `Table::Meta`: by which cohorts the jobs in the store were counted.
const COUNTED_BY: &[u8] = b"cohorts";

/// The cohorts of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cohorts {
    by_label: BTreeMap<Arc<str>, Arc<str>>,
    names: BTreeSet<Arc<str>>,
    /// How long a job waits before others give way for its instance's minimum.
    preemption_delay: Duration,
    /// For how long an eviction makes the maximum of an instance smaller.
    cool_down: Duration,
}

/// What cannot be a set of cohorts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CohortsError {
    /// Not a name.
    #[error("cohort {0:?}: a name has 1 to {NAME_BYTES_MAX} of the characters a-z A-Z 0-9 _ . -")]
    Name(String),
    /// Two of one name.
    #[error("cohort {0:?} is there twice: names are unique")]
    Twice(String),
    /// It has no label, or one that no job can have.
    #[error(
        "cohort {cohort:?}: label {label:?} cannot be one; expected at least one label, of the characters a-z A-Z 0-9 _ . -"
    )]
    Label {
        /// Which cohort.
        cohort: String,
        /// Which label; empty: it has none.
        label: String,
    },
    /// Jobs of the label would belong to both.
    #[error("label {label:?} is in the cohorts {first:?} and {second:?}: a label is in at most one")]
    Shared {
        /// Which label.
        label: String,
        /// The cohort that has it already.
        first: String,
        /// The other one.
        second: String,
    },
}

/// How a quota stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Instance name of the requests that it is about.
    pub instance: InstanceName,
    /// Which cohort.
    pub cohort: Arc<str>,
    /// While fewer run, others give way.
    pub min: u32,
    /// The most that may run.
    pub max: u32,
    /// Jobs that run.
    pub running: u32,
    /// Jobs that wait.
    pub waiting: u32,
    /// Evictions that make the maximum smaller now.
    pub cooling: u32,
}

impl Cohorts {
    /// Checks names and labels, which are given cohort by cohort.
    pub fn new(cohorts: impl IntoIterator<Item = (String, Vec<String>)>) -> Result<Self, CohortsError> {
        let mut all = Self::default();
        for (name, labels) in cohorts {
            if !is_word(&name) || name.len() > NAME_BYTES_MAX {
                return Err(CohortsError::Name(name));
            }
            if !all.names.insert(name.as_str().into()) {
                return Err(CohortsError::Twice(name));
            }
            if labels.is_empty() {
                return Err(CohortsError::Label { cohort: name, label: String::new() });
            }
            for label in labels {
                if !is_word(&label) {
                    return Err(CohortsError::Label { cohort: name, label });
                }
                if let Some(first) = all.by_label.insert(label.as_str().into(), name.as_str().into()) {
                    return Err(CohortsError::Shared { label, first: first.to_string(), second: name });
                }
            }
        }
        Ok(all)
    }

    /// The same with these times: how long a job waits before others give way for its instance's minimum, and for how long
    /// an eviction makes the maximum of an instance smaller.
    #[must_use]
    pub fn with_times(self, preemption_delay: Duration, cool_down: Duration) -> Self {
        Self { preemption_delay, cool_down, ..self }
    }

    /// Names of the cohorts, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Whether there is such a cohort.
    pub fn has(&self, cohort: &str) -> bool {
        self.names.contains(cohort)
    }

    /// The counter that a job with this label belongs to; its numbers are those of the quota, if there is one.
    pub fn counter(&self, instance: &InstanceName, label: &str) -> Option<Arc<Limit>> {
        let cohort = self.by_label.get(label)?;
        Some(Arc::new(Limit { name: counter_name(instance, cohort), ..Limit::default() }))
    }

    /// The numbers of a quota.
    fn limit(&self, name: Arc<str>, min: u32, max: u32) -> Arc<Limit> {
        Arc::new(Limit {
            name,
            max_running: Some(max),
            max_queued: None,
            min_running: min,
            evict_after: (min > 0).then_some(self.preemption_delay),
            cool_down: self.cool_down,
        })
    }

    /// Which label is in which cohort, as it is stored.
    fn written(&self) -> Vec<u8> {
        let line = |(label, cohort): (&Arc<str>, &Arc<str>)| format!("{label}={cohort}\n");
        self.by_label.iter().map(line).collect::<String>().into_bytes()
    }
}

impl Quota {
    fn of(instance: InstanceName, state: &LimitState) -> Option<Self> {
        let (cohort, _) = state.limit.name.strip_prefix(PREFIX)?.split_once('/')?;
        Some(Self {
            instance,
            cohort: cohort.into(),
            min: state.limit.min_running,
            max: state.limit.max_running?,
            running: state.running,
            waiting: state.waiting,
            cooling: state.cooling,
        })
    }
}

impl Engine {
    /// All quotas, in the order of their instances and cohorts.
    pub async fn quotas(&self) -> Result<Vec<Quota>, EngineError> {
        let states = self.read_promptly(|book| book.limit_states()).await?;
        Ok(states.into_iter().filter_map(|(instance, state)| Quota::of(instance, &state)).collect())
    }

    /// The quota of an instance in a cohort, if it has one.
    pub async fn quota(&self, instance: &InstanceName, cohort: &str) -> Result<Option<Quota>, EngineError> {
        let (instance, name) = (instance.clone(), counter_name(instance, cohort));
        self.read_promptly(move |book| Quota::of(instance.clone(), &book.limit_state(&instance, &name)?)).await
    }

    /// Sets a quota; on `Ok` it is durable, and holds.
    pub async fn set_quota(
        &self,
        instance: &InstanceName,
        cohort: &str,
        min: u32,
        max: u32,
    ) -> Result<(), EngineError> {
        let name = counter_name(instance, cohort);
        let limit = self.cohorts().limit(name.clone(), min, max);
        self.set_limit(instance.clone(), name, Some(limit)).await
    }

    /// Deletes a quota: from now on the instance has neither bound nor promise there. `false`: there was none.
    pub async fn delete_quota(&self, instance: &InstanceName, cohort: &str) -> Result<bool, EngineError> {
        let there = self.quota(instance, cohort).await?.is_some();
        self.set_limit(instance.clone(), counter_name(instance, cohort), None).await?;
        Ok(there)
    }

    /// At the start: what the configuration says of cohorts by now holds for quotas and jobs that are there already.
    pub async fn adopt_cohorts(&self) -> Result<(), EngineError> {
        for quota in self.quotas().await? {
            // Where the times are as before this changes nothing.
            self.set_quota(&quota.instance, &quota.cohort, quota.min, quota.max).await?;
        }
        let written = self.cohorts().written();
        if self.counted_by()? != written {
            self.replace_all(None).await?;
            let row = move |batch: &mut Batch| batch.put(Table::Meta, COUNTED_BY, |out| out.extend(&written));
            self.write_rows(Box::new(row)).await?;
        }
        Ok(())
    }

    fn counted_by(&self) -> Result<Vec<u8>, StoreError> {
        let found = self.history().store().get(self.history().partition(), Table::Meta, &[COUNTED_BY])?;
        Ok(found.into_iter().next().flatten().map(|row| row.to_vec()).unwrap_or_default())
    }
}

/// The instance is part of the name: several instances may share their bots, and then their counters.
fn counter_name(instance: &InstanceName, cohort: &str) -> Arc<str> {
    format!("{PREFIX}{cohort}/{instance}").into()
}

/// What a label or the name of a cohort may be.
fn is_word(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohorts(of: &[(&str, &[&str])]) -> Result<Cohorts, CohortsError> {
        Cohorts::new(
            of.iter().map(|(name, labels)| {
                (name.to_string(), labels.iter().map(|label| label.to_string()).collect::<Vec<_>>())
            }),
        )
    }

    #[test]
    fn a_job_is_counted_by_the_cohort_of_its_label() {
        let cohorts = cohorts(&[("unix", &["linux", "darwin"]), ("win", &["windows"])]).unwrap();
        let name = |instance: &str, label| Some(cohorts.counter(&instance.into(), label)?.name.to_string());
        assert_eq!(name("main", "darwin").as_deref(), Some("berth:quota/unix/main"));
        assert_eq!(name("a/b", "windows").as_deref(), Some("berth:quota/win/a/b"));
        assert_eq!(name("main", "gpu"), None);
    }

    #[test]
    fn what_cannot_be_cohorts_is_said() {
        let error = |of| cohorts(of).unwrap_err().to_string();
        assert!(error(&[("a/b", &["x"])]).contains("cohort \"a/b\""));
        assert!(error(&[("a", &["x"]), ("a", &["y"])]).contains("there twice"));
        assert!(error(&[("a", &[])]).contains("at least one label"));
        assert!(error(&[("a", &["x y"])]).contains("label \"x y\""));
        assert!(error(&[("a", &["x"]), ("b", &["x"])]).contains("in the cohorts \"a\" and \"b\""));
    }

    #[test]
    fn the_longest_names_fit_into_a_counters_name() {
        let name = counter_name(&"i".repeat(200).as_str().into(), &"c".repeat(NAME_BYTES_MAX));
        assert!(name.len() <= 256, "{}", name.len());
    }
}
