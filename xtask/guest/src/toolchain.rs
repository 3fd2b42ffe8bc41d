//! Where the compiler and the linker for guests are.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::debian::{self, Unpacked};
use crate::environment::{clean_cargo, holds_std, output_of, run};

/// The target of all guests. It imports nothing by itself, so a guest's sandbox is empty by construction.
pub const GUEST_TARGET: &str = "wasm32-unknown-unknown";

/// A compiler for [`GUEST_TARGET`] and a linker that writes components. Building with it needs no network
/// beyond what the guest's own dependencies need.
#[derive(Clone, Debug)]
pub struct Toolchain {
    linker: PathBuf,
    wasm_ld: PathBuf,
    /// Set where rustup's toolchain has no std for the target, and Debian's compiler stands in.
    unpacked: Option<Unpacked>,
}

/// The parts of the toolchain that cargo uses here, whether or not it can compile guests.
struct Installed {
    linker: PathBuf,
    wasm_ld: PathBuf,
    has_std: bool,
    minor: u32,
}

impl Toolchain {
    /// A toolchain that is ready to use. Quick: looks, installs nothing.
    pub fn find() -> Option<Self> {
        let installed = Installed::look().ok()?;
        Self::ready(&installed)
    }

    /// A toolchain that is ready to use; gets what is missing. `progress` receives a line before each step that
    /// may take a while, and the tools that do the work write to stderr.
    ///
    /// Two ways, the cheaper first: `rustup target add`, and where that cannot download, Debian's packages
    /// `rustc-web` and `rust-web-src`, unpacked into the user's cache folder. Nothing is installed system-wide.
    pub fn prepare(progress: &mut dyn FnMut(&str)) -> Result<Self> {
        let installed = Installed::look()?;
        if let Some(ready) = Self::ready(&installed) {
            return Ok(ready);
        }
        progress(&format!("adding {GUEST_TARGET} to rustup's toolchain"));
        // One attempt: where there is no way to the server, there is another way to a compiler. Nobody wants to
        // read where in rustup that was noticed.
        let mut add = Command::new("rustup");
        add.args(["target", "add", GUEST_TARGET]).env("RUSTUP_MAX_RETRIES", "1").env("RUST_BACKTRACE", "0");
        if let Err(error) = run(&mut add) {
            progress(&format!("rustup cannot: {error:#}; taking Debian's compiler instead"));
            debian::prepare(installed.minor, progress).with_context(|| {
                format!(
                    "no standard library for {GUEST_TARGET}: `rustup target add {GUEST_TARGET}` failed, and Debian's \
                     packages could not stand in. Make one of the two work, then run `cargo xtask setup` again"
                )
            })?;
        }
        Self::ready(&Installed::look()?).context("the toolchain was prepared but is not found; this is a bug")
    }

    fn ready(installed: &Installed) -> Option<Self> {
        let unpacked = if installed.has_std { None } else { Some(Unpacked::find()?) };
        Some(Self { linker: installed.linker.clone(), wasm_ld: installed.wasm_ld.clone(), unpacked })
    }

    /// The linker that writes components.
    pub(crate) fn linker(&self) -> Command {
        let mut linker = Command::new(&self.linker);
        linker.arg("--wasm-ld-path").arg(&self.wasm_ld);
        linker
    }

    /// A cargo that compiles with this toolchain. `remap` are folders whose names must not get into the component,
    /// with what stands there instead: so that the same sources give the same digest on every machine.
    pub(crate) fn cargo(&self, remap: &[(&Path, &str)]) -> Command {
        let mut cargo = clean_cargo();
        let mut flags = vec![format!("-Clink-arg=--wasm-ld-path={}", self.wasm_ld.display())];
        for (folder, name) in remap {
            flags.push(format!("--remap-path-prefix={}={name}", folder.display()));
        }
        // Encoded: folders may have spaces in their names.
        cargo.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &self.linker);
        if let Some(unpacked) = &self.unpacked {
            unpacked.use_in(&mut cargo);
        }
        cargo
    }
}

/// What will compile the guests, in a few words.
impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unpacked {
            None => write!(out, "rustup's {GUEST_TARGET}"),
            Some(unpacked) => write!(out, "Debian's rustc-web, unpacked in {}", unpacked.root().display()),
        }
    }
}

impl Installed {
    fn look() -> Result<Self> {
        // A build script is told which compiler is in use; elsewhere it is the one in PATH.
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let sysroot = output_of(Command::new(&rustc).args(["--print", "sysroot"]))?;
        let version = output_of(Command::new(&rustc).arg("-vV"))?;
        let field = |name: &str| version.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let host = field("host:").context("`rustc -vV` does not name its host")?;
        let minor = field("release:").and_then(|release| release.split('.').nth(1)?.parse().ok());

        let libraries = Path::new(sysroot.trim()).join("lib/rustlib");
        let tools = libraries.join(host).join("bin");
        let (linker, wasm_ld) = (tools.join("wasm-component-ld"), tools.join("gcc-ld/wasm-ld"));
        for tool in [&linker, &wasm_ld] {
            if !tool.is_file() {
                bail!("{} is missing: use a Rust toolchain that was installed by rustup", tool.display());
            }
        }
        let has_std = holds_std(&libraries.join(GUEST_TARGET).join("lib"));
        Ok(Self { linker, wasm_ld, has_std, minor: minor.context("`rustc -vV` does not name its release")? })
    }
}
