//! Builds the bundled plugins, which the binary carries inside, and collects the SDK for `berth plugin new`.

use std::path::{Path, PathBuf};

use berth_guest::{BUNDLED, Toolchain};

/// What the components are made from, beside the crates of that name.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "names", "sdk", "cases", "../wit"];

/// What `berth plugin new` puts beside a new policy: folders below the repository.
const VENDORED: [&str; 3] = ["plugins/sdk", "plugins/cases", "wit/berth-policy-1.0.0"];

fn main() {
    // Read while running: a script that two clones share through one target folder must not know where it was compiled.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the package");
    let plugins = Path::new(&here).join("../../plugins");
    for source in SOURCES.iter().chain(&BUNDLED) {
        println!("cargo::rerun-if-changed={}", plugins.join(source).display());
    }
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo names the folder for what is built"));
    let Some(toolchain) = Toolchain::find() else {
        // Getting one takes minutes and the network, which nobody expects of a build script.
        println!("cargo::error=the bundled plugins need a compiler for WebAssembly; get it with: cargo xtask setup");
        return;
    };
    if let Err(error) = vendor(&plugins.join(".."), &out.join("vendor.rs")) {
        println!("cargo::error=cannot collect the SDK: {error}");
        return;
    }
    let built = match toolchain.build_all(&plugins, &BUNDLED, &guests_dir(&out), &out) {
        Ok(built) => built,
        Err(error) => {
            println!("cargo::error=the bundled plugins: {error:#}; `cargo xtask setup` checks the compiler");
            return;
        }
    };
    let mut table = "&[\n".to_owned();
    for (package, component) in BUNDLED.iter().zip(built) {
        table += &format!("({package:?}, include_bytes!({component:?})),\n");
    }
    if let Err(error) = std::fs::write(out.join("bundled.rs"), table + "]\n") {
        println!("cargo::error=cannot write the table of bundled plugins: {error}");
    }
}

/// `guests` beside the folder of the profile, so that profiles and tests share what they compile; in our own folder if
/// cargo arranges its folders in another way. Never a folder that the cargo that called us has locked.
fn guests_dir(out: &Path) -> PathBuf {
    let target = out.ancestors().nth(4).filter(|target| target.join("CACHEDIR.TAG").is_file());
    target.unwrap_or(out).join("guests")
}

/// Writes the table of files that `berth plugin new` carries: path below the repository, and text.
fn vendor(repository: &Path, out: &Path) -> std::io::Result<()> {
    let mut files = Vec::new();
    for folder in VENDORED {
        println!("cargo::rerun-if-changed={}", repository.join(folder).display());
        collect(&repository.join(folder), &mut files)?;
    }
    files.sort();
    let mut table = "&[\n".to_owned();
    for file in files {
        let path = file.strip_prefix(repository).expect("it was found below").display().to_string();
        table += &format!("({path:?}, include_str!({:?})),\n", file.canonicalize()?);
    }
    let workspace = std::fs::read_to_string(repository.join("plugins/Cargo.toml"))?;
    table += &format!("({:?}, {:?}),\n]\n", "plugins/Cargo.toml", sdk_alone(&workspace));
    std::fs::write(out, table)
}

/// The workspace of the plugins with the SDK as its only members.
fn sdk_alone(workspace: &str) -> String {
    let (before, members) = workspace.split_once("members = [").expect("a workspace names its members");
    let (_, after) = members.split_once(']').expect("a list ends");
    format!("{before}members = [\"sdk\", \"cases\"]{after}")
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name == "target" => {}
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
