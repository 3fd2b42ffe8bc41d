//! What the contract takes of a property and of a label, and how a name is shown that it does not take.

const NAME_BYTES_MAX: usize = 1024;
const VALUE_BYTES_MAX: usize = 4096;
const WORD_BYTES_MAX: usize = 64;
const SHOWN_CHARS: usize = 80;

/// What would be accepted instead of a property that an answer cannot have; `None`: this one is fine.
///
/// ```
/// use berth_policy_names::unfit;
///
/// assert_eq!(unfit("OSFamily", "linux"), None);
/// assert_eq!(unfit("", "linux"), Some("a name of 1 to 1024 bytes"));
/// ```
pub fn unfit(name: &str, value: &str) -> Option<&'static str> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        Some("a name of 1 to 1024 bytes")
    } else if value.len() > VALUE_BYTES_MAX {
        Some("a value of at most 4096 bytes")
    } else if name.contains(char::is_control) || value.contains(char::is_control) {
        Some("no control characters")
    } else {
        None
    }
}

/// As much of a name as a message repeats.
pub fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS).collect()
}

/// A text as a word for metrics, which is what a label is; empty if the text is.
///
/// ```
/// use berth_policy_names::word;
///
/// assert_eq!(word("mac os"), "mac_os");
/// ```
pub fn word(text: &str) -> String {
    let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-');
    text.chars().map(|letter| if allowed(letter) { letter } else { '_' }).take(WORD_BYTES_MAX).collect()
}
