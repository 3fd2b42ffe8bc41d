//! From bytes to a plugin: refused early, cheaply, and with the reason.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use crate::about::{self, About};
use crate::config::{self, ConfigError};
use crate::context::{Context, Identity};
use crate::exports::{Contract, Exports, Indices};
use crate::grants::{Grant, Grants};
use crate::host::Host;
use crate::instance::Blueprint;
use crate::limits::PluginLimits;
use crate::memo::Memo;
use crate::on_fault::OnFault;
use crate::plugin::Plugin;
use crate::pool::Pool;

const PACKAGE: &str = "berth:policy/";

/// What the operator says of a plugin that is to be loaded.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// What it may import.
    pub grants: Grants,
    /// Its configuration: a JSON object. `None`: an empty one.
    pub config: Option<String>,
    /// Its limits. `None`: those of the host.
    pub limits: Option<PluginLimits>,
    /// What is answered where it cannot.
    pub on_fault: OnFault,
    /// Under which name its table is kept. `None`: its own. A version that is only observed has another, so that it
    /// does not write into the table of the one in force.
    pub table: Option<String>,
}

/// `log` and `config`, no configuration, the host's limits.
impl Default for LoadOptions {
    fn default() -> Self {
        Self { grants: Grants::default(), config: None, limits: None, on_fault: OnFault::default(), table: None }
    }
}

