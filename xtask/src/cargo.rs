//! Calls of cargo, such that they share everything with the calls that people type.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// The root of the repository. Cargo says at run time where we are: clones may share a target folder, so that a path
/// that was compiled in can be that of another clone.
pub(crate) fn root() -> PathBuf {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("this program is run by cargo");
    PathBuf::from(here).parent().expect("xtask is a folder of the repository").to_owned()
}

/// A cargo that starts at the root. `cargo run` has told us about ourselves in variables that build scripts watch:
/// what they see must be the same as in a plain `cargo build`, or RocksDB is compiled a second time.
pub(crate) fn cargo() -> Command {
    let mut cargo = at_root(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.env_remove("CARGO");
    cargo
}

/// Any other program, likewise.
pub(crate) fn at_root(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let told_by_cargo_run = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") || name == "OUT_DIR"
        });
        if told_by_cargo_run {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    // Relative to where cargo was called: all of ours start at the root.
    root().join(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into()))
}

/// Builds the server, and says where it is.
pub(crate) fn build_berth() -> Result<PathBuf> {
    run(cargo().args(["build", "--release", "--package", "berth"]))?;
    Ok(target_dir().join("release/berth"))
}

/// The simulation. Its mutants break the engine on purpose, so they have to be compiled in first.
pub(crate) fn simulation(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let mut command = cargo();
    command.args(["run", "--release", "--quiet", "--package", "berth-sim"]);
    if arguments.iter().any(|argument| argument.as_ref() == "--mutants") {
        command.args(["--features", "mutants"]);
    }
    command.arg("--").args(arguments);
    command
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run {}", shown(command)))?;
    if !status.success() {
        bail!("{} failed ({status})", shown(command));
    }
    Ok(())
}

/// Becomes the command: signals and exit code are its own. Returns only if it cannot be run.
pub(crate) fn exec(mut command: Command) -> Result<()> {
    let error = command.exec();
    Err(error).with_context(|| format!("cannot run {}", shown(&command)))
}

/// A command as one would type it.
pub(crate) fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
