//! The policies inside this binary, which `build.rs` makes from `plugins/`.

use std::sync::LazyLock;

use super::source::digest_of;

/// A policy that comes with Berth.
pub(crate) struct Bundled {
    pub(crate) name: &'static str,
    pub(crate) component: &'static [u8],
    pub(crate) digest: String,
}

static BUNDLED: LazyLock<Vec<Bundled>> = LazyLock::new(|| {
    let table: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/bundled.rs"));
    let bundled =
        |(name, component): &(&'static str, &'static [u8])| Bundled { name, component, digest: digest_of(component) };
    table.iter().map(bundled).collect()
});

/// All of them.
pub(crate) fn all() -> &'static [Bundled] {
    &BUNDLED
}

/// The one of this name.
pub(crate) fn find(name: &str) -> Option<&'static Bundled> {
    BUNDLED.iter().find(|bundled| bundled.name == name)
}

/// The component with this digest, if it is one of them.
pub(crate) fn component(digest: &str) -> Option<&'static [u8]> {
    BUNDLED.iter().find(|bundled| bundled.digest == digest).map(|bundled| bundled.component)
}

/// Whether this is one of them, under its own name: then it comes with every binary, and is not stored.
pub(crate) fn is_own(name: &str, digest: &str) -> bool {
    find(name).is_some_and(|own| own.digest == digest)
}

/// Their names, for messages.
pub(crate) fn names() -> String {
    BUNDLED.iter().map(|own| own.name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use berth_guest::BUNDLED;
    use berth_plugin_host::{HostOptions, Limits};

    use super::*;
    use crate::plugins::{examples, settings::Settings};

    /// Natively they are run in `plugins/`; what is shipped is the component.
    #[test]
    fn each_policy_answers_as_its_cases_say_as_a_component_too() {
        assert_eq!(all().iter().map(|own| own.name).collect::<Vec<_>>(), BUNDLED);
        let compiled = tempfile::tempdir().unwrap();
        for own in all() {
            let cases = format!("{}/../../plugins/{}/cases.toml", env!("CARGO_MANIFEST_DIR"), own.name);
            let cases = std::fs::read_to_string(cases).unwrap();
            let limits = Limits { plugins_max: 2, ..Limits::default() };
            let folder = Some(compiled.path().to_owned());
            let options = HostOptions { limits, compiled: folder, ..HostOptions::default() };
            let report = examples::run(options, own.name, own.component, &Settings::default(), &cases).unwrap();
            assert!(report.run > 2 && report.failures.is_empty(), "{}: {:?}", own.name, report.failures);
        }
    }
}
