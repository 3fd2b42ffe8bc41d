//! What is refused, and how a label is made. Without the host, so that it is tested natively.

use berth_policy_sdk::{Property, Refusal};

const PROPERTIES_MAX: usize = 256;
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const ALL_BYTES_MAX: usize = 65_536;
const LABEL_BYTES_MAX: usize = 64;
const LABELS_MAX: usize = 64;
/// As much of a bad name as a message repeats.
const SHOWN_CHARS: usize = 80;

/// Refuses properties that no bot could sensibly offer.
pub(crate) fn check(properties: &[Property]) -> Result<(), Refusal> {
    if let Some(first_too_many) = properties.get(PROPERTIES_MAX) {
        return Err(malformed(&first_too_many.name, "at most 256 properties"));
    }
    if properties.iter().map(|property| property.name.len() + property.value.len()).sum::<usize>() > ALL_BYTES_MAX {
        return Err(malformed("", "properties of at most 65536 bytes together"));
    }
    properties.iter().try_for_each(check_one)
}

fn check_one(property: &Property) -> Result<(), Refusal> {
    let Property { name, value } = property;
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        Err(malformed(name, "a name of 1 to 1024 bytes"))
    } else if name.contains(char::is_control) {
        Err(malformed(name, "a name without control characters"))
    } else if value.len() > VALUE_BYTES_MAX {
        Err(malformed(name, "a value of at most 4096 bytes"))
    } else if value.contains(char::is_control) {
        Err(malformed(name, "a value without control characters"))
    } else {
        Ok(())
    }
}

fn malformed(name: &str, expected: &str) -> Refusal {
    let name: String = name.chars().take(SHOWN_CHARS).collect();
    Refusal::malformed_property(name, expected)
}

/// The families of operating systems among these properties, which are sorted; one label at least.
pub(crate) fn labels(properties: &[Property]) -> Vec<String> {
    let families = properties.iter().filter(|property| property.name == "OSFamily" && !property.value.is_empty());
    let mut labels: Vec<String> = families.map(|family| label(&family.value)).collect();
    labels.dedup();
    labels.truncate(LABELS_MAX);
    if labels.is_empty() {
        labels.push("unknown".to_owned());
    }
    labels
}

/// A value as a word for metrics.
fn label(value: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    value.chars().map(|letter| if allowed(letter) { letter } else { '_' }).take(LABEL_BYTES_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn property(name: &str, value: &str) -> Property {
        Property::new(name, value)
    }

    fn expected(properties: &[Property]) -> Option<String> {
        match check(properties) {
            Err(Refusal::MalformedProperty(malformed)) => Some(malformed.expected),
            _ => None,
        }
    }

    #[test]
    fn ordinary_properties_are_accepted_empty_values_too() {
        assert_eq!(expected(&[]), None);
        assert_eq!(expected(&[property("OSFamily", "linux"), property("pool", ""), property("größe", "ü x")]), None);
        assert_eq!(expected(&[property(&"n".repeat(1024), &"v".repeat(4096))]), None);
        assert_eq!(expected(&vec![property("a", "b"); 256]), None);
    }

    #[test]
    fn malformed_properties_are_refused_with_what_would_be_accepted() {
        let refused = |name: &str, value: &str| expected(&[property("good", "1"), property(name, value)]);
        assert_eq!(refused("", "x").as_deref(), Some("a name of 1 to 1024 bytes"));
        assert_eq!(refused(&"n".repeat(1025), "x").as_deref(), Some("a name of 1 to 1024 bytes"));
        assert_eq!(refused("a\n", "x").as_deref(), Some("a name without control characters"));
        assert_eq!(refused("a", &"v".repeat(4097)).as_deref(), Some("a value of at most 4096 bytes"));
        assert_eq!(refused("a", "\u{7f}").as_deref(), Some("a value without control characters"));
        assert_eq!(expected(&vec![property("a", "b"); 257]).as_deref(), Some("at most 256 properties"));
        let large = vec![property("a", &"b".repeat(4096)); 16];
        assert_eq!(expected(&large).as_deref(), Some("properties of at most 65536 bytes together"));
    }

    #[test]
    fn the_label_is_the_family_of_the_operating_system_made_fit_for_metrics() {
        assert_eq!(labels(&[property("ISA", "x86-64")]), ["unknown"]);
        assert_eq!(labels(&[property("OSFamily", "")]), ["unknown"]);
        assert_eq!(labels(&[property("OSFamily", "linux"), property("OSFamily", "mac os")]), ["linux", "mac_os"]);
        assert_eq!(label(&"ü".repeat(100)), "_".repeat(64));
    }
}
