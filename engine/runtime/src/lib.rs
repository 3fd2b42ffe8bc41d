//! berth-runtime: the driver loop, the ports to the world, and the handle that services use.
//!
//! It holds no rules: those are in `berth-core`. It makes facts durable before anything that follows from them
//! is seen. [`partition`] is the loop's body, synchronous and deterministic; [`Engine`] is the handle on the real
//! loop; [`store`], [`policy`] and [`cas`] are the ports.

mod asker;
pub mod builtin;
pub mod cas;
pub mod clock;
pub mod codec;
pub mod cohorts;
mod committer;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod driver;
mod engine;
pub mod feed;
mod history;
pub mod home;
mod loading;
pub mod memory;
pub mod operations;
pub mod partition;
pub mod plugins;
pub mod policy;
mod progress;
pub mod recover;
mod replace;
pub mod resources;
mod session;
pub mod store;
pub mod sweep;
mod tally;
pub mod work;

pub use committer::{Committer, Counters, OnFailure};
pub use engine::{Engine, EngineError, Observer, Options, Submitted, Update};
pub use history::History;
pub use replace::{ReplacementMark, Replacing, Reprioritized};
pub use session::Delivery;
pub use tally::{Tally, Times, TimesRead};
