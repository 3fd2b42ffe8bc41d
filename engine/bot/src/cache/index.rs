//! What the cache knows of its files: memory only, the folder is the truth.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use tokio::sync::watch;

use super::{Key, Stamp};

/// Content known to be written to; beyond this many the set starts over, which costs a few more checks.
const COPY_ONLY_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Index {
    entries: HashMap<Key, Entry>,
    /// Files of an earlier run, not trusted yet. They go first when space is needed.
    old: BTreeSet<Key>,
    /// Entries that nobody holds, by the time of their last return.
    idle: BTreeMap<u64, Key>,
    /// Counts installations and returns.
    clock: u64,
    /// Size of all files, old ones included.
    bytes: u64,
    copy_only: HashSet<Key>,
}

#[derive(Debug)]
enum Entry {
    /// Somebody fetches it; the channel closes when that is over.
    Coming(watch::Receiver<()>),
    Here(Here),
}

#[derive(Debug)]
struct Here {
    stamp: Stamp,
    /// Tells this file from one that was fetched again under the same key.
    serial: u64,
    /// How many hold it now.
    loans: u32,
    /// How many have held it since it was fetched.
    lent: u64,
    /// Its place in `idle`, while `loans` is 0.
    idle_since: u64,
}

/// An entry as its borrower sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    pub(super) stamp: Stamp,
    pub(super) serial: u64,
    /// Whether nobody else held it when it was lent.
    pub(super) alone: bool,
    /// The how-manieth loan of this file it is.
    pub(super) lent: u64,
    /// Whether it may be hard-linked.
    pub(super) linkable: bool,
}

/// The answer to somebody who needs an entry.
#[derive(Debug)]
pub(super) enum Claim {
    Ready(Ready),
    /// Another action fetches it: wait for the channel to close, then ask again.
    Coming(watch::Receiver<()>),
    /// The caller is to fetch it; drop the sender when that is over. `on_disk`: an old file may have it.
    Yours {
        done: watch::Sender<()>,
        on_disk: bool,
    },
}

impl Index {
    pub(super) fn found_at_start(&mut self, key: Key) {
        if self.old.insert(key) {
            self.bytes += key.digest.size_bytes;
        }
    }

    pub(super) fn claim(&mut self, key: Key) -> Claim {
        let linkable = !self.copy_only.contains(&key);
        match self.entries.get_mut(&key) {
            Some(Entry::Here(here)) => {
                if here.loans == 0 {
                    self.idle.remove(&here.idle_since);
                }
                let alone = here.loans == 0;
                here.loans += 1;
                here.lent += 1;
                Claim::Ready(Ready { stamp: here.stamp, serial: here.serial, alone, lent: here.lent, linkable })
            }
            Some(Entry::Coming(done)) => Claim::Coming(done.clone()),
            None => {
                let (done, waiting) = watch::channel(());
                self.entries.insert(key, Entry::Coming(waiting));
                let on_disk = self.old.remove(&key);
                if on_disk {
                    // Counted again when it proves good; deleted otherwise.
                    self.bytes -= key.digest.size_bytes;
                }
                Claim::Yours { done, on_disk }
            }
        }
    }

    /// The file of a claimed key is in place; it is lent to whom fetched it.
    pub(super) fn installed(&mut self, key: Key, stamp: Stamp) -> Ready {
        self.clock += 1;
        let here = Here { stamp, serial: self.clock, loans: 1, lent: 1, idle_since: 0 };
        let ready =
            Ready { stamp, serial: here.serial, alone: true, lent: 1, linkable: !self.copy_only.contains(&key) };
        self.entries.insert(key, Entry::Here(here));
        self.bytes += key.digest.size_bytes;
        ready
    }

    /// A claimed key was not fetched after all.
    pub(super) fn given_up(&mut self, key: &Key) {
        if let Some(Entry::Coming(_)) = self.entries.get(key) {
            self.entries.remove(key);
        }
    }

    /// Takes an entry back. `None`: this file is not the entry any more, because another borrower found it changed.
    /// Otherwise whether nobody else held it during the loan.
    pub(super) fn returned(&mut self, key: &Key, ready: &Ready) -> Option<bool> {
        let Some(Entry::Here(here)) = self.entries.get_mut(key) else { return None };
        if here.serial != ready.serial {
            return None;
        }
        here.loans -= 1;
        let sole = ready.alone && here.lent == ready.lent;
        if here.loans == 0 {
            self.clock += 1;
            here.idle_since = self.clock;
            self.idle.insert(here.idle_since, *key);
        }
        Some(sole)
    }

    /// Forgets an entry that was written to. The file is the caller's to delete.
    pub(super) fn spoiled(&mut self, key: &Key) {
        if let Some(Entry::Here(here)) = self.entries.remove(key) {
            if here.loans == 0 {
                self.idle.remove(&here.idle_since);
            }
            self.bytes -= key.digest.size_bytes;
        }
        if self.copy_only.len() >= COPY_ONLY_MAX {
            self.copy_only.clear();
        }
        self.copy_only.insert(*key);
    }

    /// Forgets one entry, if all together are larger than `bytes_max` and one can go.
    pub(super) fn evict_beyond(&mut self, bytes_max: u64) -> Option<Key> {
        if self.bytes <= bytes_max {
            return None;
        }
        let key = match self.old.pop_first() {
            Some(key) => key,
            None => {
                let (_, key) = self.idle.pop_first()?;
                self.entries.remove(&key);
                key
            }
        };
        self.bytes -= key.digest.size_bytes;
        Some(key)
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}
