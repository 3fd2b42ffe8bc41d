//! The folder of one action on this machine: input root, temporary files, output of the command.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Failure};

/// What folders of actions are called, so that those of an earlier run are recognised.
const PREFIX: &str = "job-";

/// Lives as long as its lease. Removed by [`Scratch::remove`], or by the next start of the bot.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
}

impl Scratch {
    /// Blocks, as everything here.
    pub(crate) fn make(work_dir: &Path) -> Result<Self, Failure> {
        let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(work_dir).and_then(|folder| {
            // Removed by us: the library's removal gives up at a directory that the command made read-only.
            let folder = folder.keep();
            fs::create_dir(folder.join("tmp"))?;
            Ok(Self { folder })
        });
        made.map_err(|error| Failure::io("making a folder for the action", &error))
    }

    /// The input root.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// TMPDIR and HOME of a command that brings none.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    pub(crate) fn stdout(&self) -> PathBuf {
        self.folder.join("stdout")
    }

    pub(crate) fn stderr(&self) -> PathBuf {
        self.folder.join("stderr")
    }

    /// Empties it for a second run of the same action.
    pub(crate) fn reset(&self) -> Result<(), Failure> {
        let cleared = remove_tree(&self.root())
            .and_then(|()| remove_tree(&self.temporary()))
            .and_then(|()| fs::create_dir(self.temporary()));
        cleared.map_err(|error| Failure::io("clearing the folder of the action", &error))
    }

    pub(crate) fn remove(self) {
        if let Err(error) = remove_tree(&self.folder) {
            tracing::warn!(folder = ?self.folder, %error, "the folder of an action cannot be removed");
        }
    }
}

/// Removes what a bot that was killed left behind.
pub(crate) fn sweep(work_dir: &Path) -> Result<(), Error> {
    let folder = |source| Error::Folder { path: work_dir.to_owned(), source };
    for entry in fs::read_dir(work_dir).map_err(folder)? {
        let entry = entry.map_err(folder)?;
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Err(error) = remove_tree(&entry.path())
        {
            tracing::warn!(folder = ?entry.path(), %error, "the folder of an earlier action cannot be removed");
        }
    }
    Ok(())
}

/// Removes a folder, whatever modes its directories have.
fn remove_tree(folder: &Path) -> io::Result<()> {
    let mut result = fs::remove_dir_all(folder);
    // Twice is for what a killed process wrote in its last moment.
    for _ in 0..2 {
        match &result {
            Ok(()) => break,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => {
                open_directories(folder);
                result = fs::remove_dir_all(folder);
            }
        }
    }
    result
}

/// Makes all directories below ours to change. What fails shows when they are removed.
fn open_directories(folder: &Path) {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let _ = fs::set_permissions(&folder, fs::Permissions::from_mode(0o700));
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        // Not `is_dir`: that follows symlinks out of the tree.
        open.extend(
            entries
                .flatten()
                .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                .map(|entry| entry.path()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_directories_are_removed_and_links_out_of_the_tree_are_not_followed() {
        let work = tempfile::tempdir().unwrap();
        let outside = work.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        let scratch = Scratch::make(work.path()).unwrap();
        let closed = scratch.root().join("closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("file"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, closed.join("link")).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o500)).unwrap();
        scratch.remove();
        assert!(outside.join("kept").exists());
        assert_eq!(fs::read_dir(work.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_an_earlier_run_left_is_swept_and_nothing_else() {
        let work = tempfile::tempdir().unwrap();
        fs::write(work.path().join("mine"), "x").unwrap();
        let left = Scratch::make(work.path()).unwrap();
        assert!(left.temporary().exists());
        sweep(work.path()).unwrap();
        assert!(!left.temporary().exists());
        assert!(work.path().join("mine").exists());
    }
}
