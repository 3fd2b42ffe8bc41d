//! What Berth counts: the figures of a moment ago. Not for `Properties` and `Matching`: there it is a fault.

#[cfg(target_arch = "wasm32")]
use crate::bindings::imports::berth::policy::stats as host;
#[cfg(not(target_arch = "wasm32"))]
use crate::testing::host::stats as host;

pub use crate::bindings::imports::berth::policy::stats::{History, Load};

/// Jobs of a lane.
pub fn of_lane(instance: &str, lane: &str) -> Load {
    host::of_lane(instance, lane)
}

/// Jobs with a label.
pub fn of_label(instance: &str, label: &str) -> Load {
    host::of_label(instance, label)
}

/// Jobs of a tenant.
pub fn of_tenant(instance: &str, tenant: &str) -> Load {
    host::of_tenant(instance, tenant)
}

/// What is known of jobs with this key ([`Placing::history`](crate::priority::Placing::history)); none if nothing.
pub fn history_of(key: &str) -> Option<History> {
    host::history_of(key)
}
