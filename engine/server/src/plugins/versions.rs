//! What a version is, and what the host is told of it.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use berth_plugin_host::{Grant, Grants, Host, LoadOptions, Plugin};

use super::{settings::Settings, source::digest_of};

/// A component with other settings is another version: its digest, and some digits of the settings' where there are any.
pub(crate) fn version_id(digest: &str, settings: &Settings) -> String {
    if *settings == Settings::default() {
        return digest.to_owned();
    }
    let text = serde_json::to_vec(settings).expect("settings are JSON");
    format!("{digest}+{}", &digest_of(&text)[..8])
}

/// The component's part of a version's digest.
pub(crate) fn component_of(version: &str) -> &str {
    version.split_once('+').map_or(version, |(digest, _)| digest)
}

/// As many digits of a version as people need to tell it from others: of its component, and of its settings.
pub(crate) fn short(digest: &str) -> Cow<'_, str> {
    let first = |digits: &str, most: usize| digits[..digits.len().min(most)].to_owned();
    match digest.split_once('+') {
        Some((component, settings)) => Cow::Owned(format!("{}+{}", first(component, 12), first(settings, 4))),
        None => Cow::Borrowed(&digest[..digest.len().min(12)]),
    }
}

/// What a version may import: what the operator said; else everything for a policy that comes with Berth, and log and
/// config for any other.
pub(crate) fn grants_of(settings: &Settings, bundled: bool) -> Grants {
    match (settings.grants.as_slice(), bundled) {
        ([], true) => Grants::ALL,
        ([], false) => Grants::default(),
        (named, _) => named.iter().filter_map(|grant| grant.parse::<Grant>().ok()).collect(),
    }
}

/// What the operator set, for the host.
pub(crate) fn load_options(host: &Host, settings: &Settings, bundled: bool) -> LoadOptions {
    let mut limits = host.limits().plugin.clone();
    let own = &settings.limits;
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Some(millis) = own.deadline_ms {
        limits.call_deadline = Duration::from_millis(millis.into());
    }
    if let Some(bytes) = own.memory_bytes {
        limits.memory_bytes_max = size(bytes);
    }
    if let Some(elements) = own.table_elements {
        limits.table_elements_max = size(elements.into());
    }
    if let Some(bytes) = own.output_bytes {
        limits.output_bytes_max = size(bytes);
    }
    if let Some(instances) = own.instances {
        limits.instances_max = instances;
    }
    if let Some(bytes) = own.kv_bytes {
        limits.kv.bytes_max = size(bytes);
    }
    if let Some(faults) = own.faults {
        limits.faults_max = faults;
    }
    if let Some(seconds) = own.fault_window_s {
        limits.fault_window = Duration::from_secs(seconds.into());
    }
    LoadOptions {
        grants: grants_of(settings, bundled),
        config: Some(settings.config_json()),
        limits: Some(limits),
        on_fault: settings.on_fault,
        table: None,
    }
}

/// The interfaces that a plugin exports, as the contract calls them.
pub(crate) fn exports_of(plugin: &Plugin) -> Vec<String> {
    plugin.exports().iter().map(|interface| interface.name().to_owned()).collect()
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_settings_make_another_version_of_the_same_component() {
        let plain = version_id("abcd", &Settings::default());
        let other = Settings { grants: vec!["kv".to_owned()], ..Settings::default() };
        let other = version_id("abcd", &other);
        assert_eq!(plain, "abcd");
        assert!(other.starts_with("abcd+") && other.len() == 13, "{other}");
        assert_eq!(component_of(&other), "abcd");
        assert_eq!(short(&other), other[..9]);
        assert_eq!(short(&"0123456789abcdef".repeat(4)), "0123456789ab");
    }

    #[test]
    fn what_comes_with_berth_may_import_what_it_needs_unless_the_operator_says_otherwise() {
        let none = Settings::default();
        assert_eq!(grants_of(&none, true), Grants::ALL);
        assert_eq!(grants_of(&none, false).to_string(), "log, config");
        let some = Settings { grants: vec!["log".to_owned()], ..Settings::default() };
        assert_eq!(grants_of(&some, true).to_string(), "log");
    }
}
