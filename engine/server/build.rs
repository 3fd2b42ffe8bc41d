//! Builds the bundled plugins, which the binary carries inside: `include_bytes!(env!("BERTH_CONTAINMENT_WASM"))`.

use std::path::{Path, PathBuf};

use berth_guest::Toolchain;

/// Each with the variable that names its component while `berth` is compiled.
const BUNDLED: [(&str, &str); 2] =
    [("containment", "BERTH_CONTAINMENT_WASM"), ("reapi-priority", "BERTH_REAPI_PRIORITY_WASM")];

/// What the components are made from.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "sdk", "containment", "reapi-priority", "../wit"];

fn main() {
    // Read while running: a script that two clones share through one target folder must not know where it was compiled.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the package");
    let plugins = Path::new(&here).join("../../plugins");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", plugins.join(source).display());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the folder for what is built"));
    let Some(toolchain) = Toolchain::find() else {
        // Getting one takes minutes and the network, which nobody expects of a build script.
        println!("cargo::error=the bundled plugins need a compiler for WebAssembly; get it with: cargo xtask setup");
        return;
    };
    let guests = guests_dir(&out);
    for (package, variable) in BUNDLED {
        let component = out.join(format!("{package}.wasm"));
        if let Err(error) = toolchain.build(&plugins, package, &guests, &component) {
            println!(
                "cargo::error=cannot build the bundled plugin {package}: {error:#}; `cargo xtask setup` checks the compiler"
            );
            return;
        }
        println!("cargo::rustc-env={variable}={}", component.display());
    }
}

/// `guests` beside the folder of the profile, so that profiles and tests share what they compile; in our own folder if
/// cargo arranges its folders in another way. Never a folder that the cargo that called us has locked.
fn guests_dir(out: &Path) -> PathBuf {
    let target = out.ancestors().nth(4).filter(|target| target.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("guests")
}
