//! Real components for the tests and the bench: guests from `plugins/`, built once.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use berth_guest::Toolchain;
use berth_plugin_host::{Chain, Generation, Host, Limits, Plugin, PluginPolicy};

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

/// A guest from `plugins/` in a host of its own.
pub(crate) fn load(package: &'static str, limits: Limits) -> Arc<Plugin> {
    let host = Host::new(limits).expect("a host starts");
    host.load(package, &component(package)).expect("the guest loads")
}

/// One plugin for everything that it can be asked.
pub(crate) fn policy(plugin: &Arc<Plugin>) -> PluginPolicy {
    let exports = plugin.exports();
    let chain =
        Chain::new(exports.properties.then(|| Arc::clone(plugin)), exports.priority.then(|| Arc::clone(plugin)));
    PluginPolicy::new(Generation::new(chain.expect("it is asked for what it exports")))
}

/// The bundled plugins, as the server uses them.
pub(crate) fn bundled() -> PluginPolicy {
    let host = Host::new(Limits::default()).expect("a host starts");
    let load = |package| host.load(package, &component(package)).expect("the guest loads");
    let chain =
        Chain::new(Some(load("containment")), Some(load("reapi-order"))).expect("both export what they are for");
    PluginPolicy::new(Generation::new(chain))
}
