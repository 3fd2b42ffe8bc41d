//! What an action holds of the cache, and what is found when it gives that back.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use super::index::Ready;
use super::{FileCache, Key, Stamp};
use crate::error::Failure;

/// One entry, kept in the cache until this is dropped.
#[derive(Debug)]
pub(super) struct Lent {
    cache: Arc<FileCache>,
    key: Key,
    /// Taken when it goes back.
    ready: Option<Ready>,
}

/// All entries that an action needs.
#[derive(Debug, Default)]
pub(crate) struct Loan {
    entries: HashMap<Key, Lent>,
}

/// What the entries looked like when they came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// As they were lent.
    Untouched,
    /// This borrower wrote to its inputs, and nobody else saw it.
    WrittenByUs,
    /// An entry changed while somebody else had it too: the bytes that the command read are not certain.
    Uncertain,
}

impl Loan {
    pub(super) fn add(&mut self, lent: Lent) {
        self.entries.insert(lent.key, lent);
    }

    /// Whether an input may be a hard link, as far as its content goes.
    pub(crate) fn is_linkable(&self, key: &Key) -> bool {
        self.lent(key).ready().linkable
    }

    /// Hard-links an entry to `to`, or copies it where the file system cannot link. Blocks.
    pub(crate) fn link(&self, key: &Key, to: &Path) -> Result<(), Failure> {
        let lent = self.lent(key);
        match fs::hard_link(lent.cache.path(key), to) {
            Ok(()) => lent.check(),
            // Another file system, or as many links as an inode can have.
            Err(error) if matches!(error.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::TooManyLinks) => {
                self.copy(key, to, key.mode())
            }
            Err(error) => Err(Failure::io("making an input file", &error)),
        }
    }

    /// Copies an entry to `to`, with the given mode. Blocks.
    pub(crate) fn copy(&self, key: &Key, to: &Path, mode: u32) -> Result<(), Failure> {
        let lent = self.lent(key);
        fs::copy(lent.cache.path(key), to)
            .and_then(|_| fs::set_permissions(to, fs::Permissions::from_mode(mode)))
            .map_err(|error| Failure::io("making an input file", &error))?;
        lent.check()
    }

    fn lent(&self, key: &Key) -> &Lent {
        self.entries.get(key).expect("an action only makes files that it has borrowed")
    }

    /// Ends the loan and looks at each entry. Blocks.
    pub(crate) fn give_back(self) -> Verdict {
        self.entries.into_values().map(|mut lent| lent.settle()).max().unwrap_or(Verdict::Untouched)
    }
}

impl Lent {
    pub(super) fn new(cache: Arc<FileCache>, key: Key, ready: Ready) -> Self {
        Self { cache, key, ready: Some(ready) }
    }

    fn ready(&self) -> &Ready {
        self.ready.as_ref().expect("it is only taken when the entry goes back")
    }

    /// The entry is still what was lent. If it is not, the action comes again and gets a fresh one.
    fn check(&self) -> Result<(), Failure> {
        match Stamp::of(&self.cache.path(&self.key)) {
            Ok(found) if found == self.ready().stamp => Ok(()),
            Ok(_) | Err(_) => Err(Failure::Unavailable("an input file was changed by another action".into())),
        }
    }

    fn settle(&mut self) -> Verdict {
        let Some(ready) = self.ready.take() else { return Verdict::Untouched };
        let (cache, key) = (&self.cache, &self.key);
        // Whoever finds a change deletes the file under the same lock, so that nobody borrows it in between.
        let mut index = cache.index();
        let same = Stamp::of(&cache.path(key)).is_ok_and(|found| found == ready.stamp);
        let verdict = match index.returned(key, &ready) {
            Some(_) if same => Verdict::Untouched,
            Some(sole) => {
                tracing::info!(digest = %key.digest, "an action wrote to a cached input; it will be copied from now on");
                index.spoiled(key);
                cache.delete(key);
                if sole { Verdict::WrittenByUs } else { Verdict::Uncertain }
            }
            None => Verdict::Uncertain,
        };
        cache.cut_back(&mut index);
        verdict
    }
}

impl Drop for Lent {
    /// For the ways out on which no result depends on the verdict.
    fn drop(&mut self) {
        self.settle();
    }
}
