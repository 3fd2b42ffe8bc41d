//! Opening a store: every way in which it can fail, told with the path and what to do about it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rocksdb::{ColumnFamilyDescriptor, DB, ErrorKind, Options};

use crate::keys;
use crate::tuning::{self, RocksOptions};

/// Why a store cannot be opened. The message is for the operator who reads it at start-up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be made or read.
    #[error("the store's folder {} cannot be used: {reason}", path.display())]
    Folder {
        /// The store's folder.
        path: PathBuf,
        /// What the system said.
        reason: io::Error,
    },
    /// The disk has too little room to start.
    #[error(
        "the disk is full: the store {} needs {needed_bytes} bytes to start, and {free_bytes} are free; \
         free {} bytes or more, then start again",
        path.display(), needed_bytes.saturating_sub(*free_bytes)
    )]
    Full {
        /// The store's folder.
        path: PathBuf,
        /// Bytes that must be free.
        needed_bytes: u64,
        /// Bytes that are free.
        free_bytes: u64,
    },
    /// Another process works on the store.
    #[error("another process has the store {} open: stop it, or use another folder", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// A newer Berth wrote the store.
    #[error("the store {} was written by a newer Berth ({found}): use that version or newer", path.display())]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// What this version does not know.
        found: String,
    },
    /// The files contradict each other or their checksums.
    #[error("the store {} is damaged: {reason}", path.display())]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
    /// RocksDB refused for another reason.
    #[error("the store {} cannot be opened: {reason}", path.display())]
    Refused {
        /// The store's folder.
        path: PathBuf,
        /// What RocksDB said.
        reason: String,
    },
}

/// Opens or makes the database in `path`, after checking that it can work there.
pub(crate) fn open(path: &Path, options: &RocksOptions) -> Result<DB, OpenError> {
    make_folder(path).map_err(|reason| folder(path, reason))?;
    let needed_bytes = bytes_to_start(path, options).map_err(|reason| folder(path, reason))?;
    let free_bytes = free_bytes(path).map_err(|reason| folder(path, reason))?;
    if free_bytes < needed_bytes {
        return Err(OpenError::Full { path: path.into(), needed_bytes, free_bytes });
    }
    let families = tuning::families(options);
    if let Some(found) = unknown_family(path, &families) {
        return Err(OpenError::Newer { path: path.into(), found: format!("it has a table {found}") });
    }
    let families = families.into_iter().map(|(name, options)| ColumnFamilyDescriptor::new(name, options));
    let db = DB::open_cf_descriptors(&tuning::database(options), path, families)
        .map_err(|error| explain(path, &error, needed_bytes))?;
    settle_format(&db, path, options)?;
    Ok(db)
}

/// Free bytes of the file system that holds `path`, as far as this process may use them.
pub(crate) fn free_bytes(path: &Path) -> io::Result<u64> {
    let stats = rustix::fs::statvfs(path)?;
    Ok(stats.f_bavail.saturating_mul(stats.f_frsize))
}

/// Makes the folder and syncs what leads to it: a power cut after the first commit must not take the folder away.
fn make_folder(path: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(path)?;
    let made = absolute.ancestors().take_while(|folder| !folder.exists()).count();
    fs::create_dir_all(&absolute)?;
    for folder in absolute.ancestors().skip(1).take(made) {
        File::open(folder)?.sync_all()?;
    }
    // Found here, a folder that is a file or is closed to us gives a better message than RocksDB's.
    fs::read_dir(&absolute).map(drop)
}

/// What opening may write: table files for all that the log holds, a new log, and the manifest.
fn bytes_to_start(path: &Path, options: &RocksOptions) -> io::Result<u64> {
    let mut needed = options.open_bytes_min;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if Path::new(&entry.file_name()).extension().is_some_and(|extension| extension == "log") {
            needed = needed.saturating_add(entry.metadata()?.len());
        }
    }
    Ok(needed)
}

/// RocksDB refuses to open a database with families that it is not told of; better to say whose they are.
fn unknown_family(path: &Path, known: &[(&str, Options)]) -> Option<String> {
    // An error here (there is no database yet, or it is damaged) comes up again, with a better message, on opening.
    let found = DB::list_cf(&Options::default(), path).unwrap_or_default();
    found.into_iter().find(|found| known.iter().all(|(name, _)| name != found))
}

fn settle_format(db: &DB, path: &Path, options: &RocksOptions) -> Result<(), OpenError> {
    let read = db.get(keys::FORMAT_KEY).map_err(|error| explain(path, &error, 0))?;
    match read.as_deref().map(<[u8; 4]>::try_from) {
        None => db
            .put_opt(keys::FORMAT_KEY, keys::FORMAT.to_be_bytes(), &tuning::writes(options))
            .map_err(|error| explain(path, &error, options.open_bytes_min)),
        Some(Ok(found)) if u32::from_be_bytes(found) <= keys::FORMAT => Ok(()),
        Some(Ok(found)) => {
            let found = format!("its format is {}, ours is {}", u32::from_be_bytes(found), keys::FORMAT);
            Err(OpenError::Newer { path: path.into(), found })
        }
        Some(Err(_)) => Err(OpenError::Damaged { path: path.into(), reason: "its format row is unreadable".into() }),
    }
}

fn folder(path: &Path, reason: io::Error) -> OpenError {
    OpenError::Folder { path: path.into(), reason }
}

/// RocksDB's errors are prose, so prose is what there is to go by.
fn explain(path: &Path, error: &rocksdb::Error, needed_bytes: u64) -> OpenError {
    let path = path.to_path_buf();
    let reason = error.as_ref().to_owned();
    let says = |words: &str| reason.to_lowercase().contains(words);
    match error.kind() {
        ErrorKind::IOError if says("while lock file") || says("lock hold by") => OpenError::Locked { path },
        ErrorKind::IOError if says("no space left") => {
            let free_bytes = free_bytes(&path).unwrap_or(0);
            OpenError::Full { path, needed_bytes: needed_bytes.max(free_bytes.saturating_add(1)), free_bytes }
        }
        ErrorKind::Corruption => OpenError::Damaged { path, reason },
        _ => OpenError::Refused { path, reason },
    }
}
