//! A disk with one append-only file, a page cache, and a power switch.
//!
//! What was synced survives [`Disk::crash`]; of the rest the caller decides byte by byte. The file's content is
//! the business of `log`.

use std::sync::{Arc, Mutex, MutexGuard};

/// What survives a process. Clones share one disk: keep one, and open stores on it again and again.
#[derive(Clone, Debug)]
pub struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    /// The file as the running process sees it. Grown by `append`, exchanged by `replace`, cut by `crash`.
    bytes: Vec<u8>,
    /// How much of `bytes` a power cut spares for certain. Moved by `sync`.
    synced: usize,
    /// Which process owns the disk: raised by every boot and every crash, so that a dead one cannot write.
    life: u64,
    /// Off means that the disk acknowledges syncs without doing them. Set by the test.
    syncing: bool,
    /// What `space` answers and appends must fit. Set by the test; appending does not lower it.
    free_bytes: u64,
}

/// Why the disk did not do as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum DiskError {
    #[error("the process was killed")]
    Dead,
    #[error("no space is left on the disk")]
    Full,
}

impl Default for Disk {
    fn default() -> Self {
        let state = State { bytes: Vec::new(), synced: 0, life: 0, syncing: true, free_bytes: 1 << 40 };
        Self { state: Arc::new(Mutex::new(state)) }
    }
}

impl Disk {
    /// Cuts the power: the store that runs on this disk is dead, and what was not synced is at risk. `survive`
    /// sees the unsynced bytes, may spoil them, and answers how many of them stay; `|_| 0` loses them all.
    pub fn crash(&self, survive: impl FnOnce(&mut [u8]) -> usize) {
        let mut state = self.lock();
        let synced = state.synced;
        let kept = survive(&mut state.bytes[synced..]);
        let end = (synced + kept).min(state.bytes.len());
        state.bytes.truncate(end);
        state.synced = end;
        state.life += 1;
    }

    /// Makes the disk acknowledge syncs without doing them (`false`), as if the code had forgotten to sync.
    pub fn set_syncing(&self, syncing: bool) {
        self.lock().syncing = syncing;
    }

    /// Sets what the disk has left. A commit that needs more fails.
    pub fn set_free_bytes(&self, free_bytes: u64) {
        self.lock().free_bytes = free_bytes;
    }

    /// What the disk has left, as last set.
    pub fn free_bytes(&self) -> u64 {
        self.lock().free_bytes
    }

    /// Bytes that a power cut may take.
    pub fn unsynced_bytes(&self) -> usize {
        let state = self.lock();
        state.bytes.len() - state.synced
    }

    /// Size of the file, synced or not.
    pub fn used_bytes(&self) -> usize {
        self.lock().bytes.len()
    }

    /// Starts a process on the disk: the one before it, if it still runs, is cut off.
    pub(super) fn boot(&self) -> (u64, Vec<u8>) {
        let mut state = self.lock();
        state.life += 1;
        (state.life, state.bytes.clone())
    }

    pub(super) fn alive(&self, life: u64) -> Result<(), DiskError> {
        self.live(life).map(drop)
    }

    pub(super) fn append(&self, life: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut state = self.live(life)?;
        if bytes.len() as u64 > state.free_bytes {
            return Err(DiskError::Full);
        }
        state.bytes.extend_from_slice(bytes);
        Ok(())
    }

    pub(super) fn sync(&self, life: u64) -> Result<(), DiskError> {
        let mut state = self.live(life)?;
        if state.syncing {
            state.synced = state.bytes.len();
        }
        Ok(())
    }

    /// Drops the end of the file, as start-up does with a torn record.
    pub(super) fn truncate(&self, life: u64, len: usize) -> Result<(), DiskError> {
        let mut state = self.live(life)?;
        state.bytes.truncate(len);
        state.synced = state.synced.min(len);
        Ok(())
    }

    /// Exchanges the file for a new one in one step, as writing beside it, syncing and renaming does. A disk that
    /// does not sync keeps the old file, because there the new one could not be trusted.
    pub(super) fn replace(&self, life: u64, bytes: Vec<u8>) -> Result<(), DiskError> {
        let mut state = self.live(life)?;
        if state.syncing {
            state.synced = bytes.len();
            state.bytes = bytes;
        }
        Ok(())
    }

    fn live(&self, life: u64) -> Result<MutexGuard<'_, State>, DiskError> {
        let state = self.lock();
        if state.life == life { Ok(state) } else { Err(DiskError::Dead) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the disk")
    }
}
