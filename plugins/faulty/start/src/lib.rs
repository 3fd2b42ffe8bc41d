//! A guest that traps before anybody asks it anything: when it is instantiated. For tests of the host.

use berth_policy_sdk::{Jobs, Places, Priority, export_policy};

struct Stillborn;

impl Priority for Stillborn {
    fn place(_jobs: Jobs) -> Places {
        Places::default()
    }
}

export_policy!(Stillborn: Priority);

/// The linker makes the start function of the component from an export of this name.
// SAFETY: no other item has this name: a reactor has none by itself on this target.
#[cfg(target_arch = "wasm32")]
#[unsafe(no_mangle)]
extern "C" fn _initialize() {
    std::process::abort();
}
