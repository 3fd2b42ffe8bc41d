//! `cargo xtask examples`: builds the policies of `plugins/examples`, which are in other languages than Rust, and has the
//! plugin host load and ask them (`engine/plugin-host/tests/it/examples.rs`).
//!
//! A language whose tools cannot be had here is skipped with the reason. In CI (`CI=true`) that is a failure: what is
//! skipped everywhere is built nowhere.

mod c;
mod javascript;
mod python;

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};

use crate::cargo::{at_root, cargo, root, shown, target_dir};

/// An example, and how it is built.
struct Example {
    /// The folder below `plugins/examples`.
    folder: &'static str,
    /// The component, without `.wasm`: also the name of the test that asks it.
    name: &'static str,
    build: fn(&Place) -> Result<(), Failed>,
}

const EXAMPLES: [Example; 3] = [
    Example { folder: "c", name: "builds", build: c::build },
    Example { folder: "python", name: "reserved", build: python::build },
    Example { folder: "javascript", name: "names", build: javascript::build },
];

/// Where an example is built.
struct Place {
    /// Its sources.
    sources: PathBuf,
    /// A folder of its own below the target folder; tools that it needs may stay there.
    work: PathBuf,
    /// The component.
    out: PathBuf,
}

/// Why there is no component.
enum Failed {
    /// What is needed to build it cannot be had here.
    NoTools(String),
    Broken(anyhow::Error),
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Broken(error)
    }
}

/// Says that the tools are missing, whatever it was that went wrong while they were looked for.
fn no_tools(what: &'static str) -> impl Fn(anyhow::Error) -> Failed {
    move |error| Failed::NoTools(format!("{what}: {error:#}"))
}

pub(crate) fn examples() -> Result<ExitCode> {
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    for example in &EXAMPLES {
        match build(example).and_then(|component| Ok(check(example, &component).and_then(|()| as_author(&component))?))
        {
            Ok(()) => passed += 1,
            Err(Failed::NoTools(reason)) => {
                println!("skipped {}: {reason}", example.folder);
                skipped += 1;
            }
            Err(Failed::Broken(error)) => {
                println!("FAILED  {}: {error:#}", example.folder);
                failed += 1;
            }
        }
    }
    if skipped > 0 && std::env::var_os("CI").is_some_and(|ci| ci == "true") {
        println!("FAILED  {skipped} skipped: in CI all have to be built");
        failed += skipped;
        skipped = 0;
    }
    println!("{passed} passed, {failed} failed, {skipped} skipped");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads it under the limits of any plugin, and asks it.
fn check(example: &Example, component: &Path) -> Result<()> {
    let mut test = cargo();
    test.args(["test", "--release", "--quiet", "--package", "berth-plugin-host", "--test", "it", "--"]);
    test.args(["--ignored", "--nocapture", "--exact", &format!("examples::{}", example.name)]);
    // Its summary would be counted beside ours.
    let said = test.env("BERTH_EXAMPLE", component).output().with_context(|| format!("cannot run {}", shown(&test)))?;
    let text = String::from_utf8_lossy(&said.stdout);
    let rows = text.lines().filter(|line| line.contains(": ") && !line.starts_with("test result"));
    rows.for_each(|line| println!("    {}", line.trim_start_matches('.')));
    if !said.status.success() || !text.contains("1 passed") {
        anyhow::bail!("{} failed:\n{text}{}", shown(&test), String::from_utf8_lossy(&said.stderr));
    }
    Ok(())
}

/// Looks at it as its author would.
fn as_author(component: &Path) -> Result<()> {
    let mut check = cargo();
    check.args(["run", "--release", "--quiet", "--package", "berth", "--", "plugin", "check"]).arg(component);
    quietly(&mut check)
}

/// The component of an example. Built again only if a source, the contract or the way to build it changed.
fn build(example: &Example) -> Result<PathBuf, Failed> {
    let work = target_dir().join("examples").join(example.folder);
    fs::create_dir_all(&work).with_context(|| format!("cannot make {}", work.display()))?;
    let sources = root().join("plugins/examples").join(example.folder);
    let out = work.join(format!("{}.wasm", example.name));
    let stamp = work.join("built-from");
    let from = [sources.as_path(), &contract(), &root().join("xtask/src/examples")].map(digest_of);
    let from = format!("{:x?}", from.into_iter().collect::<Result<Vec<_>>>()?);
    if out.is_file() && fs::read_to_string(&stamp).is_ok_and(|before| before == from) {
        return Ok(out);
    }
    println!("--- building {}", example.folder);
    (example.build)(&Place { sources, work, out: out.clone() })?;
    fs::write(&stamp, from).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(out)
}

/// The contract's folder.
fn contract() -> PathBuf {
    root().join("wit/berth-policy-1.0.0")
}

impl Place {
    /// A folder with the example's world and the contract that it refers to, as WIT tools expect them.
    fn wit(&self) -> Result<PathBuf> {
        let wit = self.work.join("wit");
        copy(&contract(), &wit.join("deps/berth-policy"))?;
        fs::copy(self.sources.join("world.wit"), wit.join("world.wit")).context("cannot copy the world")?;
        Ok(wit)
    }
}

/// A program that is looked for in PATH and started at the root.
fn tool(program: impl AsRef<std::ffi::OsStr>) -> Command {
    at_root(program)
}

/// Runs a command whose output is only of interest if it fails.
fn quietly(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("cannot run {}", shown(command)))?;
    if output.status.success() {
        return Ok(());
    }
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    anyhow::bail!("{} failed ({}):\n{}\n{}", shown(command), output.status, said.trim(), complained.trim())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for file in files(from)? {
        let name = file.strip_prefix(from).expect("it was found below");
        fs::copy(&file, to.join(name)).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    Ok(())
}

/// The files directly in a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files: Vec<_> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_file()).collect();
    files.sort();
    Ok(files)
}

/// A number that changes with the files of a folder and of the folders in it.
fn digest_of(folder: &Path) -> Result<u64> {
    let mut digest = DefaultHasher::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for file in files(&folder)? {
            (file.file_name(), fs::read(&file)?).hash(&mut digest);
        }
        let entries = fs::read_dir(&folder)?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut below: Vec<_> = entries.filter(|path| path.is_dir() && !path.ends_with("target")).collect();
        below.sort();
        folders.extend(below);
    }
    Ok(digest.finish())
}
