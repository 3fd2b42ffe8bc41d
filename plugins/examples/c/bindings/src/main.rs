//! `c-bindings WIT-FOLDER OUT-FOLDER`: header, source and type section of the world `policy`, for a C compiler.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wit_bindgen_core::{Files, wit_parser::Resolve};

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (wit, out) = arguments.next().zip(arguments.next()).context("usage: c-bindings WIT-FOLDER OUT-FOLDER")?;
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(&wit).with_context(|| format!("cannot read {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some("policy"))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    for (name, contents) in files.iter() {
        std::fs::write(out.join(name), contents).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
