//! What each kind of key is worth.

use serde::Deserialize;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The client's own word for where its inputs are.
    pub(crate) locality_hint: Kind,
    /// The target that is being built.
    pub(crate) target: Kind,
    /// The package of the target.
    pub(crate) package: Kind,
    /// The kind of action: for tools that stay warm.
    pub(crate) mnemonic: Kind,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct Kind {
    /// 0: this kind is not used.
    pub(crate) weight: u32,
    /// How long a job waits for such a bot while only others ask for work.
    pub(crate) wait_ms: u32,
}

impl Default for Config {
    fn default() -> Self {
        let kind = |weight| Kind { weight, wait_ms: 0 };
        Self { locality_hint: kind(8), target: kind(4), package: kind(2), mnemonic: kind(0) }
    }
}
