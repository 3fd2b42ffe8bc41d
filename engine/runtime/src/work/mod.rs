//! Coordinate's work, durable: the driver of one namespace, its rows, and the handle that doors use.
//!
//! A namespace is a partition of its own, with a driver of its own, so that a bulk add there never delays a build. The
//! rules are in `berth_core::work`; [`WorkPartition`] is the loop's body, synchronous and deterministic; [`WorkBook`] is
//! the handle on the real loop. A call is a closure over the book: what it answers leaves once everything that it did and
//! saw is on disk.

mod codec;
mod driver;
mod handle;
mod namespaces;
mod partition;
mod recover;
mod telling;

pub use self::{
    handle::{Pending, Stopping, WorkBook, WorkOptions},
    namespaces::{NamespaceError, Namespaces, OptionsOf},
    partition::{Ask, Call, Steps, Turn, Waiter, WorkPartition},
    recover::recover,
};
