//! berth-store: the `Store` port on RocksDB, the embedded default.
//!
//! [`RocksStore`] keeps rows and nothing more; what rows mean is in `berth-runtime`, whose contract suite the tests
//! here run. `open` says what can go wrong at start-up, `tuning` why RocksDB is set up as it is, `keys` how a
//! partition's rows are laid out.

mod keys;
mod open;
mod rocks;
mod stats;
mod tuning;

pub use open::OpenError;
pub use rocks::RocksStore;
pub use stats::{StoreStats, TableStats};
pub use tuning::RocksOptions;
