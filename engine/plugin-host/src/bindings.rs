//! Generated from the WIT files of version 0.1.0. A later version that is not compatible gets a module of its own, and
//! conversions into the types of `berth_runtime::policy` beside it.

// The generated code's own affair; the unsafe parts are wasmtime's derived conversions.
#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit/berth-policy-0.1.0",
    world: "policy",
    // Arguments are borrowed: questions are not copied before they are copied into the guest.
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub(crate) use self::berth::policy::{log, types};
pub(crate) use self::exports::berth::policy::{priority, properties};
