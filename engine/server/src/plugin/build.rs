//! `berth plugin build`: a component from a policy crate; one that another toolchain made is taken as it is.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, bail, ensure};
use berth_guest::Toolchain;

use crate::{cli::plugin::BuildArgs, plugins::source};

/// How a file begins that is a component, and one that is a core module.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];
const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

pub(super) fn run(args: &BuildArgs, as_json: bool) -> anyhow::Result<ExitCode> {
    let out = if args.dir.is_file() { from_file(args)? } else { from_crate(args)? };
    let component = fs::read(&out).with_context(|| format!("cannot read {}", out.display()))?;
    let (bytes, digest) = (component.len(), source::digest_of(&component));
    if as_json {
        outln!("{}", serde_json::json!({ "component": out, "bytes": bytes, "digest": digest }));
    } else {
        outln!("{} ({bytes} bytes, sha256:{digest})", out.display());
        outln!("next: berth plugin test {}", out.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// A file that some toolchain made: a component is taken as it is.
fn from_file(args: &BuildArgs) -> anyhow::Result<PathBuf> {
    let shown = args.dir.display();
    let bytes = fs::read(&args.dir).with_context(|| format!("cannot read {shown}"))?;
    if bytes.starts_with(&MODULE) {
        bail!(
            "{shown} is a core module. Link it as a component (`wasm-component-ld` instead of `wasm-ld`; every Rust \
             toolchain has it, and rustup's targets use it), or run: wasm-tools component new {shown} -o OUT.wasm"
        );
    }
    ensure!(
        bytes.starts_with(&COMPONENT),
        "{shown} is not WebAssembly: expected a component, or the folder of a crate"
    );
    let named = args.dir.file_stem().and_then(|stem| stem.to_str()).unwrap_or("plugin");
    if let Err(why) = super::local::accepts(named, &bytes) {
        bail!("{shown} is no component that Berth can ask: {why}");
    }
    let out = args.out.clone().unwrap_or_else(|| args.dir.clone());
    if out != args.dir {
        fs::write(&out, bytes).with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(out)
}

fn from_crate(args: &BuildArgs) -> anyhow::Result<PathBuf> {
    let manifest = args.dir.join("Cargo.toml");
    let text = fs::read_to_string(&manifest).with_context(|| {
        format!("{} is not the folder of a crate: cannot read {}", args.dir.display(), manifest.display())
    })?;
    let name = package_name(&text, &manifest)?;
    let toolchain = Toolchain::find().context(
        "there is no compiler for wasm32-unknown-unknown; get it with: rustup target add wasm32-unknown-unknown",
    )?;
    eprintln!("building {name} with {toolchain}");
    let out = args.out.clone().unwrap_or_else(|| args.dir.join(format!("{name}.wasm")));
    // Beside what cargo compiles for this machine, wherever that is.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| args.dir.join("target"), PathBuf::from);
    let target = target.join("guests");
    toolchain.build(&args.dir, &name, &target, &out)?;
    ensure!(out.is_file(), "{} was not written; this is a bug", out.display());
    Ok(out)
}

fn package_name(manifest: &str, path: &Path) -> anyhow::Result<String> {
    let table: toml::Table = manifest.parse().with_context(|| format!("{} cannot be read", path.display()))?;
    let name = table.get("package").and_then(|package| package.get("name")).and_then(|name| name.as_str());
    name.map(str::to_owned).with_context(|| format!("{} has no package.name", path.display()))
}
