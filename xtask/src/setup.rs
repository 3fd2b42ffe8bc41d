//! What a machine needs to build Berth, and how it gets it.
//!
//! Looking takes milliseconds when all is there, so every other task begins with it. Debian's packages are installed
//! where we may; elsewhere the command to type is named. The packages are lean: RocksDB's bindings need libclang and
//! its headers, not a compiler.
//!
//! Nothing here sets an environment variable for the build. `LIBCLANG_PATH` above all: bindgen finds Debian's libclang
//! by itself, and a variable that differs between two calls of cargo compiles RocksDB again.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use berth_guest::Toolchain;

use crate::cargo;

struct Need {
    what: &'static str,
    found: fn() -> bool,
    /// The Debian packages that bring it.
    packages: fn() -> Result<Vec<String>>,
}

const NEEDS: &[Need] = &[
    Need { what: "a C++ compiler", found: has_compiler, packages: || Ok(vec!["g++".into()]) },
    Need { what: "libclang", found: has_libclang, packages: libclang_packages },
];

/// Makes sure that this machine can build Berth.
pub(crate) fn ensure() -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.found)()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if Toolchain::find().is_none() {
        let toolchain = Toolchain::prepare(&mut |line| eprintln!("setup: {line}"))
            .context("no compiler for the bundled policies (wasm32-unknown-unknown)")?;
        eprintln!("setup: policies are compiled with {toolchain}");
    }
    Ok(())
}

fn install(missing: &[&Need]) -> Result<()> {
    let names: Vec<_> = missing.iter().map(|need| need.what).collect();
    eprintln!("setup: this machine lacks {}", names.join(" and "));
    if !in_path("apt-get") {
        bail!("please install {} with this system's package manager", names.join(" and "));
    }
    let root = is_root();
    if root {
        cargo::run(Command::new("apt-get").args(["-qq", "update"]))?;
    }
    let mut packages = Vec::new();
    for need in missing {
        packages.extend((need.packages)()?);
    }
    if !root {
        bail!("please run: sudo apt-get install --no-install-recommends {}", packages.join(" "));
    }
    eprintln!("setup: installing {}", packages.join(", "));
    // Another installation may be under way: wait for its lock.
    let apt = ["-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends"];
    cargo::run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(apt).args(&packages))?;
    match missing.iter().find(|need| !(need.found)()) {
        Some(need) => bail!("{} is still not found after {} were installed", need.what, packages.join(", ")),
        None => Ok(()),
    }
}

fn has_compiler() -> bool {
    std::env::var_os("CXX").is_some() || in_path("c++")
}

/// Looks where bindgen looks. The library alone is not enough: `stddef.h` is in another package.
fn has_libclang() -> bool {
    if std::env::var_os("LIBCLANG_PATH").is_some() {
        return true;
    }
    let mut prefixes = entries(Path::new("/usr/lib"));
    prefixes.retain(|path| name_of(path).starts_with("llvm-"));
    prefixes.extend(["/usr".into(), "/usr/local".into()]);
    prefixes.iter().flat_map(|prefix| [prefix.join("lib"), prefix.join("lib64")]).any(|folder| {
        let library = entries(&folder).iter().any(|path| is_libclang(&name_of(path)));
        library && entries(&folder.join("clang")).iter().any(|release| release.join("include/stddef.h").is_file())
    })
}

/// `libclang-cpp` has the other interface, which bindgen cannot use.
fn is_libclang(name: &str) -> bool {
    (name.starts_with("libclang.so") || name.starts_with("libclang-")) && !name.starts_with("libclang-cpp")
}

/// The release that is this Debian's own: newer ones are in its archive too, and are tried by fewer people.
fn libclang_packages() -> Result<Vec<String>> {
    let depends = Command::new("apt-cache").args(["depends", "libclang-dev"]).output()?;
    let release = libclang_release(&String::from_utf8_lossy(&depends.stdout))
        .context("apt-cache does not know libclang-dev: run `apt-get update` first")?;
    Ok(vec![format!("libclang1-{release}"), format!("libclang-common-{release}-dev")])
}

/// Reads `Depends: libclang-14-dev`.
fn libclang_release(depends: &str) -> Option<u32> {
    let mut words = depends.split_whitespace();
    words.find_map(|word| word.strip_prefix("libclang-")?.strip_suffix("-dev")?.parse().ok())
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    // The owner of a process' folder is its effective user.
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = std::fs::read_dir(folder).into_iter().flatten();
    read.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_c_interface_is_libclang() {
        assert!(is_libclang("libclang-14.so.1") && is_libclang("libclang.so"));
        assert!(!is_libclang("libclang-cpp.so.14") && !is_libclang("libclangBasic.a"));
    }

    #[test]
    fn the_release_is_that_of_the_distribution() {
        assert_eq!(libclang_release("libclang-dev\n  Depends: libclang-14-dev\n"), Some(14));
        assert_eq!(libclang_release("libclang-dev\n  Depends: libc6-dev\n"), None);
    }
}
