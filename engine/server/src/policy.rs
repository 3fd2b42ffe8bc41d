//! Which policy the server asks: the bundled plugins, or the built-in rule.

use std::{sync::Arc, time::Duration};

use anyhow::Context;
use berth_plugin_host::{
    ChainSpec, Generation, GenerationSpec, Host, Limits, LoadOptions, PluginLimits, PluginPolicy, Plugins,
};
use berth_runtime::{builtin::BuiltinPolicy, policy::Policy};

use crate::config::{Config, PolicyKind};

/// Components that `build.rs` made from `plugins/`.
const CONTAINMENT: &[u8] = include_bytes!(env!("BERTH_CONTAINMENT_WASM"));
const REAPI_PRIORITY: &[u8] = include_bytes!(env!("BERTH_REAPI_PRIORITY_WASM"));

/// The policy, and the same as plugins where it is made of them.
pub(crate) struct Policies {
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) plugins: Option<Arc<PluginPolicy>>,
}

pub(crate) fn start(config: &Config) -> anyhow::Result<Policies> {
    let raw = &config.raw.policy;
    if raw.kind == PolicyKind::BuiltIn {
        return Ok(Policies { policy: Arc::new(BuiltinPolicy), plugins: None });
    }
    let plugin = PluginLimits {
        call_deadline: Duration::from_millis(raw.properties_deadline_ms),
        place_deadline: Duration::from_millis(raw.place_deadline_ms),
        memory_bytes_max: raw.memory_bytes_max,
        ..PluginLimits::default()
    };
    let host = Host::new(Limits { plugin, ..Limits::default() }).context("the host for plugins cannot start")?;
    let mut plugins = Plugins::new();
    for (name, component) in [("containment", CONTAINMENT), ("reapi-priority", REAPI_PRIORITY)] {
        let plugin = host
            .load(name, component, LoadOptions::default())
            .with_context(|| format!("bundled plugin {name} cannot be loaded"))?;
        tracing::info!(plugin = plugin.name(), digest = plugin.digest(), "plugin loaded");
        plugins.insert(name.to_owned(), plugin);
    }
    let chain = ChainSpec {
        properties: Some("containment".to_owned()),
        place: Some("reapi-priority".to_owned()),
        ..ChainSpec::default()
    };
    let first = Generation::build(&GenerationSpec::everywhere(chain), &plugins)?;
    let plugins = Arc::new(PluginPolicy::new(first));
    Ok(Policies { policy: plugins.clone(), plugins: Some(plugins) })
}
