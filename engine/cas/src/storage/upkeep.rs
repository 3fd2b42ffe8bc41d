//! What runs now and then: touch times to disk, idle uploads dropped, large pins given back.

use std::sync::{Arc, Weak};
use std::time::Duration;

use super::{Storage, lock};

impl Storage {
    /// One round of upkeep. Blocks. A thread does this by itself; call it before a planned end, too.
    pub fn upkeep(&self) {
        self.drop_idle_uploads();
        let touched = {
            let mut blobs = lock(&self.blobs);
            blobs.pins.step();
            blobs.take_dirty()
        };
        // In parts, so that no batch is large. A failure costs the order of eviction after a restart, nothing else.
        for part in touched.chunks(8192) {
            if let Err(error) = self.rows.set_touched(part) {
                tracing::warn!(%error, "touch times were not written");
                return;
            }
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        self.upkeep();
    }
}

/// Runs upkeep until the storage is gone. The thread holds no share in between, so that it keeps nothing alive.
pub(crate) fn start(storage: &Arc<Storage>) {
    let (weak, every) = (Arc::downgrade(storage), storage.options.upkeep_every.max(Duration::from_millis(100)));
    std::thread::Builder::new()
        .name("cas-upkeep".into())
        .spawn(move || run(&weak, every))
        .expect("the system can start a thread");
}

fn run(storage: &Weak<Storage>, every: Duration) {
    loop {
        std::thread::sleep(every);
        let Some(storage) = storage.upgrade() else { return };
        storage.upkeep();
    }
}
