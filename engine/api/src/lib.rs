//! berth-api: the gRPC services that clients, bots and operators call.
//!
//! For parsing what comes over the wire, asking policy and storage, and telling the engine. Not for rules of
//! scheduling, which are in `berth-core`, and not for CAS, ActionCache and ByteStream, which `berth-cas` serves.
//! [`Services`] puts the services together; the life of a request begins in `execution/mod.rs`.

mod admin;
mod bots;
mod buildgrid_quota;
mod capabilities;
mod config;
mod convert;
mod deadline;
mod error;
mod execution;
mod happened;
mod identity;
mod instances;
mod introspection;
mod names;
mod operation;
mod operations;
mod phases;
mod pins;
mod position;
mod quotas;
mod services;
mod status;
mod trailers;
mod walk;

pub use admin::check_local_peer;
pub use config::{CacheLimits, Config, Own};
pub use instances::Instances;
pub use phases::Phases;
pub use pins::{Unpinner, pin_incomplete};
pub use services::{Health, Services, transport};
