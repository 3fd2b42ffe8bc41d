//! Berth's clock. Not for `Properties` and `Matching`, whose answers are remembered: there it is a fault.

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::clock as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::clock as host;

/// Milliseconds since 1970 at the instant that the question is about; the same during a whole call.
pub fn now_ms() -> u64 {
    host::now_ms()
}
