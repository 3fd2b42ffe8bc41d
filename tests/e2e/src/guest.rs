//! Guests of `plugins/`, built for tests.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use berth_guest::Toolchain;

/// The component of a crate in `plugins/`, in a file that carries its name. `scratch` is `CARGO_TARGET_TMPDIR` of the test.
///
/// # Panics
/// If it cannot be built.
pub fn component(package: &'static str, scratch: &str) -> PathBuf {
    static BUILT: Mutex<BTreeMap<&str, PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(package).or_insert_with(|| build(package, Path::new(scratch))).clone()
}

fn build(package: &str, scratch: &Path) -> PathBuf {
    let toolchain = Toolchain::find().expect("a compiler for guests is there: run `cargo xtask setup` once");
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the package");
    let plugins = Path::new(&here).join("../../plugins");
    // Beside our own target folder, and shared with the server's build script.
    let target = scratch.parent().expect("the folder is inside the target folder").join("guests");
    let component = scratch.join("e2e").join(format!("{package}.wasm"));
    toolchain.build(&plugins, package, &target, &component).expect("the guest builds");
    component
}
