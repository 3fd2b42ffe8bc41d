//! RocksDB keeps the contract of `Store`.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use berth_runtime::contract::Home;
use berth_runtime::store::Store;
use berth_store::{RocksOptions, RocksStore};
use tempfile::TempDir;

/// A folder for one test. Each crash moves on to a new one inside it.
struct Folder {
    parent: TempDir,
    crashes: Cell<u32>,
}

impl Folder {
    fn new() -> Self {
        Folder { parent: TempDir::new().expect("a temporary folder is made"), crashes: Cell::new(0) }
    }

    fn path(&self) -> PathBuf {
        self.parent.path().join(self.crashes.get().to_string())
    }
}

impl Home for Folder {
    fn open(&self) -> Box<dyn Store> {
        Box::new(RocksStore::open(self.path(), &RocksOptions::default()).expect("the store opens"))
    }

    /// The files as a killed process would leave them: copied while the store is open, so that nothing that a clean
    /// stop does can help. What a power cut takes besides is tested from outside, on the whole server.
    fn crash(&self, store: Box<dyn Store>) {
        let before = self.path();
        self.crashes.set(self.crashes.get() + 1);
        let after = self.path();
        fs::create_dir(&after).expect("a folder is made");
        for file in fs::read_dir(before).expect("the store's folder is read") {
            let file = file.expect("the store's folder is read");
            fs::copy(file.path(), after.join(file.file_name())).expect("a file is copied");
        }
        drop(store);
    }
}

berth_runtime::store_contract!(Folder::new());
