//! Quotas as both services see them: fields are checked here, and the engine is asked.

use std::sync::Arc;

use berth_core::InstanceName;
use berth_runtime::{Engine, cohorts::Quota};

use crate::{
    error::Error,
    instances::{Instances, shown},
};

/// Names of the fields that a service has for the two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    pub(crate) instance: &'static str,
    pub(crate) cohort: &'static str,
    pub(crate) min: &'static str,
    pub(crate) max: &'static str,
}

/// An instance and a cohort that there are.
pub(crate) struct Chosen {
    engine: Engine,
    instance: InstanceName,
    cohort: Arc<str>,
}

/// What a request names, if both are known.
pub(crate) fn chosen(instances: &Instances, fields: Fields, instance: &str, cohort: &str) -> Result<Chosen, Error> {
    let instance = instances.get(fields.instance, instance)?;
    let cohorts = instance.engine.cohorts();
    if !cohorts.has(cohort) {
        let known: Vec<_> = cohorts.names().collect();
        let known = if known.is_empty() {
            "there are none: [[scheduler.cohorts]] in the configuration makes them".to_owned()
        } else {
            format!("expected one of {}", known.join(", "))
        };
        return Err(Error::field(fields.cohort, format!("cohort {:?} is not known; {known}", shown(cohort))));
    }
    Ok(Chosen { engine: instance.engine.clone(), instance: instance.name.clone(), cohort: cohort.into() })
}

impl Chosen {
    /// The quota.
    pub(crate) async fn get(&self) -> Result<Quota, Error> {
        self.engine.quota(&self.instance, &self.cohort).await?.ok_or_else(|| self.not_found())
    }

    /// Sets it; what was asked for may be out of range.
    pub(crate) async fn set(&self, fields: Fields, min: i64, max: i64) -> Result<(), Error> {
        let number = |field, value: i64| {
            u32::try_from(value).map_err(|_| Error::field(field, format!("{value} is none of 0 to {}", u32::MAX)))
        };
        let (min, max) = (number(fields.min, min)?, number(fields.max, max)?);
        if min > max {
            return Err(Error::field(fields.min, format!("{min} is more than the maximum, {max}")));
        }
        Ok(self.engine.set_quota(&self.instance, &self.cohort, min, max).await?)
    }

    /// Deletes it.
    pub(crate) async fn delete(&self) -> Result<(), Error> {
        if self.engine.delete_quota(&self.instance, &self.cohort).await? { Ok(()) } else { Err(self.not_found()) }
    }

    fn not_found(&self) -> Error {
        Error::UnknownName { what: "the quota of", name: format!("{} in cohort {}", self.instance, self.cohort) }
    }
}

/// All quotas of all instances.
pub(crate) async fn all(instances: &Instances) -> Result<Vec<Quota>, Error> {
    let mut quotas = Vec::new();
    for engine in instances.engines() {
        quotas.extend(engine.quotas().await?);
    }
    Ok(quotas)
}
