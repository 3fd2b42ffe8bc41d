//! Compiled code by the digest of the component, so that a start compiles nothing.
//!
//! wasmtime trusts what it loads, so the folder is for this user alone, and each file carries the digest of its code:
//! what a disk has changed is compiled again. Files of another wasmtime or another configuration are removed.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::host::HostError;
use crate::load::hex;

const DIGEST_BYTES: usize = 32;
const ENDING: &str = "cwasm";

pub(crate) struct Cache {
    folder: PathBuf,
    /// Of wasmtime's version and the configuration of the engine.
    environment: String,
}

impl Cache {
    /// Makes the folder if it is not there, and removes what this engine cannot use.
    pub(crate) fn open(folder: PathBuf, engine: &Engine) -> Result<Self, HostError> {
        let refused = |reason: String| HostError::Compiled { path: folder.clone(), reason };
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| refused(error.to_string()))?;
        let found = fs::metadata(&folder).map_err(|error| refused(error.to_string()))?;
        let owner = rustix::process::geteuid().as_raw();
        if found.uid() != owner {
            return Err(refused(format!("it belongs to user {}, and this is user {owner}", found.uid())));
        }
        if found.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))
                .map_err(|error| refused(format!("others may use it, and that cannot be changed: {error}")))?;
        }
        let cache = Self { environment: environment(engine), folder };
        cache.sweep();
        Ok(cache)
    }

    /// The code of a component, if it is there and whole.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let kept = fs::read(self.path(digest)).ok()?;
        let (told, code) = kept.split_at_checked(DIGEST_BYTES)?;
        if told != Sha256::digest(code).as_slice() {
            tracing::warn!(digest, "compiled plugin was damaged on disk; compiling it again");
            return None;
        }
        deserialize(engine, code).inspect_err(|error| tracing::warn!(digest, %error, "compiled plugin not usable")).ok()
    }

    /// Keeps the code. That it could not is only told: it is compiled again next time.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        if let Err(error) = self.write(digest, component) {
            tracing::warn!(digest, error, "compiled plugin not kept");
        }
    }

    /// Forgets a component.
    pub(crate) fn remove(&self, digest: &str) {
        // Not there is as good as removed.
        let _ = fs::remove_file(self.path(digest));
    }

    fn write(&self, digest: &str, component: &Component) -> Result<(), String> {
        let code = component.serialize().map_err(|error| format!("{error:#}"))?;
        let path = self.path(digest);
        let fresh = path.with_extension(format!("{ENDING}-{}", std::process::id()));
        let written = || {
            let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
            file.write_all(&Sha256::digest(&code))?;
            file.write_all(&code)?;
            fs::rename(&fresh, &path)
        };
        // Not synced: a torn file does not have the digest that it tells.
        written().map_err(|error| error.to_string())
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(format!("{digest}-{}.{ENDING}", self.environment))
    }

    fn sweep(&self) {
        let mine = format!("-{}.{ENDING}", self.environment);
        let foreign = |path: &Path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
            name.contains(ENDING) && !name.ends_with(&mine)
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        for path in entries.map(|entry| entry.path()).filter(|path| foreign(path)) {
            // Whoever else removed it did what is wanted.
            let _ = fs::remove_file(path);
        }
    }
}

fn environment(engine: &Engine) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    hex(&hasher.finish().to_be_bytes())
}

#[allow(unsafe_code, reason = "wasmtime cannot check machine code: the folder is ours alone, and the digest was right")]
fn deserialize(engine: &Engine, code: &[u8]) -> Result<Component, String> {
    // SAFETY: the bytes are those that `Component::serialize` gave us: they are in a folder that only this user can
    // write, and have the digest that was written with them. wasmtime itself refuses another version or configuration.
    unsafe { Component::deserialize(engine, code) }.map_err(|error| format!("{error:#}"))
}
