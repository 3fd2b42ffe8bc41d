//! What is answered where a plugin could not: because its call was a fault, or because it is in quarantine.
//!
//! `place` and `choose` have no choice: the built-in rule answers, and jobs that are asked for again keep their place.

use serde::{Deserialize, Serialize};

/// The operator's choice for one plugin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OnFault {
    /// Where it answers for `properties`.
    pub properties: PropertiesFault,
    /// Where it is asked before a job is created or queued.
    pub admission: AdmissionFault,
    /// Where it is asked after an attempt.
    pub after_attempt: AttemptFault,
    /// Where it is asked before finished jobs are deleted.
    pub before_prune: PruneFault,
    /// Where it hears events.
    pub events: EventsFault,
}

/// Instead of an answer about properties.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PropertiesFault {
    /// UNAVAILABLE.
    #[default]
    Refuse,
    /// The built-in rule: every property is required, and offered.
    BuiltIn,
}

/// Instead of an answer about a new job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdmissionFault {
    /// UNAVAILABLE.
    #[default]
    Refuse,
    /// As if this plugin had not been asked.
    Admit,
}

/// Instead of a verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttemptFault {
    /// The built-in rule.
    #[default]
    BuiltIn,
    /// The next plugin that answers for it; after the last one the built-in rule.
    Next,
}

/// Instead of times to keep jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneFault {
    /// They are kept until it is asked again.
    #[default]
    Keep,
    /// As if this plugin had not been asked.
    Delete,
}

/// After the last try with one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventsFault {
    /// It hears nothing more, and there is an alarm.
    #[default]
    Stop,
    /// It does not hear that event, and there is a record of it.
    Skip,
}
