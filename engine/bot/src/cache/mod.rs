//! Input files kept on local disk between actions, by digest. Several bots of a process may share one.
//!
//! `FileCache` is the folder, `fetch` fills it from the CAS, and a `Loan` is what an action holds of it: while lent,
//! an entry stays. When the loan ends each entry is compared with what was recorded (see the crate's page on hard
//! links). What is found at start-up is only used after its content was hashed again: a crash of the machine may
//! have torn it.

mod fetch;
mod index;
mod loan;

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

use berth_core::Digest;

use crate::error::{Error, Failure};
use index::Index;
use loan::Lent;
pub(crate) use loan::{Loan, Verdict};

/// What a cached file is: a hard link shares its mode, so the executable bit makes another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) digest: Digest,
    pub(crate) executable: bool,
}

impl Key {
    pub(crate) fn mode(&self) -> u32 {
        if self.executable { 0o555 } else { 0o444 }
    }

    fn file_name(&self) -> String {
        let suffix = if self.executable { "x" } else { "" };
        format!("{}-{}{suffix}", self.digest.hex(), self.digest.size_bytes)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let (hash, rest) = name.split_once('-')?;
        let (size, executable) = rest.strip_suffix('x').map_or((rest, false), |size| (size, true));
        Some(Self { digest: Digest::parse(hash, size.parse().ok()?).ok()?, executable })
    }
}

/// What must stay as it was for content to be trusted without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    inode: u64,
    size_bytes: u64,
    mode: u32,
    mtime: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        Ok(Self {
            inode: found.ino(),
            size_bytes: found.len(),
            mode: found.mode(),
            mtime: (found.mtime(), found.mtime_nsec()),
        })
    }
}

/// A folder of input files, bounded in size. Open it once a process and share it.
#[derive(Debug)]
pub struct FileCache {
    dir: PathBuf,
    bytes_max: u64,
    index: Mutex<Index>,
    /// Held for as long as the cache is used: two processes would delete each other's files.
    _lock: File,
}

impl FileCache {
    /// Opens or makes the folder `dir`. Blocks; not for a runtime's worker thread.
    pub fn open(dir: PathBuf, bytes_max: u64) -> Result<Arc<Self>, Error> {
        let lock = lock_folder(&dir)?;
        let folder = |source| Error::Folder { path: dir.clone(), source };
        let incoming = dir.join(INCOMING);
        // Half-written files of an earlier run.
        if incoming.exists() {
            fs::remove_dir_all(&incoming).map_err(folder)?;
        }
        fs::create_dir(&incoming).map_err(folder)?;
        let mut index = Index::default();
        for shard in fs::read_dir(&dir).map_err(folder)? {
            let shard = shard.map_err(folder)?.path();
            if !shard.is_dir() || shard == incoming {
                continue;
            }
            for file in fs::read_dir(&shard).map_err(folder)? {
                let file = file.map_err(folder)?;
                if let Some(key) = file.file_name().to_str().and_then(Key::from_file_name) {
                    index.found_at_start(key);
                }
            }
        }
        let cache = Self { dir, bytes_max, index: Mutex::new(index), _lock: lock };
        cache.cut_back(&mut cache.index());
        Ok(Arc::new(cache))
    }

    /// Where the content of `key` is or would be.
    fn path(&self, key: &Key) -> PathBuf {
        let name = key.file_name();
        self.dir.join(&name[..2]).join(&name)
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().expect("no code panics while it holds the index")
    }

    /// A new file for content that is on its way.
    fn incoming(&self) -> Result<tempfile::NamedTempFile, Failure> {
        tempfile::NamedTempFile::new_in(self.dir.join(INCOMING)).map_err(|error| Failure::io("making a file", &error))
    }

    /// Makes a complete, checked file the entry of `key`, lent once. Blocks.
    fn install(self: &Arc<Self>, key: &Key, file: tempfile::TempPath) -> Result<Lent, Failure> {
        let stamp = self.install_file(key, &file).map_err(|error| Failure::io("keeping an input file", &error))?;
        // Renamed already; there is nothing left to delete.
        let _ = file.keep();
        let mut index = self.index();
        let ready = index.installed(*key, stamp);
        self.cut_back(&mut index);
        Ok(Lent::new(Arc::clone(self), *key, ready))
    }

    fn install_file(&self, key: &Key, file: &Path) -> io::Result<Stamp> {
        seal(file, key)?;
        let path = self.path(key);
        let shard = path.parent().expect("entries are in shards");
        if let Err(error) = fs::create_dir(shard)
            && error.kind() != io::ErrorKind::AlreadyExists
        {
            return Err(error);
        }
        fs::rename(file, &path)?;
        Stamp::of(&path)
    }

    /// Deletes the oldest entries that nobody holds until the rest fits. Under the lock: a file that is fetched again
    /// meanwhile must not be the one that is deleted.
    fn cut_back(&self, index: &mut Index) {
        while let Some(key) = index.evict_beyond(self.bytes_max) {
            self.delete(&key);
        }
    }

    fn delete(&self, key: &Key) {
        if let Err(error) = fs::remove_file(self.path(key))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(digest = %key.digest, %error, "a cached file cannot be deleted");
        }
    }

    /// An entry without a CAS, for tests of what is done with entries.
    #[cfg(test)]
    pub(crate) fn keep_for_test(self: &Arc<Self>, key: &Key, data: &[u8]) -> impl Drop + use<> {
        self.install_bytes(key, data).expect("test folders can be written")
    }

    #[cfg(test)]
    fn size_bytes(&self) -> u64 {
        self.index().bytes()
    }
}

/// Files that are being written; renamed into their shard when complete.
const INCOMING: &str = "incoming";

/// Read-only, and with one old mtime: the clock that stamps writes ticks in milliseconds, so a write soon after the
/// download could otherwise leave the same mtime behind.
fn seal(file: &Path, key: &Key) -> io::Result<()> {
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800);
    File::open(file)?.set_modified(past)?;
    fs::set_permissions(file, fs::Permissions::from_mode(key.mode()))
}

/// Makes `dir`, for our eyes only, and keeps other bots out of it.
pub(crate) fn lock_folder(dir: &Path) -> Result<File, Error> {
    let folder = |source| Error::Folder { path: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(folder)?;
    let lock = File::create(dir.join(".lock")).map_err(folder)?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(Error::Locked(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(folder(source)),
    }
}

#[cfg(test)]
mod tests;
