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
        let built = self.compile(manifest_dir, package, target_dir)?;
        let component = fs::read(&built).with_context(|| format!("cannot read {}", built.display()))?;
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

    fn compile(&self, manifest_dir: &Path, package: &str, target_dir: &Path) -> Result<PathBuf> {
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
            .args(["--package", package, "--target-dir"])
            .arg(target_dir)
            // Compiler errors and progress are for the person who waits.
            .stderr(Stdio::inherit());
        let messages = output_of(&mut cargo).with_context(|| format!("cannot build the guest {package}"))?;
        component_file(&messages).with_context(|| {
            format!("{package} has no library of the kind \"cdylib\": add `[lib] crate-type = [\"cdylib\"]`")
        })
    }
}

/// The file that cargo says it made. The last one counts: a dependency comes before what depends on it.
fn component_file(messages: &str) -> Option<PathBuf> {
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut files = artifacts.filter(|message| message["reason"] == "compiler-artifact").flat_map(|message| {
        let names = message["filenames"].as_array().cloned().unwrap_or_default();
        names.into_iter().filter_map(|name| name.as_str().map(PathBuf::from))
    });
    files.rfind(|file| file.extension().is_some_and(|extension| extension == "wasm"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_wasm_file_that_cargo_reports_is_the_component() {
        let messages = concat!(
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/libhelper.rlib\"]}\n",
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/helper.wasm\"]}\n",
            "not a message\n",
            "{\"reason\":\"compiler-artifact\",\"filenames\":[\"/t/guest.wasm\"]}\n",
            "{\"reason\":\"build-finished\",\"success\":true}\n",
        );
        assert_eq!(component_file(messages), Some(PathBuf::from("/t/guest.wasm")));
        assert_eq!(component_file("{\"reason\":\"build-finished\"}"), None);
    }
}
