//! The `Cas` port: what the engine needs of a content-addressable storage and of an action cache.
//!
//! `berth-cas` implements it on the embedded storage and on an external one by address. The services that
//! clients call are not here: this is only what Execute and the end of a job need.

use std::time::Duration;

use berth_core::Digest;
use berth_proto::reapi::ActionResult;
use bytes::Bytes;
use futures::future::BoxFuture;

/// Why the storage did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum CasError {
    /// A blob is larger than the caller is ready to hold in memory.
    #[error("blob {digest} is larger than {limit_bytes} bytes")]
    TooLarge {
        /// Which blob.
        digest: Digest,
        /// What the caller allows, in bytes.
        limit_bytes: usize,
    },
    /// The storage does not know this instance.
    #[error("instance name {0:?} is not known")]
    UnknownInstance(String),
    /// The storage is full of what may not be evicted.
    #[error("the storage is full: {0}")]
    Full(String),
    /// A blob that should be a message does not parse.
    #[error("blob {digest} is not a valid {expected}: {detail}")]
    Malformed {
        /// Which blob.
        digest: Digest,
        /// Which message it should be.
        expected: &'static str,
        /// What the parser said.
        detail: String,
    },
    /// The storage cannot be reached or failed; trying again may help.
    #[error("the storage is unavailable: {0}")]
    Unavailable(String),
}

/// The result of walking an input tree.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeCheck {
    /// Blobs that are not there, without duplicates. Empty means that the tree is complete.
    pub missing: Vec<Digest>,
}

/// Content-addressable storage and action cache, as the engine uses them.
pub trait Cas: Send + Sync + 'static {
    /// Reads a whole blob of at most `limit_bytes` and touches it. `None`: it is not there.
    fn read<'a>(
        &'a self,
        instance: &'a str,
        digest: &'a Digest,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, CasError>>;

    /// Stores a blob durably; answers its digest.
    fn write<'a>(&'a self, instance: &'a str, data: Bytes) -> BoxFuture<'a, Result<Digest, CasError>>;

    /// Walks the directory tree under `root`, touches every blob of it, and says what is missing.
    fn check_tree<'a>(&'a self, instance: &'a str, root: &'a Digest) -> BoxFuture<'a, Result<TreeCheck, CasError>>;

    /// Keeps blobs from eviction until `unpin` is called with the same key (a job that is not completed), and
    /// again after a restart when the engine pins what it recovers. The input tree is pinned with its root.
    fn pin<'a>(&'a self, key: u128, instance: &'a str, digests: &'a [Digest]) -> BoxFuture<'a, Result<(), CasError>>;

    /// Ends a pin. Its blobs are then as any others.
    fn unpin(&self, key: u128);

    /// Reads an action cache entry, only if every output that it names (those inside Trees included) exists;
    /// touches them.
    fn action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<ActionResult>, CasError>>;

    /// Stores an action cache entry durably.
    fn put_action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
        result: &'a ActionResult,
    ) -> BoxFuture<'a, Result<(), CasError>>;

    /// How long a touched blob is safe from eviction.
    fn min_age(&self) -> Duration;
}
