//! From bytes to a plugin: refused early, cheaply, and with the reason.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use wasmtime::component::{Component, InstancePre};

use crate::bindings::{priority, properties};
use crate::host::Host;
use crate::instance::{Blueprint, Identity, State};
use crate::memo::Memo;
use crate::plugin::{Exports, Plugin};
use crate::pool::Pool;

const PACKAGE: &str = "berth:policy/";
/// What a component may import: the interfaces that do something, and the one that only holds their types.
const IMPORTS: [&str; 2] = ["log", "types"];
/// Versions from 0.1.0 on that only add to it are compatible.
const VERSION: &str = "0.1.";
const PROPERTIES: &str = "berth:policy/properties@0.1.0";
const PRIORITY: &str = "berth:policy/priority@0.1.0";

/// Why a component was not loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Larger than the host takes.
    #[error("plugin {plugin} has {bytes} bytes; at most {bytes_max} are accepted")]
    TooLarge {
        /// The plugin's name.
        plugin: String,
        /// Its size.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not a component that this host can run.
    #[error("plugin {plugin} is not a valid WebAssembly component: {details}")]
    Invalid {
        /// The plugin's name.
        plugin: String,
        /// What the validator says.
        details: String,
    },
    /// It imports something that plugins do not get.
    #[error(
        "plugin {plugin} imports {import:?}; a plugin may import berth:policy/log@0.1 and nothing else (a toolchain \
         that needs WASI must bring stubs for it)"
    )]
    ForeignImport {
        /// The plugin's name.
        plugin: String,
        /// The import, as the component names it.
        import: String,
    },
    /// There is nothing to ask it.
    #[error("plugin {plugin} exports neither {} nor {}; it exports: {exports}", PROPERTIES, PRIORITY)]
    NothingToAsk {
        /// The plugin's name.
        plugin: String,
        /// What it does export.
        exports: String,
    },
    /// It has the right names, but other functions or types behind them.
    #[error("plugin {plugin} does not keep to the contract berth:policy@0.1: {details}")]
    Mismatch {
        /// The plugin's name.
        plugin: String,
        /// Where it differs.
        details: String,
    },
    /// The first instance could not be made.
    #[error("plugin {plugin} cannot start: {details}")]
    Start {
        /// The plugin's name.
        plugin: String,
        /// What went wrong.
        details: String,
    },
    /// As many plugins are loaded as there is room for.
    #[error("no room for plugin {plugin}: {plugins_max} plugins are loaded, which is the limit")]
    NoRoom {
        /// The plugin's name.
        plugin: String,
        /// The limit.
        plugins_max: u32,
    },
}

impl Host {
    /// Validates and compiles a component, and makes its first instance. Takes 50 ms and more: not for a thread that
    /// others wait for.
    pub fn load(&self, name: &str, component: &[u8]) -> Result<Arc<Plugin>, LoadError> {
        let limits = &self.shared.limits;
        let plugin = || name.to_owned();
        if component.len() > limits.component_bytes_max {
            let (bytes, bytes_max) = (component.len(), limits.component_bytes_max);
            return Err(LoadError::TooLarge { plugin: plugin(), bytes, bytes_max });
        }
        let Some(room) = self.reserve() else {
            return Err(LoadError::NoRoom { plugin: plugin(), plugins_max: limits.plugins_max });
        };
        // `from_binary`: text is for people, and not what a digest is about.
        let compiled = Component::from_binary(&self.shared.engine, component)
            .map_err(|error| LoadError::Invalid { plugin: plugin(), details: format!("{error:#}") })?;
        if let Some(import) = self.foreign_import(&compiled) {
            return Err(LoadError::ForeignImport { plugin: plugin(), import });
        }
        let exports = Exports {
            properties: compiled.get_export_index(None, PROPERTIES).is_some(),
            priority: compiled.get_export_index(None, PRIORITY).is_some(),
        };
        if !exports.properties && !exports.priority {
            return Err(LoadError::NothingToAsk { plugin: plugin(), exports: self.names_of_exports(&compiled) });
        }
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch { plugin: plugin(), details: format!("{error:#}") };
        let pre = self.shared.linker.instantiate_pre(&compiled).map_err(mismatch)?;
        let identity = Arc::new(Identity { name: plugin(), digest: hex(&Sha256::digest(component)) });
        let blueprint = self.blueprint(Arc::clone(&identity), pre, exports).map_err(mismatch)?;
        let pool = {
            let _clock = self.shared.ticker.run();
            Pool::new(blueprint)
                .map_err(|error| LoadError::Start { plugin: plugin(), details: format!("{error:#}") })?
        };
        Ok(Arc::new(Plugin {
            identity,
            exports,
            host: self.clone(),
            pool,
            memo: Memo::new(limits.memo_entries_max, limits.memo_bytes_max),
            counters: Default::default(),
            _room: room,
        }))
    }

    /// The first import that is not ours.
    fn foreign_import(&self, compiled: &Component) -> Option<String> {
        let known = |import: &str| {
            let interface = import.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('@'));
            interface.is_some_and(|(name, version)| IMPORTS.contains(&name) && version.starts_with(VERSION))
        };
        let component_type = compiled.component_type();
        let mut imports = component_type.imports(&self.shared.engine).map(|(import, _)| import);
        imports.find(|import| !known(import)).map(str::to_owned)
    }

    fn names_of_exports(&self, compiled: &Component) -> String {
        let component_type = compiled.component_type();
        let names: Vec<_> = component_type.exports(&self.shared.engine).map(|(export, _)| export).take(20).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }

    fn blueprint(
        &self,
        identity: Arc<Identity>,
        pre: InstancePre<State>,
        exports: Exports,
    ) -> wasmtime::Result<Blueprint> {
        let properties = exports.properties.then(|| properties::GuestIndices::new(&pre)).transpose()?;
        let priority = exports.priority.then(|| priority::GuestIndices::new(&pre)).transpose()?;
        Ok(Blueprint { identity, limits: self.shared.limits.clone(), pre, properties, priority })
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes what is written to it");
        digits
    })
}
