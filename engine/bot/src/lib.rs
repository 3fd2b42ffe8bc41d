//! The reference bot: takes leases from any server that speaks the remote workers protocol and executes actions
//! on this machine.
//!
//! For `berth bot` and for the bots inside `berth serve`. Not a sandbox: a command runs as the bot's user, in its own
//! directory and process group, and can reach what that user can reach. Not a place for scheduling rules: those are
//! the server's.
//!
//! The way of a lease: `session` fetches it, `leases` keeps the books with the server, `job` executes it with the
//! help of `cas` (blobs over gRPC), `tree` (what the input root holds), `cache` (files kept between actions),
//! `layout` (the input root on disk), `execute` (the command) and `collect` (its outputs).
//!
//! # When an input is a hard link
//!
//! Copying every input of every action is what makes bots slow, so files are linked from the cache where that is
//! safe. A hard link shares the inode with the cache, so *safe* means:
//!
//! - the node asks for no mtime and no mode beyond the executable bit (a plain and an executable copy of the same
//!   content are two cache entries), and it does not lie on or below an output path of the command; everything else
//!   is copied and writable;
//! - cached files are read-only (0444, 0555) and carry one fixed, old mtime, so that any write leaves a trace;
//! - after each run, mtime, size, mode and inode of every linked entry are compared with what was recorded. An entry
//!   that changed is thrown away, and its content is only ever copied from then on. If another action had the same
//!   entry linked meanwhile, nobody can tell which of them saw which bytes: the action is run again on copies.
//!
//! A command that writes to its inputs, even as root, can thus spoil no other result. A hostile command that also
//! restores the mtime can; keep strangers apart by giving each a bot (and a user) of its own.

mod cache;
mod cas;
mod collect;
mod config;
mod digest;
mod error;
mod execute;
mod job;
mod layout;
mod leases;
mod paths;
mod retry;
mod scratch;
mod session;
mod shutdown;
mod tree;
mod upload;

use std::sync::Arc;

pub use cache::FileCache;
pub use config::BotConfig;
pub use error::Error;
pub use shutdown::{ExitReason, Shutdown};

/// Runs a bot with a file cache of its own until `shutdown` ends it or the server refuses it for good.
///
/// Call it inside a tokio runtime with I/O and time enabled.
pub async fn run(config: BotConfig, shutdown: Shutdown) -> Result<ExitReason, Error> {
    let (dir, bytes_max) = (config.cache_dir(), config.cache_bytes_max);
    let cache = tokio::task::spawn_blocking(move || FileCache::open(dir, bytes_max))
        .await
        .expect("opening the cache does not panic")?;
    run_with_cache(config, cache, shutdown).await
}

/// Like [`run`], with a cache that several bots of one process share; `cache_dir` and `cache_bytes_max` of the
/// configuration are not used. Each bot still needs a `work_dir` of its own.
pub async fn run_with_cache(config: BotConfig, cache: Arc<FileCache>, shutdown: Shutdown) -> Result<ExitReason, Error> {
    session::serve(config, cache, shutdown).await
}
