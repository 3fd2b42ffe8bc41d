//! The built-in rule: containment matching, REAPI's priority, then age. The safety net when a plugin fails, and the
//! yardstick for what Wasm costs.
//!
//! The bundled plugins (`plugins/containment`, `plugins/reapi-priority`) say the same; a test in `berth-plugin-host`
//! holds the two equal. Not a place for new rules: those are plugins.

use std::sync::Arc;

use berth_core::{LaneKey, Property};

use crate::policy::{
    ExecutionProperties, ExecutionQuestion, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
    WorkerQuestion,
};

const PROPERTIES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const ALL_BYTES_MAX: usize = 65_536;
const LABEL_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 64;
/// As much of a bad name as a message repeats.
const SHOWN_CHARS: usize = 80;

/// Answers every question by the built-in rule. Remembers nothing: its answers cost less than looking them up.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltinPolicy;

impl Policy for BuiltinPolicy {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        let sorted = checked(question.platform)?;
        let label = labels(&sorted).swap_remove(0);
        let requirements = sorted.into_iter().map(property).collect();
        Ok(Arc::new(ExecutionProperties { label, requirements, preferred: None }))
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        let sorted = checked(question.properties)?;
        let labels = labels(&sorted);
        Ok(WorkerProperties { labels, capabilities: vec![sorted.into_iter().map(property).collect()], score: 0 })
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let lane = LaneKey::default();
        let place = |question: &PlaceQuestion<'_>| Placement {
            lane: lane.clone(),
            rank: i64::from(question.priority),
            ..Placement::default()
        };
        questions.iter().map(place).collect()
    }
}

/// The properties in order, if a bot could sensibly offer them.
fn checked(properties: &[(String, String)]) -> Result<Vec<&(String, String)>, PolicyError> {
    let mut sorted: Vec<_> = properties.iter().collect();
    sorted.sort();
    if let Some((first_too_many, _)) = sorted.get(PROPERTIES_MAX) {
        return Err(malformed(first_too_many, "at most 256 properties"));
    }
    if sorted.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > ALL_BYTES_MAX {
        return Err(malformed("", "properties of at most 65536 bytes together"));
    }
    for (name, value) in &sorted {
        let expected = if name.is_empty() || name.len() > NAME_BYTES_MAX {
            "a name of 1 to 1024 bytes"
        } else if name.contains(char::is_control) {
            "a name without control characters"
        } else if value.len() > VALUE_BYTES_MAX {
            "a value of at most 4096 bytes"
        } else if value.contains(char::is_control) {
            "a value without control characters"
        } else {
            continue;
        };
        return Err(malformed(name, expected));
    }
    Ok(sorted)
}

fn malformed(name: &str, expected: &str) -> PolicyError {
    PolicyError::MalformedProperty { name: name.chars().take(SHOWN_CHARS).collect(), expected: expected.to_owned() }
}

fn property((name, value): &(String, String)) -> Property {
    Property::new(name.as_str(), value.as_str())
}

/// The families of operating systems among these properties; one label at least.
fn labels(sorted: &[&(String, String)]) -> Vec<Arc<str>> {
    let families = sorted.iter().filter(|(name, value)| name == "OSFamily" && !value.is_empty());
    let mut labels: Vec<Arc<str>> = families.map(|(_, value)| label(value)).collect();
    labels.dedup();
    labels.truncate(LABELS_MAX);
    if labels.is_empty() {
        labels.push("unknown".into());
    }
    labels
}

/// A value as a word for metrics.
fn label(value: &str) -> Arc<str> {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    let letters = value.chars().map(|letter| if allowed(letter) { letter } else { '_' });
    letters.take(LABEL_BYTES_MAX).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    fn ask(platform: &[(String, String)]) -> Result<Arc<ExecutionProperties>, PolicyError> {
        BuiltinPolicy.execution_properties(&ExecutionQuestion { instance: "", platform })
    }

    #[test]
    fn every_property_is_required_and_the_label_is_the_family_of_the_operating_system() {
        let answer = ask(&pairs(&[("pool", "big"), ("OSFamily", "li nux"), ("pool", "big")])).unwrap();
        assert_eq!(answer.requirements.to_string(), "OSFamily=li nux, pool=big");
        assert_eq!(&*answer.label, "li_nux");
        assert_eq!(&*ask(&[]).unwrap().label, "unknown");
    }

    #[test]
    fn malformed_properties_are_refused_with_what_would_be_accepted() {
        let (long_name, long_value) = ("n".repeat(1025), "v".repeat(4097));
        for (name, value) in [("", "x"), (&long_name, "x"), ("a\n", "x"), ("a", &long_value), ("a", "\u{7f}")] {
            let refused = ask(&pairs(&[("good", "1"), (name, value)]));
            assert!(matches!(refused, Err(PolicyError::MalformedProperty { .. })), "{name:?}={value:?}");
        }
        let refused = ask(&vec![("a".to_owned(), "b".to_owned()); 257]).unwrap_err();
        assert!(refused.to_string().contains("at most 256 properties"));
        let refused = ask(&vec![("a".to_owned(), "b".repeat(4096)); 16]).unwrap_err();
        assert!(refused.to_string().contains("65536 bytes"));
    }

    #[test]
    fn a_bot_offers_all_its_properties_as_one_set() {
        let properties = pairs(&[("OSFamily", "linux"), ("OSFamily", "bsd"), ("ISA", "x86-64")]);
        let question = WorkerQuestion { instance: "", bot_id: "bot", properties: &properties };
        let answer = BuiltinPolicy.worker_properties(&question).unwrap();
        assert_eq!(answer.labels.iter().map(|label| &**label).collect::<Vec<_>>(), ["bsd", "linux"]);
        assert_eq!(answer.capabilities.len(), 1);
        assert_eq!(answer.capabilities[0].len(), 3);
    }
}
