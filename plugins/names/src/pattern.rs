//! Patterns over names, as an operator writes them: `*` stands for any text, everything else for itself.

use serde::Deserialize;

/// A pattern such as `ci-*`.
///
/// ```
/// use berth_policy_names::Pattern;
///
/// let pattern = Pattern::from("ci-*-nightly");
/// assert!(pattern.matches("ci-linux-nightly"));
/// assert!(!pattern.matches("ci-linux"));
/// ```
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(from = "String")]
pub struct Pattern(String);

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// Any name.
impl Default for Pattern {
    fn default() -> Self {
        Self("*".to_owned())
    }
}

impl Pattern {
    /// Whether the whole name is of this kind. Linear in the name, whatever the pattern: greedy parts are enough,
    /// since a star that took less than it could never helps a later one.
    pub fn matches(&self, name: &str) -> bool {
        let Some((first, rest)) = self.0.split_once('*') else { return self.0 == name };
        let Some(mut name) = name.strip_prefix(first) else { return false };
        let mut parts: Vec<&str> = rest.split('*').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            let Some(at) = name.find(part) else { return false };
            name = &name[at + part.len()..];
        }
        name.ends_with(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text_and_everything_else_for_itself() {
        let matches = |pattern: &str, name: &str| Pattern::from(pattern).matches(name);
        assert!(matches("", "") && !matches("", "a"));
        assert!(matches("*", "") && matches("*", "größe"));
        assert!(matches("a", "a") && !matches("a", "ab") && !matches("a", "b"));
        assert!(matches("a*", "a") && matches("a*", "abc") && !matches("a*", "ba"));
        assert!(matches("*a", "a") && matches("*a", "bca") && !matches("*a", "ab"));
        assert!(matches("a*b*c", "abc") && matches("a*b*c", "a-b-b-c") && !matches("a*b*c", "acb"));
        assert!(!matches("ab*ba", "aba"), "a letter is not used twice");
        assert!(matches("a**b", "ab") && matches("**", ""));
        assert!(matches("*aa", "aaa"));
    }
}
