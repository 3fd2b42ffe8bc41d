//! Power cuts: what was not synced is gone. A kill alone does not show that, because the page cache outlives it.
//!
//! A small library (`syncs.c`) is loaded into the server and records each sync that succeeded. After the kill,
//! everything in the data folder that no sync covers is taken away:
//!
//! - a file is cut to the size that it had when its last sync began, and is empty if there was none;
//! - a name that was not in its folder when the folder was last synced is removed, with what it names.
//!
//! This is harsher than common file systems, which write more than they promise, and in three ways milder than the
//! worst disk: a removal or a replacement of a name that was not synced stays as it was done, bytes that were
//! written again after a sync keep their newer value, and a sync is taken at its word. Memory maps and O_SYNC are not
//! recorded: a server that came to rely on them would look as if it did not sync, and fail.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process,
    time::UNIX_EPOCH,
};

use tokio::process::Command;

/// Inode and time of birth: names a file for good.
type Identity = (u64, u128);

/// Watches a server's syncs.
#[derive(Debug)]
pub struct Power {
    library: PathBuf,
    record: PathBuf,
}

/// What a power cut took.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    /// Files that lost their end.
    pub files: u64,
    /// Paths that are gone, within the folder.
    pub names: Vec<PathBuf>,
    /// Bytes, of both.
    pub bytes: u64,
}

#[derive(Default)]
struct Synced {
    files: HashMap<Identity, u64>,
    folders: HashMap<Identity, HashSet<String>>,
}

impl Power {
    /// Compiles the library into a folder.
    ///
    /// # Panics
    /// If there is no C compiler.
    pub fn install(folder: &Path) -> Self {
        let (source, library) = (folder.join("syncs.c"), folder.join("libsyncs.so"));
        fs::write(&source, include_str!("syncs.c")).expect("the folder is ours");
        let mut compiler = process::Command::new("cc");
        compiler.args(["-std=gnu11", "-Wall", "-Werror", "-O2", "-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
        let compiled = compiler.arg("-ldl").output().expect("a C compiler is installed as `cc`");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        Self { library, record: folder.join("syncs") }
    }

    /// Loads the library into a program that is to be started.
    pub fn watch(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.library).env("BERTH_SYNC_RECORD", &self.record);
    }

    /// Takes away what was not synced in a folder. What is left is durable.
    ///
    /// # Panics
    /// If the library recorded nothing: then it was not loaded, and the cut would mean nothing.
    pub fn cut(&self, folder: &Path) -> Cut {
        let synced = self.read();
        let mut cut = Cut::default();
        cut_folder(folder, folder, &synced, &mut cut);
        let mut left = String::new();
        describe(folder, &mut left);
        fs::write(&self.record, left).expect("the folder is ours");
        cut
    }

    fn read(&self) -> Synced {
        let record = fs::read_to_string(&self.record).unwrap_or_default();
        assert!(!record.is_empty(), "no sync was recorded");
        let mut synced = Synced::default();
        // A line without its end is that of a sync which nobody has heard of.
        for line in record.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            let mut words = line.splitn(4, ' ');
            let mut word = || words.next().expect("a line has four words");
            let (kind, inode, birth, what) = (word(), word(), word(), word());
            let identity = (inode.parse().expect("a number"), birth.parse().expect("a number"));
            if kind == "f" {
                synced.files.insert(identity, what.parse().expect("a size"));
            } else {
                let names = what.split('/').filter(|name| !name.is_empty()).map(str::to_owned);
                synced.folders.insert(identity, names.collect());
            }
        }
        synced
    }
}

fn cut_folder(root: &Path, folder: &Path, synced: &Synced, cut: &mut Cut) {
    let names = synced.folders.get(&identity(folder));
    for (name, path) in entries(folder) {
        if !names.is_some_and(|names| names.contains(&name)) {
            cut.names.push(path.strip_prefix(root).expect("it lies in the root").into());
            cut.bytes += remove(&path);
        } else if path.is_dir() {
            cut_folder(root, &path, synced, cut);
        } else {
            let (size, kept) = (length(&path), synced.files.get(&identity(&path)).copied().unwrap_or(0));
            if size > kept {
                cut.files += 1;
                cut.bytes += size - kept;
                let file = fs::File::options().write(true).open(&path).expect("the server's files are ours");
                file.set_len(kept).expect("a file can be cut");
            }
        }
    }
}

fn remove(path: &Path) -> u64 {
    if !path.is_dir() {
        let size = length(path);
        fs::remove_file(path).expect("the server's files are ours");
        return size;
    }
    let bytes = entries(path).iter().map(|(_, path)| remove(path)).sum();
    fs::remove_dir(path).expect("it is empty now");
    bytes
}

/// A folder as it stands, in the words of the library.
fn describe(folder: &Path, record: &mut String) {
    let entries = entries(folder);
    let names: String = entries.iter().flat_map(|(name, _)| [name, "/"]).collect();
    let (inode, birth) = identity(folder);
    writeln!(record, "d {inode} {birth} {names}").expect("a string takes any text");
    for (_, path) in entries {
        if path.is_dir() {
            describe(&path, record);
        } else {
            let (inode, birth) = identity(&path);
            writeln!(record, "f {inode} {birth} {}", length(&path)).expect("a string takes any text");
        }
    }
}

fn entries(folder: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(folder).expect("the folder is ours").map(|entry| entry.expect("it can be read"));
    entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path())).collect()
}

fn length(path: &Path) -> u64 {
    path.metadata().expect("nobody else removes files here").len()
}

fn identity(path: &Path) -> Identity {
    let metadata = path.metadata().expect("nobody else removes files here");
    let birth = metadata.created().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (metadata.ino(), birth.map_or(0, |birth| birth.as_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_synced_outlives_a_cut() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let power = Power::install(folder.path());
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("the folder is ours");
        // `sync -d FILE` is fdatasync, `sync FOLDER` is fsync, both of coreutils.
        let script =
            "printf kept > a; printf gone > b; sync -d a; printf more >> a; sync . ; printf late > c; sync -d c";
        let mut shell = process::Command::new("sh");
        shell.args(["-c", script]).current_dir(&data);
        shell.env("LD_PRELOAD", &power.library).env("BERTH_SYNC_RECORD", &power.record);
        assert!(shell.status().expect("a shell").success());
        let cut = power.cut(&data);
        assert_eq!((cut.files, cut.names, cut.bytes), (2, vec!["c".into()], 12));
        assert_eq!(fs::read_to_string(data.join("a")).expect("it is there"), "kept");
        assert_eq!(fs::read_to_string(data.join("b")).expect("it is there"), "");
        assert!(!data.join("c").exists());
        let cut = power.cut(&data);
        assert_eq!((cut.files, cut.names, cut.bytes), (0, vec![], 0));
    }
}
