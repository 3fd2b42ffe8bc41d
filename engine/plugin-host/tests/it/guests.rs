//! Real components for the tests and the bench: guests from `plugins/`, built once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use berth_guest::Toolchain;
use berth_plugin_host::{
    ChainSpec, Generation, GenerationSpec, Grants, Host, Interface, Limits, LoadOptions, Plugin, PluginPolicy, Plugins,
};

/// The bytes of a guest from `plugins/`.
pub(crate) fn component(package: &'static str) -> Arc<[u8]> {
    static BUILT: Mutex<BTreeMap<&str, Arc<[u8]>>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(built.entry(package).or_insert_with(|| build(package).into()))
}

fn build(package: &str) -> Vec<u8> {
    let toolchain = Toolchain::find().expect("a compiler for guests is there: run `cargo xtask setup` once");
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the package");
    let plugins = Path::new(&here).join("../../plugins");
    let scratch = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    // Beside our own target folder, and shared with the server's build script.
    let target = scratch.parent().expect("the folder is inside the target folder").join("guests");
    let component = scratch.join(format!("{package}.wasm"));
    toolchain.build(&plugins, package, &target, &component).expect("the guest builds");
    std::fs::read(component).expect("the component was just written")
}

/// Everything is granted: what a test is about is never that.
pub(crate) fn granted() -> LoadOptions {
    LoadOptions { grants: Grants::ALL, ..LoadOptions::default() }
}

/// A guest from `plugins/` in a host of its own.
pub(crate) fn load(package: &'static str, limits: Limits) -> Arc<Plugin> {
    load_into(&Host::new(limits).expect("a host starts"), package)
}

pub(crate) fn load_into(host: &Host, package: &'static str) -> Arc<Plugin> {
    host.load(package, &component(package), granted()).expect("the guest loads")
}

/// These plugins in the roles of a description.
pub(crate) fn generation(spec: &GenerationSpec, plugins: &[&Arc<Plugin>]) -> Generation {
    let plugins: Plugins = plugins.iter().map(|plugin| (plugin.name().to_owned(), Arc::clone(plugin))).collect();
    Generation::build(spec, &plugins).expect("the description fits the plugins")
}

/// One plugin for everything that it can be asked, everywhere.
pub(crate) fn everything(plugin: &Plugin) -> GenerationSpec {
    let one = |interface| plugin.has(interface).then(|| plugin.name().to_owned());
    let list = |interface| one(interface).into_iter().collect::<Vec<_>>();
    let chain = ChainSpec {
        properties: one(Interface::Properties),
        place: one(Interface::Priority),
        choose: one(Interface::Choosing),
        create_job: list(Interface::CreateJob),
        queue_job: list(Interface::QueueJob),
        after_attempt: list(Interface::AfterAttempt),
        before_prune: list(Interface::BeforePrune),
        ..ChainSpec::default()
    };
    GenerationSpec { events: list(Interface::Events), ..GenerationSpec::everywhere(chain) }
}

/// One plugin for everything that it can be asked.
pub(crate) fn policy(plugin: &Arc<Plugin>) -> Arc<PluginPolicy> {
    Arc::new(PluginPolicy::new(generation(&everything(plugin), &[plugin])))
}

/// The bundled plugins, as the server uses them.
pub(crate) fn bundled() -> PluginPolicy {
    let host = Host::new(Limits::default()).expect("a host starts");
    let (properties, place) = (load_into(&host, "containment"), load_into(&host, "reapi-priority"));
    let chain = ChainSpec {
        properties: Some("containment".to_owned()),
        place: Some("reapi-priority".to_owned()),
        ..ChainSpec::default()
    };
    PluginPolicy::new(generation(&GenerationSpec::everywhere(chain), &[&properties, &place]))
}
