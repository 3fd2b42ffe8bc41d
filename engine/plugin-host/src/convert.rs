//! What several questions share: texts and properties into the guest's types, answers checked and into ours.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use berth_core::{Property, PropertySet};
use berth_runtime::policy::{PolicyError, hooks};
use sha2::{Digest, Sha256};

use crate::bindings::v1::types::{PropertyParam, PropertyResult, Refusal, Requester};
use crate::fault::Fault;
use crate::instance::cut;

/// What a guest is asked about. More is refused here, so that no client can drive a plugin into its limits.
const ASKED_PROPERTIES_MAX: usize = 1024;
const ASKED_BYTES_MAX: usize = 256 << 10;
/// What the contract says of answers.
pub(crate) const LABEL_BYTES_MAX: usize = 64;
pub(crate) const SET_PROPERTIES_MAX: usize = 1024;
const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const TEXT_BYTES_MAX: usize = 4096;
/// A longer text of a client is cut for the guest.
pub(crate) const ASKED_TEXT_BYTES_MAX: usize = 1024;
/// No wait that a policy may name is longer: sums of instants must not run over.
const WAIT_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// The properties in order, so that the same set is the same question. Most clients send them so.
pub(crate) fn canonical(properties: &[(String, String)]) -> Result<Vec<&(String, String)>, PolicyError> {
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

pub(crate) fn pairs_for_guest<'a>(properties: &[&'a (String, String)]) -> Vec<PropertyParam<'a>> {
    properties.iter().map(|(name, value)| PropertyParam { name, value }).collect()
}

pub(crate) fn set_for_guest(properties: &PropertySet) -> Vec<PropertyParam<'_>> {
    properties.iter().map(|property| PropertyParam { name: &property.name, value: &property.value }).collect()
}

/// As many texts as fit, so that no client can drive a plugin into its limits.
pub(crate) fn texts_for_guest<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut left = ASKED_BYTES_MAX;
    let fits = |text: &&str| {
        // The place that each takes in the guest counts too.
        let fits = left.checked_sub(text.len() + 16);
        left = fits.unwrap_or(0);
        fits.is_some()
    };
    texts.take_while(fits).collect()
}

pub(crate) fn requester_for_guest<'a>(requester: &hooks::Requester<'a>) -> Requester<'a> {
    let text = |text: &'a str| cut(text, ASKED_TEXT_BYTES_MAX);
    Requester {
        instance: text(requester.instance),
        tenant: text(requester.tenant),
        invocation: text(requester.invocation),
        correlated_invocations: text(requester.correlated_invocations),
        tool: text(requester.tool),
        mnemonic: text(requester.mnemonic),
        target: text(requester.target),
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A text of a client as a name that the engine keeps: what is too long is cut, and stays distinct.
pub(crate) fn short_name(text: &str, bytes_max: usize) -> Cow<'_, str> {
    const TAIL_BYTES: usize = 17;
    if text.len() <= bytes_max {
        return Cow::Borrowed(text);
    }
    let mut name = cut(text, bytes_max - TAIL_BYTES).to_owned();
    name.push('~');
    for byte in &Sha256::digest(text.as_bytes())[..8] {
        write!(name, "{byte:02x}").expect("a string takes what is written to it");
    }
    Cow::Owned(name)
}

pub(crate) fn checked_label(label: String) -> Result<Arc<str>, Fault> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if label.is_empty() || label.len() > LABEL_BYTES_MAX || !label.bytes().all(allowed) {
        return Err(Fault::nonsense(format!(
            "label {:?}; 1 to {LABEL_BYTES_MAX} of [a-zA-Z0-9_.-] are allowed",
            cut(&label, 100)
        )));
    }
    Ok(label.into())
}

