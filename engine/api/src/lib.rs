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
mod identity;
mod instances;
mod names;
mod operation;
mod operations;
mod pins;
mod quotas;
mod services;
mod status;
mod trailers;
mod walk;

pub use admin::check_local_peer;
pub use config::{CacheLimits, Config};
pub use instances::Instances;
pub use pins::{Unpinner, pin_incomplete};
pub use services::{Health, Services, transport};
