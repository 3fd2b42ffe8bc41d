//! Puts the input root on disk: directories, files (linked from the cache or copied), symlinks, and the directories
//! that outputs go to. Blocks.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use prost_types::Timestamp;
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_OMIT, utimensat};
use tokio_util::sync::CancellationToken;

use crate::cache::Loan;
use crate::collect::Outputs;
use crate::error::Failure;
use crate::paths::stays_inside;
use crate::tree::{FileEntry, Plan, Properties};

/// How input files come into the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inputs {
    /// Hard links where the crate's page on them allows it.
    Linked,
    /// Copies only.
    Copied,
}

/// Makes the input root at `root`, which must not exist.
pub(crate) fn lay_out(
    root: &Path,
    plan: &Plan,
    outputs: &Outputs,
    loan: &Loan,
    inputs: Inputs,
    killed: &CancellationToken,
) -> Result<(), Failure> {
    for directory in &plan.directories {
        alive(killed)?;
        fs::create_dir(root.join(&directory.path)).map_err(|error| Failure::io("making an input directory", &error))?;
    }
    for file in &plan.files {
        alive(killed)?;
        lay_file(root, file, outputs, loan, inputs)?;
    }
    for link in &plan.symlinks {
        let path = root.join(&link.path);
        symlink(&link.target, &path).map_err(|error| Failure::io("making an input symlink", &error))?;
        set_mtime(&path, link.mtime)?;
    }
    for directory in outputs.directories_to_make() {
        make_directory(root, directory)?;
    }
    // Last, since each file that is made in a directory changes its mtime; children before parents.
    for directory in plan.directories.iter().rev() {
        let path = root.join(&directory.path);
        if let Some(mode) = directory.properties.mode {
            // Outputs must have room, and we must be able to read them.
            set_mode(&path, mode | 0o700)?;
        }
        set_mtime(&path, directory.properties.mtime)?;
    }
    Ok(())
}

fn lay_file(root: &Path, file: &FileEntry, outputs: &Outputs, loan: &Loan, inputs: Inputs) -> Result<(), Failure> {
    let path = root.join(&file.path);
    let plain = file.properties == Properties::default();
    if inputs == Inputs::Linked && plain && loan.is_linkable(&file.key) && !outputs.covers(&file.path) {
        return loan.link(&file.key, &path);
    }
    let writable = if file.key.executable { 0o755 } else { 0o644 };
    loan.copy(&file.key, &path, file.properties.mode.unwrap_or(writable))?;
    set_mtime(&path, file.properties.mtime)
}

/// Makes a directory that outputs go to, with its parents, but never through a symlink out of the root.
fn make_directory(root: &Path, directory: &Path) -> Result<(), Failure> {
    let path = root.join(directory);
    let trouble = |error: io::Error| match error.kind() {
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => Failure::BadAction(format!(
            "{directory:?} has to be a directory for outputs, but the input tree has a file"
        )),
        _ => Failure::io("making a directory for outputs", &error),
    };
    if !stays_inside(root, &path).map_err(trouble)? {
        return Err(Failure::BadAction(format!("{directory:?} leaves the input root")));
    }
    fs::create_dir_all(&path).map_err(trouble)
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Failure> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(|error| Failure::io("setting the mode of an input", &error))
}

fn set_mtime(path: &Path, mtime: Option<Timestamp>) -> Result<(), Failure> {
    let Some(mtime) = mtime else { return Ok(()) };
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanos.into() },
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|error| Failure::io("setting the mtime of an input", &error.into()))
}

/// Work on a large root stops soon after its lease was taken away.
pub(crate) fn alive(killed: &CancellationToken) -> Result<(), Failure> {
    if killed.is_cancelled() { Err(Failure::Killed) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
