//! Asking a plugin about properties: the question into the guest's types, the answer checked and into ours.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use berth_core::{Property, PropertySet};
use berth_runtime::policy::{ExecutionProperties, ExecutionQuestion, PolicyError, WorkerProperties, WorkerQuestion};

use crate::bindings::properties::{
    ExecutionAnswer, ExecutionQuestion as ForGuest, WorkerAnswer, WorkerQuestion as WorkerForGuest,
};
use crate::bindings::types::{PropertyParam, PropertyResult, Refusal};
use crate::fault::Fault;
use crate::memo::{self, Answer};
use crate::plugin::Plugin;
use crate::stats::Function;

/// What a guest is asked about. More is refused here, so that no client can drive a plugin into its limits.
const ASKED_PROPERTIES_MAX: usize = 1024;
const ASKED_BYTES_MAX: usize = 256 << 10;
/// What the contract says of answers.
const LABEL_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 64;
const SETS_MAX: usize = 64;
const SET_PROPERTIES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 4096;

const CALLED: &str = "a plugin is asked only for what it exports";

impl Plugin {
    /// What a platform requires: from memory, or from the guest.
    pub(crate) fn execution_properties(
        &self,
        question: &ExecutionQuestion<'_>,
    ) -> Result<Arc<ExecutionProperties>, PolicyError> {
        self.count_questions(Function::ExecutionProperties, 1);
        let platform = canonical(question.platform)?;
        memo::with_key(question.instance, &platform, |key| {
            if let Some(answer) = self.memo.get(key) {
                self.counters(Function::ExecutionProperties).memo_hits.fetch_add(1, Relaxed);
                return answer;
            }
            let answer = self.ask_execution_properties(question.instance, &platform);
            match answer {
                Ok(answer) => {
                    self.memo.put(key, &answer);
                    answer
                }
                // Not remembered: the next attempt may succeed.
                Err(_) => Err(self.refusal_for_fault()),
            }
        })
    }

    fn ask_execution_properties(&self, instance: &str, platform: &[&(String, String)]) -> Result<Answer, Fault> {
        let platform = for_guest(platform);
        self.call(
            Function::ExecutionProperties,
            self.host.limits().properties_deadline,
            |live| {
                let guest = live.properties.as_ref().expect(CALLED);
                guest.call_execution_properties(&mut live.store, ForGuest { instance, platform: &platform })
            },
            |answer| match answer {
                Ok(answer) => Ok(Ok(Arc::new(checked_execution(answer)?))),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        )
    }

    /// What a bot can do. Not remembered: bots ask when they come, and each is different.
    pub(crate) fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        self.count_questions(Function::WorkerProperties, 1);
        let properties = for_guest(&canonical(question.properties)?);
        let (instance, bot_id) = (question.instance, question.bot_id);
        let answer = self.call(
            Function::WorkerProperties,
            self.host.limits().properties_deadline,
            |live| {
                let guest = live.properties.as_ref().expect(CALLED);
                let question = WorkerForGuest { instance, bot_id, properties: &properties };
                guest.call_worker_properties(&mut live.store, question)
            },
            |answer| match answer {
                Ok(answer) => Ok(Ok(checked_worker(answer)?)),
                Err(refusal) => Ok(Err(checked_refusal(refusal)?)),
            },
        );
        answer.unwrap_or_else(|_| Err(self.refusal_for_fault()))
    }
}

/// The properties in order, so that the same set is the same question. Most clients send them so.
fn canonical(properties: &[(String, String)]) -> Result<Vec<&(String, String)>, PolicyError> {
    let bytes: usize = properties.iter().map(|(name, value)| name.len() + value.len()).sum();
    if properties.len() > ASKED_PROPERTIES_MAX || bytes > ASKED_BYTES_MAX {
        let expected = "at most 1024 properties, of at most 262144 bytes together".to_owned();
        return Err(PolicyError::MalformedProperty { name: String::new(), expected });
    }
    let mut sorted: Vec<_> = properties.iter().collect();
    if !sorted.is_sorted() {
        sorted.sort_unstable();
    }
    Ok(sorted)
}

fn for_guest<'a>(properties: &[&'a (String, String)]) -> Vec<PropertyParam<'a>> {
    properties.iter().map(|(name, value)| PropertyParam { name, value }).collect()
}

fn checked_execution(answer: ExecutionAnswer) -> Result<ExecutionProperties, Fault> {
    let (label, requirements) = (checked_label(answer.label)?, checked_set(answer.requirements)?);
    Ok(ExecutionProperties { label, requirements, preferred: None })
}

fn checked_worker(answer: WorkerAnswer) -> Result<WorkerProperties, Fault> {
    if answer.labels.len() > LABELS_MAX {
        return Err(Fault::nonsense(format!("{} labels; at most {LABELS_MAX} are allowed", answer.labels.len())));
    }
    let sets = answer.capabilities.len();
    if sets == 0 || sets > SETS_MAX {
        return Err(Fault::nonsense(format!("{sets} capability sets; 1 to {SETS_MAX} are allowed")));
    }
    Ok(WorkerProperties {
        labels: answer.labels.into_iter().map(checked_label).collect::<Result<_, _>>()?,
        capabilities: answer.capabilities.into_iter().map(checked_set).collect::<Result<_, _>>()?,
        score: 0,
    })
}

fn checked_label(label: String) -> Result<Arc<str>, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || !label.bytes().all(allowed) {
        return Err(Fault::nonsense(format!(
            "label {:?}; 1 to {LABEL_BYTES_MAX} of [a-zA-Z0-9_.-] are allowed",
            crate::instance::cut(&label, 100)
        )));
    }
    Ok(label.into())
}

fn checked_set(properties: Vec<PropertyResult>) -> Result<PropertySet, Fault> {
    if properties.len() > SET_PROPERTIES_MAX {
        let count = properties.len();
        return Err(Fault::nonsense(format!("{count} properties in a set; at most {SET_PROPERTIES_MAX} are allowed")));
    }
    for PropertyResult { name, value } in &properties {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && value.len() <= VALUE_BYTES_MAX;
        if !fits || name.contains(char::is_control) || value.contains(char::is_control) {
            let (name, value) = (crate::instance::cut(name, 100), crate::instance::cut(value, 100));
            return Err(Fault::nonsense(format!("property {name:?} = {value:?} in a set")));
        }
    }
    Ok(properties.into_iter().map(|property| Property::new(property.name, property.value)).collect())
}

fn checked_refusal(refusal: Refusal) -> Result<PolicyError, Fault> {
    let text = |text: String| {
        if text.len() > TEXT_BYTES_MAX {
            return Err(Fault::nonsense(format!("a refusal with a text of {} bytes", text.len())));
        }
        Ok(text)
    };
    Ok(match refusal {
        Refusal::UnknownProperty(unknown) => {
            PolicyError::UnknownProperty { name: text(unknown.name)?, known: text(unknown.known)? }
        }
        Refusal::DuplicateProperty(name) => PolicyError::DuplicateProperty { name: text(name)? },
        Refusal::MalformedProperty(malformed) => {
            PolicyError::MalformedProperty { name: text(malformed.name)?, expected: text(malformed.expected)? }
        }
        Refusal::Denied(reason) => PolicyError::Denied { reason: text(reason)? },
    })
}
