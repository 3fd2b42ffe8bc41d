//! The way without rustup's server: Debian's `rustc-web`, unpacked in the cache folder, with a standard library
//! for wasm32 that is compiled once from `rust-web-src`.
//!
//! Unpacked and not installed, because the packages conflict with rustup's and want root. Debian's compiler is
//! used for guests as a whole: another version's sources do not build under rustup's compiler.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::environment::{cache_dir, clean_cargo, holds_std, output_of, run};
use crate::toolchain::GUEST_TARGET;

/// Debian's compiler with a standard library for guests.
#[derive(Clone, Debug)]
pub(crate) struct Unpacked {
    root: PathBuf,
}

impl Unpacked {
    /// The compiler, if it is there and complete. Both its parts are moved into place as a whole, so that
    /// what exists is complete.
    pub(crate) fn find() -> Option<Self> {
        let unpacked = Self { root: home().ok()?.join("root") };
        (unpacked.rustc().is_file() && holds_std(&unpacked.std_dir())).then_some(unpacked)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Has `cargo` compile with this compiler.
    pub(crate) fn use_in(&self, cargo: &mut Command) {
        cargo.env("RUSTC", self.rustc()).env("LD_LIBRARY_PATH", self.shared_libraries());
    }

    fn rustc(&self) -> PathBuf {
        self.root.join("usr/bin/rustc")
    }

    fn rustlib(&self) -> PathBuf {
        self.root.join("usr/lib/rustlib")
    }

    fn std_dir(&self) -> PathBuf {
        self.rustlib().join(GUEST_TARGET).join("lib")
    }

    /// The folder for this machine's shared libraries, such as `usr/lib/x86_64-linux-gnu`.
    fn shared_libraries(&self) -> PathBuf {
        self.root.join(format!("usr/lib/{}-linux-gnu", std::env::consts::ARCH))
    }
}

/// Gets compiler and standard library. `minor` is the version of the compiler in use: an older one than that is
/// a reason to look for news first.
pub(crate) fn prepare(minor: u32, progress: &mut dyn FnMut(&str)) -> Result<()> {
    let home = home()?;
    fs::create_dir_all(&home).with_context(|| format!("cannot create {}", home.display()))?;
    let lock = File::create(home.join("lock"))?;
    if lock.try_lock().is_err() {
        progress("waiting for another process that prepares the same toolchain");
        lock.lock().with_context(|| format!("cannot lock {}", home.display()))?;
    }
    let unpacked = Unpacked { root: home.join("root") };
    if !unpacked.rustc().is_file() {
        unpack(&home, &unpacked.root, minor, progress)?;
    }
    if !holds_std(&unpacked.std_dir()) {
        build_std(&home, &unpacked, progress)?;
    }
    Ok(())
}

pub(crate) fn home() -> Result<PathBuf> {
    Ok(cache_dir()?.join("guest-toolchain"))
}

fn unpack(home: &Path, root: &Path, minor: u32, progress: &mut dyn FnMut(&str)) -> Result<()> {
    if candidate_minor().is_none_or(|candidate| candidate < minor) {
        progress("asking Debian for its list of packages");
        if let Err(error) = run(&mut as_root("apt-get", &["update", "-q"])) {
            // Not the end: an older compiler may do.
            progress(&format!("going on with the list that is here: {error:#}"));
        }
    }
    if candidate_minor().is_none() {
        bail!("apt-get knows no package rust-web-src: it is in Debian 12 and newer; run `apt-get update` as root");
    }
    let std = newest_dependency("libstd-rust-web-dev", "libstd-rust-web-")?;
    let llvm = newest_dependency(&std, "libllvm");
    let packages = home.join("packages");
    let fresh = home.join("root.new");
    for folder in [&packages, &fresh] {
        make_empty(folder)?;
    }
    progress("downloading Debian's rustc-web and rust-web-src (140 MB)");
    let mut download = Command::new("apt-get");
    download.args(["download", "-q", "rustc-web", "libstd-rust-web-dev", "rust-web-src", &std]);
    // A compiler that carries its own LLVM has no such dependency.
    download.args(llvm.ok()).current_dir(&packages);
    run(&mut download)?;
    progress(&format!("unpacking below {}", root.display()));
    unpack_into(&packages, &fresh)?;
    put_in_place(&fresh, root)
}

/// Unpacks all packages of a folder, and removes them.
pub(crate) fn unpack_into(packages: &Path, root: &Path) -> Result<()> {
    for package in fs::read_dir(packages)? {
        let package = package?.path();
        if package.extension() == Some(OsStr::new("deb")) {
            run(Command::new("dpkg").arg("-x").arg(&package).arg(root))?;
        }
    }
    Ok(fs::remove_dir_all(packages)?)
}

fn build_std(home: &Path, unpacked: &Unpacked, progress: &mut dyn FnMut(&str)) -> Result<()> {
    progress("compiling the standard library for wasm32, once (about two CPU minutes)");
    let (work, fresh) = (home.join("std-build"), unpacked.std_dir().with_extension("new"));
    make_empty(&work.join("src"))?;
    make_empty(&fresh)?;
    // An empty crate, whose dependencies are all of std.
    fs::write(work.join("src/lib.rs"), "")?;
    fs::write(
        work.join("Cargo.toml"),
        "[package]\nname = \"only-std\"\nedition = \"2021\"\n\n[profile.release]\nopt-level = 3\ndebug = 0\n\n[workspace]\n",
    )?;
    let sources = unpacked.rustlib().join("src/rust");
    let flags = [
        // Guests are linked with LTO, and that reads bitcode.
        "-Cembed-bitcode=yes".to_owned(),
        format!("--remap-path-prefix={}=/std", sources.display()),
    ];
    let mut cargo = clean_cargo();
    unpacked.use_in(&mut cargo);
    cargo
        .current_dir(&work)
        // build-std is not stable; the compiler is told so for this one call.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .args(["build", "--release", "--offline", "-Zbuild-std=std,panic_abort", "--target", GUEST_TARGET])
        .arg("--target-dir")
        .arg(work.join("target"))
        // Debian ships the sources of what std depends on: no registry is needed.
        .args(["--config", "source.crates-io.replace-with='debian'", "--config"])
        .arg(format!("source.debian.directory='{}'", sources.join("library/vendor").display()));
    run(&mut cargo)?;
    for library in fs::read_dir(work.join("target").join(GUEST_TARGET).join("release/deps"))? {
        let library = library?.path();
        let name = library.file_name().unwrap_or_default();
        let ours = name.to_string_lossy().starts_with("libonly_std");
        if library.extension() == Some(OsStr::new("rlib")) && !ours {
            fs::copy(&library, fresh.join(name))?;
        }
    }
    put_in_place(&fresh, &unpacked.std_dir())?;
    Ok(fs::remove_dir_all(work)?)
}

/// The second number of the version of `rust-web-src` that apt-get would take.
fn candidate_minor() -> Option<u32> {
    let policy = output_of(Command::new("apt-cache").args(["policy", "rust-web-src"])).ok()?;
    let version = policy.lines().find_map(|line| line.trim().strip_prefix("Candidate:"))?;
    version.trim().split('.').nth(1)?.parse().ok()
}

/// The newest package that `package` depends on and whose name is `prefix` and a number.
fn newest_dependency(package: &str, prefix: &str) -> Result<String> {
    let listed = output_of(Command::new("apt-cache").args(["depends", package]))?;
    newest_named(&listed, prefix).with_context(|| format!("package {package} depends on no {prefix}*"))
}

fn newest_named(listed: &str, prefix: &str) -> Option<String> {
    let number = |name: &str| -> Option<Vec<u32>> {
        name.strip_prefix(prefix)?.split('.').map(|part| part.parse().ok()).collect()
    };
    let dependencies = listed.lines().filter_map(|line| line.trim().trim_start_matches('|').strip_prefix("Depends: "));
    dependencies.filter_map(|name| Some((number(name)?, name))).max().map(|(_, name)| name.to_owned())
}

/// A command that needs root: asked for without a password where we are somebody else.
fn as_root(program: &str, arguments: &[&str]) -> Command {
    let we_are_root = output_of(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    let mut command = if we_are_root { Command::new(program) } else { Command::new("sudo") };
    if !we_are_root {
        command.args(["-n", program]);
    }
    command.args(arguments);
    command
}

pub(crate) fn make_empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))
}

pub(crate) fn put_in_place(fresh: &Path, place: &Path) -> Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::rename(fresh, place).with_context(|| format!("cannot move {} into place", fresh.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_several_numbered_packages_is_taken() {
        let listed = "x\n  Depends: libc6\n |Depends: libllvm9\n  Depends: libllvm21\n  Depends: libllvm-tools\n";
        assert_eq!(newest_named(listed, "libllvm").as_deref(), Some("libllvm21"));
        assert_eq!(
            newest_named("  Depends: libstd-rust-web-1.96\n  Conflicts: libstd-rust-web-1.99", "libstd-rust-web-"),
            Some("libstd-rust-web-1.96".to_owned())
        );
        assert_eq!(newest_named(listed, "libstd-rust-web-"), None);
    }
}
