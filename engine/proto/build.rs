//! Turns every `.proto` under `proto/` into Rust: messages, clients, servers and one descriptor set.
//!
//! A new file there needs no change here, only a `pub use` in `src/lib.rs`. The compiler is protox, so that a
//! fresh machine needs no `protoc`; nothing that is generated is committed.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    // Read while running: a script that two clones share through one target folder must not know where it was compiled.
    let here = env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo names the folder of the package")?;
    let root = Path::new(&here).join("../../proto");
    // Cargo walks the folder itself: new and removed files count as changes too.
    println!("cargo::rerun-if-changed={}", root.display());

    let mut files = Vec::new();
    collect(&root, &mut files)?;
    // The order of a folder differs from machine to machine; what we build must not.
    files.sort();

    let out = PathBuf::from(env::var("OUT_DIR")?);
    let mut compiler = protox::Compiler::new([&root])?;
    compiler.include_imports(true).open_files(&files)?;
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;

    // Comments of the contracts become docs of the types. They stay out of the descriptors, which only serve reflection.
    let mut documented = protox::Compiler::new([&root])?;
    documented.include_imports(true).include_source_info(true).open_files(&files)?;
    // A decoded `Bytes` shares the buffer that came from the network; a `Vec<u8>` would copy each blob once more.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".")
        .include_file("packages.rs")
        .emit_rerun_if_changed(false)
        .compile_fds_with_config(documented.file_descriptor_set(), config)?;
    Ok(())
}

/// Appends all `.proto` files below `folder`, however deep.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    Ok(())
}
