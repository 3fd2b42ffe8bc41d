//! berth-cas: content-addressable storage, action cache and byte streams.
//!
//! Two ways to have them, both behind the engine's `Cas` port and both with gRPC services for clients:
//! [`EmbeddedCas`] keeps everything in a folder of this machine ([`Storage`]), [`ExternalCas`] uses a server by
//! address. Not for rules about jobs: what is pinned and when a result may be cached is the engine's business.
//! Start reading at `storage/mod.rs`.

mod blocking;
mod clock;
mod embedded;
mod error;
mod external;
mod limits;
mod names;
mod outputs;
mod service;
mod storage;
mod tree;

pub use clock::{Clock, SystemClock};
pub use embedded::EmbeddedCas;
pub use error::Error;
pub use external::ExternalCas;
pub use limits::{BATCH_BYTES_MAX, MESSAGE_BYTES_MAX};
pub use storage::{Storage, StorageOptions};
