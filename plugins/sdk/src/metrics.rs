//! Figures for the operator's dashboards, at Berth's `/metrics` with the name of the policy. A name has 1 to 64
//! characters `[a-z0-9_]`.

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::metrics as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::metrics as host;

/// Adds to a counter.
pub fn count(name: &str, by: u64) {
    host::count(name, by);
}

/// Sets a gauge.
pub fn gauge(name: &str, value: f64) {
    host::gauge(name, value);
}

/// Adds a value to a histogram.
pub fn observe(name: &str, value: f64) {
    host::observe(name, value);
}