pub(crate) fn checked_properties(properties: &[PropertyResult]) -> Result<(), Fault> {
    if properties.len() > SET_PROPERTIES_MAX {
        let count = properties.len();
        return Err(Fault::nonsense(format!("{count} properties in a set; at most {SET_PROPERTIES_MAX} are allowed")));
    }
    for PropertyResult { name, value } in properties {
        let fits = !name.is_empty() && name.len() <= NAME_BYTES_MAX && value.len() <= VALUE_BYTES_MAX;
        if !fits || name.contains(char::is_control) || value.contains(char::is_control) {
            let (name, value) = (cut(name, 100), cut(value, 100));
            return Err(Fault::nonsense(format!("property {name:?} = {value:?} in a set")));
        }
    }
    Ok(())
}

pub(crate) fn checked_set(properties: Vec<PropertyResult>) -> Result<PropertySet, Fault> {
    checked_properties(&properties)?;
    Ok(properties.into_iter().map(|property| Property::new(property.name, property.value)).collect())
}

pub(crate) fn checked_text(what: &str, text: String, bytes_max: usize) -> Result<String, Fault> {
    if text.len() > bytes_max {
        return Err(Fault::nonsense(format!("{what} has {} bytes; at most {bytes_max} are allowed", text.len())));
    }
    Ok(text)
}

/// A wait in milliseconds, at least `least`.
pub(crate) fn checked_wait(what: &str, ms: u64, least: u64) -> Result<Duration, Fault> {
    let wait = Duration::from_millis(ms);
    if ms < least || wait > WAIT_MAX {
        let most = WAIT_MAX.as_millis();
        return Err(Fault::nonsense(format!("{what} is {ms} ms; {least} to {most} are allowed")));
    }
    Ok(wait)
}

pub(crate) fn checked_refusal(refusal: Refusal) -> Result<PolicyError, Fault> {
    let text = |text: String| checked_text("the text of a refusal", text, TEXT_BYTES_MAX);
    Ok(match refusal {
        Refusal::UnknownProperty(unknown) => {
            PolicyError::UnknownProperty { name: text(unknown.name)?, known: text(unknown.known)? }
        }
        Refusal::DuplicateProperty(name) => PolicyError::DuplicateProperty { name: text(name)? },
        Refusal::MalformedProperty(malformed) => {
            PolicyError::MalformedProperty { name: text(malformed.name)?, expected: text(malformed.expected)? }
        }
        Refusal::FailedPrecondition(reason) => PolicyError::FailedPrecondition { reason: text(reason)? },
        Refusal::Denied(reason) => PolicyError::Denied { reason: text(reason)? },
        Refusal::Exhausted(exhausted) => {
            let wait = checked_wait("the wait of a refusal", exhausted.retry_after_ms, 0)?;
            PolicyError::Exhausted { reason: text(exhausted.reason)?, retry_after: (!wait.is_zero()).then_some(wait) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_and_stays_distinct() {
        assert_eq!(short_name("build", 256), "build");
        let (one, other) = ("ü".repeat(200), format!("{}x", "ü".repeat(200)));
        let (short_one, short_other) = (short_name(&one, 256), short_name(&other, 256));
        assert!(short_one.len() <= 256 && short_other.len() <= 256);
        assert_ne!(short_one, short_other);
        assert_eq!(short_one, short_name(&one, 256));
    }

    #[test]
    fn only_so_much_of_a_command_line_is_shown_to_a_guest() {
        let long = "x".repeat(1000);
        let shown = texts_for_guest(std::iter::repeat_n(&*long, 10_000));
        assert_eq!(shown.len(), ASKED_BYTES_MAX / 1016);
        assert_eq!(texts_for_guest(["a", "b"].into_iter()), ["a", "b"]);
    }

    #[test]
    fn waits_have_bounds() {
        assert_eq!(checked_wait("x", 1000, 1000).unwrap(), Duration::from_secs(1));
        assert!(checked_wait("x", 999, 1000).is_err() && checked_wait("x", u64::MAX, 0).is_err());
    }
}
