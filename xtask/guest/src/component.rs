//! From a guest crate to a component in a file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};

use crate::environment::output_of;
use crate::toolchain::{GUEST_TARGET, Toolchain};

/// How a component begins: the magic number, then version 13 in layer 1. A core module has layer 0.
const COMPONENT_HEADER: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];

impl Toolchain {
    /// Builds the guest `package` of the crate or workspace in `manifest_dir`, and leaves the component at `out`.
    ///
    /// `target_dir` must not be the one of a cargo that runs now, or both wait for each other for ever. A component
    /// that did not change keeps its time stamp, so that what includes it is not compiled again.
    pub fn build(&self, manifest_dir: &Path, package: &str, target_dir: &Path, out: &Path) -> Result<()> {
        let messages = self.compile(manifest_dir, &[package], target_dir)?;
        // The last one counts: a dependency comes before what depends on it.
        let built = components(&messages).pop().with_context(|| {
            format!("{package} has no library of the kind \"cdylib\": add `[lib] crate-type = [\"cdylib\"]`")
        })?;
        put(package, &built.file, out)
    }

    /// Builds several guests of one workspace with one cargo, and leaves each as `PACKAGE.wasm` in `folder`: their
    /// files, in the order of `packages`. Otherwise as [`build`](Self::build).
    pub fn build_all(
        &self,
        manifest_dir: &Path,
        packages: &[&str],
        target_dir: &Path,
        folder: &Path,
    ) -> Result<Vec<PathBuf>> {
        let messages = self.compile(manifest_dir, packages, target_dir)?;
        let built = components(&messages);
        let place = |package: &&str| {
            let named = |component: &&Built| component.target == package.replace('-', "_");
            let built = built.iter().find(named).with_context(|| format!("{package} did not become a component"))?;
            let out = folder.join(format!("{package}.wasm"));
            put(package, &built.file, &out)?;
            Ok(out)
        };
        packages.iter().map(place).collect()
    }

    /// What cargo says while it builds these packages.
    fn compile(&self, manifest_dir: &Path, packages: &[&str], target_dir: &Path) -> Result<String> {
        let manifest_dir = manifest_dir
            .canonicalize()
            .with_context(|| format!("there is no guest crate in {}", manifest_dir.display()))?;
        let cargo_home = std::env::var_os("CARGO_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(std::env::home_dir()?.join(".cargo")))
            .context("neither CARGO_HOME nor HOME names a folder")?;
        let mut cargo = self.cargo(&[(&cargo_home, "/cargo"), (&manifest_dir, "/guest")]);
        cargo
            .current_dir(&manifest_dir)
            .args(["build", "--release", "--target", GUEST_TARGET, "--message-format=json-render-diagnostics"])
            .args(packages.iter().flat_map(|package| ["--package", package]))
            .arg("--target-dir")
            .arg(target_dir)
            // Compiler errors and progress are for the person who waits.
            .stderr(Stdio::inherit());
        output_of(&mut cargo).with_context(|| match packages {
            [package] => format!("cannot build the guest {package}"),
            packages => format!("cannot build the guests {}", packages.join(", ")),
        })
    }
}

/// Copies a component to where it is wanted, unless that is there already.
fn put(package: &str, built: &Path, out: &Path) -> Result<()> {
    let component = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if !component.starts_with(&COMPONENT_HEADER) {
        bail!("{package} became a core module and no component: does it call its world's export macro?");
    }
    if fs::read(out).is_ok_and(|old| old == component) {
        return Ok(());
    }
    if let Some(folder) = out.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    // Written beside and moved: a reader sees the old one or the new one.
    let fresh = out.with_extension(format!("{}.new", std::process::id()));
    fs::write(&fresh, &component).with_context(|| format!("cannot write {}", fresh.display()))?;
    fs::rename(&fresh, out).with_context(|| format!("cannot write {}", out.display()))
}

/// A file that cargo says it made.
#[derive(Debug, PartialEq, Eq)]
struct Built {
    /// The name of the library: that of the package, with `_` for `-`, unless its author chose another.
    target: String,
    file: PathBuf,
}

/// What cargo says it made for WebAssembly.
fn components(messages: &str) -> Vec<Built> {
    let messages = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let artifacts = messages.filter(|message| message["reason"] == "compiler-artifact");
    let built = artifacts.flat_map(|message| {
        let target = message["target"]["name"].as_str().unwrap_or_default().to_owned();
        let files = message["filenames"].as_array().cloned().unwrap_or_default().into_iter();
        let files = files.filter_map(|file| file.as_str().map(PathBuf::from));
        files.map(move |file| Built { target: target.clone(), file })
    });
    built.filter(|built| built.file.extension().is_some_and(|extension| extension == "wasm")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_all_that_cargo_makes_the_wasm_files_are_components_in_their_order() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"helper"},"filenames":["/t/libhelper.rlib"]}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"helper"},"filenames":["/t/helper.wasm"]}"#,
            "\nnot a message\n",
            r#"{"reason":"compiler-artifact","target":{"name":"my_guest"},"filenames":["/t/my_guest.wasm"]}"#,
            "\n{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        let built = |target: &str| Built { target: target.to_owned(), file: format!("/t/{target}.wasm").into() };
        assert_eq!(components(messages), [built("helper"), built("my_guest")]);
        assert_eq!(components("{\"reason\":\"build-finished\"}"), []);
    }
}
