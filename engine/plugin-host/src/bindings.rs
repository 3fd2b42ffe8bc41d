//! Generated from the WIT files, one module a version of the contract.
//!
//! The host speaks version 1.0.0. What an older version says differently is converted in `guest.rs`, once, at the edge;
//! so a version that is no longer served leaves with its module and its arms there.

// The generated code's own affair; the unsafe parts are wasmtime's derived conversions.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

/// Version 0.1.0: `properties` and `priority`, with `log` as the only import.
pub(crate) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../../wit/berth-policy-0.1.0",
        world: "policy",
        // Arguments are borrowed: questions are not copied before they are copied into the guest.
        ownership: Borrowing { duplicate_if_necessary: true },
    });

    pub(crate) use self::berth::policy::{log, types};
    pub(crate) use self::exports::berth::policy::{priority, properties};
}

/// Version 1.0.0.
pub(crate) mod v1 {
    wasmtime::component::bindgen!({
        path: "../../wit/berth-policy-1.0.0",
        world: "policy",
        ownership: Borrowing { duplicate_if_necessary: true },
        // An import may end the call: where it is not allowed, or not granted.
        imports: { default: trappable },
    });

    pub(crate) use self::berth::policy::{clock, config, kv, log, metrics, stats, types};
    pub(crate) use self::exports::berth::policy::{
        about, after_attempt, before_prune, choosing, create_job, events, matching, priority, properties, queue_job,
        unmatched,
    };
}
