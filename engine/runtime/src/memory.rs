//! The `Store` port in memory, on a simulated disk: for simulation and for tests.
//!
//! Not for production and not a cache: nothing here reaches a real disk. [`Disk`] is what survives a crash,
//! [`MemoryStore`] is the process that uses it. Neither reads a clock nor draws a random number: the caller says
//! what a power cut spares and which commit fails, so that a seed replays exactly. `berth-store` is the real one;
//! `contract` holds both to the same rules.

mod disk;
mod log;
mod rows;
mod store;

pub use disk::Disk;
pub use store::{Failure, InFlight, MemoryStore};
