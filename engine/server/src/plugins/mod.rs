//! The life of plugins in a server: loaded, observed, active, rolled back, quarantined. What is active is in the store and
//! comes back after a restart; the configuration file and the API change the same thing.
//!
//! Start at `set` (what is swapped as a whole), then `ledger` (what may become active next), then `changes`.

pub(crate) mod answerer;
pub(crate) mod bundled;
mod changes;
pub(crate) mod examples;
mod ledger;
mod listening;
mod observing;
pub(crate) mod registry;
mod rows;
pub(crate) mod service;
pub(crate) mod set;
pub(crate) mod settings;
pub(crate) mod source;
pub(crate) mod start;
pub(crate) mod told;
pub(crate) mod versions;
