//! berth-plugin-host: policies as WebAssembly components. Loads them, bounds what they may use, asks them, and checks
//! what they answer.
//!
//! The only crate that knows wasmtime. It implements [`berth_runtime::policy::Policy`]; which plugins there are and
//! where their bytes come from is the server's business. The contract is `wit/berth-policy-1.0.0`; components of
//! `wit/berth-policy-0.1.0` are served beside it.
//!
//! Start at [`PluginPolicy`] (who is asked), then [`Generation`] (who answers what), then [`Plugin`] (one loaded
//! component), then [`Host`] (what all share).

mod about;
mod ask;
mod bindings;
mod cache;
mod choose;
mod columns;
mod config;
mod context;
mod convert;
mod epoch;
mod events;
mod exports;
mod fault;
mod figures;
mod generation;
mod grants;
mod guard;
mod hooks;
mod host;
mod imports;
mod instance;
mod limits;
mod load;
mod memo;
mod observe;
mod old;
mod on_fault;
mod owned;
mod place;
mod plugin;
mod policy;
mod pool;
mod properties;
mod services;
pub mod shown;
mod spare;
mod spec;
mod stats;
mod times;

pub use choose::PluginChooser;
pub use config::ConfigError;
pub use exports::{Contract, Exports, Interface};
pub use fault::FaultKind;
pub use figures::Figure;
pub use generation::{Generation, Plugins};
pub use grants::{Grant, Grants, UnknownGrant};
pub use guard::FaultRecord;
pub use host::{Host, HostError, HostOptions};
pub use limits::{Limits, PluginLimits};
pub use load::{LoadCost, LoadError, LoadOptions};
pub use observe::{Difference, Differing, Observation, Observed};
pub use on_fault::{AdmissionFault, AttemptFault, EventsFault, OnFault, PropertiesFault, PruneFault};
pub use plugin::Plugin;
pub use policy::{Listener, PluginPolicy};
pub use services::{Observer, Quarantined, Retreat, Services, Unobserved};
pub use spec::{ChainSpec, DEFAULT_PATTERN, GenerationSpec, SpecError};
pub use stats::{Function, FunctionStats, PluginStats};
