//! C: bindings by a small program beside the example, then clang and the linker that comes with Rust.

use anyhow::Context;
use berth_guest::{Clang, Toolchain};

use super::{Failed, Place, no_tools, quietly};
use crate::cargo::{cargo, target_dir};

/// Of the example, and of the bindings.
const SOURCES: [&str; 2] = ["policy.c", "libc.c"];

pub(super) fn build(place: &Place) -> Result<(), Failed> {
    let toolchain = Toolchain::find().context("no linker for components: run `cargo xtask setup`")?;
    let clang = Clang::prepare(&mut |line| println!("    {line}")).map_err(no_tools("no C compiler"))?;
    let (wit, bindings) = (place.wit()?, place.work.join("bindings"));
    let mut generator = cargo();
    generator
        .args(["run", "--quiet", "--manifest-path"])
        .arg(place.sources.join("bindings/Cargo.toml"))
        .arg("--target-dir")
        .arg(target_dir().join("examples/c-bindings"))
        .arg("--")
        .args([&wit, &bindings]);
    quietly(&mut generator)?;
    let mut objects = vec![bindings.join("policy_component_type.o")];
    let own = SOURCES.map(|name| place.sources.join(name));
    for source in own.iter().chain([&bindings.join("policy.c")]) {
        let object = place.work.join(format!("{}.o", objects.len()));
        let mut compile = clang.command();
        compile
            .args(["-std=c23", "-O2", "-ffreestanding", "-fno-builtin", "-Wall", "-Wextra", "-Werror", "-I"])
            .arg(&bindings)
            .arg("-I")
            .arg(place.sources.join("include"))
            .arg("-c")
            .arg(source)
            .arg("-o")
            .arg(&object);
        quietly(&mut compile)?;
        objects.push(object);
    }
    Ok(toolchain.link(&objects, &place.out)?)
}
