//! berth-guest: finds or prepares a compiler for `wasm32-unknown-unknown`, and builds guest crates into components.
//!
//! Used by `engine/server/build.rs` for the bundled plugins, by `cargo xtask setup`, and by the tests of the
//! plugin host. Not for running components: that is `berth-plugin-host`.
//!
//! A guest needs two things that a stock Rust installation may lack: a standard library for wasm32, which
//! [`Toolchain::prepare`] gets, and a linker that writes components, which every recent rustup toolchain ships.

mod bundled;
mod clang;
mod component;
mod debian;
mod environment;
mod toolchain;

pub use bundled::BUNDLED;
pub use clang::Clang;
pub use toolchain::{GUEST_TARGET, Toolchain};
