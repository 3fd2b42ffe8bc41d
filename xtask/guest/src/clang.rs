//! A C compiler for guests: the one in PATH if it will do, else Debian's newest, unpacked in the cache folder beside
//! the Rust compiler for guests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{home, make_empty, put_in_place, unpack_into};
use crate::environment::{output_of, run};
use crate::toolchain::Toolchain;

/// The first clang that knows C23's `#embed`.
const MAJOR_MIN: u32 = 19;
/// Newer ones than are known today.
const MAJOR_MAX: u32 = 40;

/// A clang that compiles for `wasm32-unknown-unknown`.
#[derive(Clone, Debug)]
pub struct Clang {
    program: PathBuf,
    /// Where its own shared libraries are, if that is not where the system looks.
    libraries: Option<PathBuf>,
}

impl Clang {
    /// One that is ready to use. Quick: looks, installs nothing.
    pub fn find() -> Option<Self> {
        let in_path = Self { program: "clang".into(), libraries: None };
        [Some(in_path), Self::unpacked()].into_iter().flatten().find(Self::will_do)
    }

    /// One that is ready to use; gets Debian's if there is none. `progress` receives a line before what takes a while.
    pub fn prepare(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        if let Some(ready) = Self::find() {
            return Ok(ready);
        }
        let known = |major: &u32| has_candidate(&format!("clang-{major}"));
        let major = (MAJOR_MIN..MAJOR_MAX).rev().find(known);
        let Some(major) = major else {
            bail!("there is no clang {MAJOR_MIN} or newer in PATH, and apt-get knows none");
        };
        progress(&format!("downloading Debian's clang-{major} (45 MB)"));
        let home = home()?;
        let (packages, fresh) = (home.join("clang-packages"), home.join("clang.new"));
        make_empty(&packages)?;
        make_empty(&fresh)?;
        let names = [
            format!("clang-{major}"),
            format!("libclang-cpp{major}"),
            format!("libclang-common-{major}-dev"),
            format!("libllvm{major}"),
        ];
        run(Command::new("apt-get").args(["download", "-q"]).args(&names).current_dir(&packages))?;
        unpack_into(&packages, &fresh)?;
        put_in_place(&fresh, &home.join("clang"))?;
        Self::find().with_context(|| format!("clang-{major} was unpacked and does not run"))
    }

    /// A call of the compiler, for the target of guests.
    pub fn command(&self) -> Command {
        let mut clang = Command::new(&self.program);
        clang.arg(format!("--target={}", crate::GUEST_TARGET));
        if let Some(libraries) = &self.libraries {
            clang.env("LD_LIBRARY_PATH", libraries);
        }
        clang
    }

    fn unpacked() -> Option<Self> {
        let usr = home().ok()?.join("clang/usr");
        let mut releases = fs::read_dir(usr.join("lib")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
        let program = releases.find_map(|release| Some(release.join("bin/clang")).filter(|clang| clang.exists()))?;
        let libraries = usr.join(format!("lib/{}-linux-gnu", std::env::consts::ARCH));
        Some(Self { program, libraries: Some(libraries) })
    }

    fn will_do(&self) -> bool {
        let said = |argument: &str| output_of(self.command().arg(argument)).unwrap_or_default();
        major_of(&said("--version")).is_some_and(|major| major >= MAJOR_MIN)
            && said("--print-targets").contains("wasm32")
    }
}

impl Toolchain {
    /// Links object files into a component. One of them has the section that says what its world is.
    pub fn link(&self, objects: &[PathBuf], out: &Path) -> Result<()> {
        let mut linker = self.linker();
        linker.arg("--no-entry").arg("-o").arg(out).args(objects);
        run(&mut linker)
    }
}

/// Reads `Debian clang version 22.1.8 (1~deb12u1)`.
fn major_of(version: &str) -> Option<u32> {
    version.split_once("clang version ")?.1.split('.').next()?.parse().ok()
}

fn has_candidate(package: &str) -> bool {
    let policy = output_of(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
    policy.lines().any(|line| line.trim().strip_prefix("Candidate:").is_some_and(|version| version.trim() != "(none)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_of_a_version_counts() {
        assert_eq!(major_of("Debian clang version 22.1.8 (1~deb12u1)\nTarget: x86_64"), Some(22));
        assert_eq!(major_of("clang version 19.1.0"), Some(19));
        assert_eq!(major_of("gcc 12"), None);
    }
}