/// What loading a plugin took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadCost {
    /// All of it.
    pub total: Duration,
    /// Compiling, or reading what was compiled before.
    pub compile: Duration,
    /// Whether the compiled code was there already.
    pub cached: bool,
    /// Size of the component.
    pub bytes: usize,
}

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
    /// It was given a limit that the host cannot keep.
    #[error("plugin {plugin} cannot have {limit} = {wanted}; at most {allowed} are possible")]
    BeyondHost {
        /// The plugin's name.
        plugin: String,
        /// Which limit.
        limit: &'static str,
        /// What was asked for.
        wanted: usize,
        /// The most that there can be.
        allowed: usize,
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
        "plugin {plugin} imports {import:?}; a plugin may import log, config, clock, kv, stats and metrics of \
         berth:policy@1, or log of berth:policy@0.1, and nothing else (a toolchain that needs WASI must bring stubs \
         for it)"
    )]
    ForeignImport {
        /// The plugin's name.
        plugin: String,
        /// The import, as the component names it.
        import: String,
    },
    /// It imports something that it was not granted.
    #[error("plugin {plugin} imports {import:?}, which needs the grant {grant}; it was granted: {granted}")]
    NotGranted {
        /// The plugin's name.
        plugin: String,
        /// The import, as the component names it.
        import: String,
        /// What would have to be granted.
        grant: Grant,
        /// What was.
        granted: Grants,
    },
    /// There is nothing to ask it.
    #[error(
        "plugin {plugin} exports no interface of berth:policy@1.0.0 or berth:policy@0.1.0 that can be asked; it \
         exports: {exports}"
    )]
    NothingToAsk {
        /// The plugin's name.
        plugin: String,
        /// What it does export.
        exports: String,
    },
    /// It has the right names, but other functions or types behind them.
    #[error("plugin {plugin} does not keep to the contract berth:policy@{version}: {details}")]
    Mismatch {
        /// The plugin's name.
        plugin: String,
        /// The version of the contract.
        version: &'static str,
        /// Where it differs.
        details: String,
    },
    /// The first instance could not be made, or could not say what it is.
    #[error("plugin {plugin} cannot start: {details}")]
    Start {
        /// The plugin's name.
        plugin: String,
        /// What went wrong.
        details: String,
    },
    /// Its configuration is wrong.
    #[error("plugin {plugin}: {error}")]
    Config {
        /// The plugin's name.
        plugin: String,
        /// What is wrong.
        error: ConfigError,
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
    /// Validates and compiles a component, checks its configuration, and makes its first instance. Takes 50 ms and
    /// more: not for a thread that others wait for.
    pub fn load(&self, name: &str, component: &[u8], options: LoadOptions) -> Result<Arc<Plugin>, LoadError> {
        let started = Instant::now();
        let plugin = || name.to_owned();
        let limits = options.limits.clone().unwrap_or_else(|| self.shared.limits.plugin.clone());
        self.check_sizes(name, component.len(), &limits)?;
        let Some(room) = self.reserve() else {
            return Err(LoadError::NoRoom { plugin: plugin(), plugins_max: self.shared.limits.plugins_max });
        };
        let digest = hex(&Sha256::digest(component));
        let compiling = Instant::now();
        let (compiled, cached) = self.compile(name, &digest, component)?;
        let compile = compiling.elapsed();
        let imports = self.checked_imports(name, &compiled, options.grants)?;
        let exports = Exports::probe(|export| compiled.get_export_index(None, export).is_some());
        let Some(exports) = exports else {
            return Err(LoadError::NothingToAsk { plugin: plugin(), exports: self.names_of_exports(&compiled) });
        };
        let mismatch = |error: wasmtime::Error| LoadError::Mismatch {
            plugin: plugin(),
            version: exports.contract.version(),
            details: format!("{error:#}"),
        };
        let pre = self.shared.linker.instantiate_pre(&compiled).map_err(mismatch)?;
        let indices = Indices::find(&pre, exports).map_err(mismatch)?;
        let context = |config: String| {
            Arc::new(Context {
                identity: Identity { name: plugin(), digest: digest.clone() },
                table: options.table.clone().unwrap_or_else(plugin),
                limits: limits.clone(),
                services: self.shared.services.clone(),
                config,
                figures: Default::default(),
                lines: Default::default(),
            })
        };
        let start = |details: String| LoadError::Start { plugin: plugin(), details };
        let _clock = self.shared.ticker.run();
        // An instance of its own says what the configuration must be, before any instance has it.
        let mut blueprint = Blueprint { context: context("{}".to_owned()), pre, indices };
        let About { schema, examples } = about::ask(&blueprint, exports).map_err(start)?;
        let config = config::checked(schema.as_deref().unwrap_or(""), options.config.as_deref())
            .map_err(|error| LoadError::Config { plugin: plugin(), error })?;
        blueprint.context = context(config);
        let (context, memo) =
            (Arc::clone(&blueprint.context), Memo::new(limits.memo_entries_max, limits.memo_bytes_max));
        let pool = Pool::new(blueprint).map_err(|error| start(format!("{error:#}")))?;
        Ok(Arc::new(Plugin {
            context,
            exports,
            grants: options.grants,
            imports,
            on_fault: options.on_fault,
            cost: LoadCost { total: started.elapsed(), compile, cached, bytes: component.len() },
            examples,
            schema,
            host: self.clone(),
            spare: Default::default(),
            pool: Arc::new(pool),
            memo,
            counters: Default::default(),
            guard: Default::default(),
            _room: room,
        }))
    }

    /// Removes the compiled code of a component that will not be loaded again soon.
    pub fn forget_compiled(&self, digest: &str) {
        // A digest becomes a file's name.
        if let Some(cache) = self.shared.cache.as_ref().filter(|_| digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            cache.remove(digest);
        }
    }

    fn check_sizes(&self, name: &str, bytes: usize, limits: &PluginLimits) -> Result<(), LoadError> {
        let host = &self.shared.limits;
        if bytes > host.component_bytes_max {
            return Err(LoadError::TooLarge { plugin: name.to_owned(), bytes, bytes_max: host.component_bytes_max });
        }
        let bounded = [
            ("memory_bytes_max", limits.memory_bytes_max, host.memory_bytes_ceiling),
            ("table_elements_max", limits.table_elements_max, host.table_elements_ceiling),
            ("instances_max", limits.instances_max as usize, host.plugin.instances_max as usize),
        ];
        match bounded.into_iter().find(|(_, wanted, allowed)| wanted > allowed) {
            Some((limit, wanted, allowed)) => {
                Err(LoadError::BeyondHost { plugin: name.to_owned(), limit, wanted, allowed })
            }
            None => Ok(()),
        }
    }

    fn compile(&self, name: &str, digest: &str, component: &[u8]) -> Result<(Component, bool), LoadError> {
        let (engine, cache) = (&self.shared.engine, self.shared.cache.as_ref());
        if let Some(compiled) = cache.and_then(|cache| cache.get(engine, digest)) {
            return Ok((compiled, true));
        }
        // `from_binary`: text is for people, and not what a digest is about.
        let compiled = Component::from_binary(engine, component)
            .map_err(|error| LoadError::Invalid { plugin: name.to_owned(), details: format!("{error:#}") })?;
        if let Some(cache) = cache {
            cache.put(digest, &compiled);
        }
        Ok((compiled, false))
    }

    /// What it imports, if all of that is ours and granted.
    fn checked_imports(&self, name: &str, compiled: &Component, granted: Grants) -> Result<Grants, LoadError> {
        let component_type = compiled.component_type();
        let mut used = Grants::NONE;
        for (import, _) in component_type.imports(&self.shared.engine) {
            let (plugin, import) = (name.to_owned(), import.to_owned());
            match known(&import) {
                None => return Err(LoadError::ForeignImport { plugin, import }),
                Some(Some(grant)) if !granted.has(grant) => {
                    return Err(LoadError::NotGranted { plugin, import, grant, granted });
                }
                Some(Some(grant)) => used = used.and(grant),
                Some(None) => {}
            }
        }
        Ok(used)
    }

    fn names_of_exports(&self, compiled: &Component) -> String {
        let component_type = compiled.component_type();
        let names: Vec<_> = component_type.exports(&self.shared.engine).map(|(export, _)| export).take(20).collect();
        if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
    }
}

/// `None`: not ours. `Some(None)`: ours, and needs no grant, because it only holds types.
fn known(import: &str) -> Option<Option<Grant>> {
    let (interface, version) = import.strip_prefix(PACKAGE)?.split_once('@')?;
    let contract = Contract::ALL.into_iter().find(|contract| version.starts_with(contract.compatible()))?;
    if interface == "types" {
        return Some(None);
    }
    let grant: Grant = interface.parse().ok()?;
    match contract {
        Contract::V1 => Some(Some(grant)),
        Contract::V0_1 => (grant == Grant::Log).then_some(Some(grant)),
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut digits, byte| {
        write!(digits, "{byte:02x}").expect("a string takes what is written to it");
        digits
    })
}
