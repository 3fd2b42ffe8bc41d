//! What an operator says of one plugin: its configuration, what it may import and use, and what happens where it fails.

use std::collections::HashMap;

use berth_plugin_host::{Grant, OnFault};
use berth_proto::admin as pb;
use serde::{Deserialize, Serialize};

/// Settings of a plugin, the same in the configuration file (`[plugins.NAME]`), in the store and in the API.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The plugin's own configuration, checked against its schema when it is loaded.
    pub(crate) config: serde_json::Map<String, serde_json::Value>,
    /// What it may import; empty: everything for a policy that comes with Berth, log and config for any other.
    pub(crate) grants: Vec<String>,
    /// What it may use.
    pub(crate) limits: Limits,
    /// What happens where it fails, by kind of question.
    pub(crate) on_fault: OnFault,
}

/// What a plugin may use; absent: the default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Limits {
    /// For every call but `place` and `choose`, whose deadlines the contract fixes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) deadline_ms: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) memory_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) table_elements: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instances: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) kv_bytes: Option<u64>,
    /// Faults within `fault_window_s` that quarantine the version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) faults: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fault_window_s: Option<u32>,
}

impl Settings {
    /// The configuration as the plugin reads it.
    pub(crate) fn config_json(&self) -> String {
        serde_json::to_string(&self.config).expect("a map of JSON values is JSON")
    }

    /// Everything that is wrong, each with what would be accepted.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let known = Grant::ALL.map(Grant::name);
        for grant in self.grants.iter().filter(|grant| !known.contains(&grant.as_str())) {
            problems.push(format!("grants: {grant:?} is not known; known are: {}", known.join(", ")));
        }
        let limits = &self.limits;
        let mut range = |key: &str, value: Option<u64>, least: u64, most: u64| {
            if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                problems.push(format!("limits.{key} = {value}; expected a whole number from {least} to {most}"));
            }
        };
        range("deadline_ms", limits.deadline_ms.map(u64::from), 1, 10_000);
        range("memory_bytes", limits.memory_bytes, 1 << 16, 4 << 30);
        range("table_elements", limits.table_elements.map(u64::from), 1, 1_000_000);
        range("output_bytes", limits.output_bytes, 1 << 10, 64 << 20);
        range("instances", limits.instances.map(u64::from), 1, 64);
        range("kv_bytes", limits.kv_bytes, 0, 1 << 30);
        range("faults", limits.faults.map(u64::from), 1, 1_000_000);
        range("fault_window_s", limits.fault_window_s.map(u64::from), 1, 86_400);
        problems
    }

    /// From the API. Says what is wrong with the text of the configuration.
    pub(crate) fn from_pb(settings: &pb::PluginSettings) -> Result<Self, String> {
        let config = match settings.config_json.trim() {
            "" => serde_json::Map::new(),
            text => {
                serde_json::from_str(text).map_err(|error| format!("config_json: expected a JSON object: {error}"))?
            }
        };
        let limits = settings.limits.unwrap_or_default();
        let set32 = |value: u32| (value > 0).then_some(value);
        let set64 = |value: u64| (value > 0).then_some(value);
        let window = limits.fault_window.map(|window| u32::try_from(window.seconds).unwrap_or(u32::MAX));
        Ok(Self {
            config,
            grants: settings.grants.clone(),
            limits: Limits {
                deadline_ms: set32(limits.deadline_ms),
                memory_bytes: set64(limits.memory_bytes),
                table_elements: set32(limits.table_elements),
                output_bytes: set64(limits.output_bytes),
                instances: set32(limits.instances),
                kv_bytes: set64(limits.kv_bytes),
                faults: set32(limits.faults),
                fault_window_s: window,
            },
            on_fault: on_fault_from(&settings.on_fault)?,
        })
    }

    /// For the API.
    pub(crate) fn limits_pb(&self) -> pb::PluginLimits {
        let limits = &self.limits;
        pb::PluginLimits {
            deadline_ms: limits.deadline_ms.unwrap_or(0),
            memory_bytes: limits.memory_bytes.unwrap_or(0),
            table_elements: limits.table_elements.unwrap_or(0),
            output_bytes: limits.output_bytes.unwrap_or(0),
            instances: limits.instances.unwrap_or(0),
            kv_bytes: limits.kv_bytes.unwrap_or(0),
            faults: limits.faults.unwrap_or(0),
            fault_window: limits
                .fault_window_s
                .map(|seconds| prost_types::Duration { seconds: i64::from(seconds), nanos: 0 }),
        }
    }
}

/// The words of the API are those of the file.
fn on_fault_from(words: &HashMap<String, String>) -> Result<OnFault, String> {
    let words = serde_json::to_value(words).expect("texts are JSON");
    serde_json::from_value(words).map_err(|error| format!("on_fault: {error}"))
}

/// For the API.
pub(crate) fn on_fault_pb(on_fault: &OnFault) -> HashMap<String, String> {
    let words = serde_json::to_value(on_fault).expect("words are JSON");
    serde_json::from_value(words).expect("each is a text")
}

/// A plugin's name is part of keys and of metric labels.
pub(crate) fn is_plugin_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

/// What a plugin's name may be.
pub(crate) const NAME_EXPECTED: &str = "expected 1 to 64 of the characters a-z 0-9 - _";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_named_with_what_would_be_accepted() {
        let text = r#"
            grants = ["log", "network"]
            limits = { memory_bytes = 1 }
        "#;
        let problems = toml::from_str::<Settings>(text).unwrap().problems().join("\n");
        assert!(problems.contains("\"network\" is not known; known are: log, config"), "{problems}");
        assert!(problems.contains("limits.memory_bytes = 1; expected a whole number from 65536"), "{problems}");
        let error = toml::from_str::<Settings>("on_fault = { events = \"explode\" }").unwrap_err().to_string();
        assert!(error.contains("explode") && error.contains("`stop`"), "{error}");
    }

    #[test]
    fn defaults_are_fine() {
        let settings = Settings::default();
        assert!(settings.problems().is_empty());
        assert_eq!(settings.config_json(), "{}");
    }
}
