//! berth-sim: core, runtime and simulated disk under a world that goes wrong in every way, from one seed.
//!
//! The code under test is `berth_runtime::partition` with `recover` on `berth_runtime::memory`; the loop around them is the
//! simulation's own, because the driver's runs on threads and a real clock. `world` is what happens, `server` is the
//! process, `ledger` is what must never be lost, and `naive` is the rules once more, written to be obvious.
//! Not for measuring anything: `berth bench` does that.

mod bot;
mod judge;
mod ledger;
mod mutants;
// The same file that the property test of core uses: one model, two ways to run into it.
#[allow(dead_code, unreachable_pub)]
#[path = "../../../engine/core/tests/naive/mod.rs"]
mod naive;
mod rng;
mod run;
mod server;
mod work;
mod world;

pub use mutants::{Caught, mutants};
pub use run::{Report, run};
pub use work::{WorkReport, run_work, work_mutants};
