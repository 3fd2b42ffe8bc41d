//! berth-plugin-host: policies as WebAssembly components. Loads them, bounds what they may use, asks them, and checks
//! what they answer.
//!
//! The only crate that knows wasmtime. It implements [`berth_runtime::policy::Policy`]; which plugins there are and
//! where their bytes come from is the server's business. The contract is `wit/berth-policy-0.1.0`.
//!
//! Start at [`PluginPolicy`] (who is asked), then [`Plugin`] (one loaded component), then [`Host`] (what all share).

mod bindings;
mod epoch;
mod fault;
mod host;
mod instance;
mod limits;
mod load;
mod memo;
mod place;
mod plugin;
mod policy;
mod pool;
mod properties;
mod stats;

pub use fault::FaultKind;
pub use host::{Host, HostError};
pub use limits::Limits;
pub use load::LoadError;
pub use plugin::{Exports, Plugin};
pub use policy::{Chain, ChainError, Generation, PluginPolicy};
pub use stats::{Function, FunctionStats, PluginStats};
