//! The embedded storage as the engine's `Cas` port, for a configured list of instances.
//!
//! Instances share content and keep their action cache entries apart.

use std::sync::Arc;
use std::time::Duration;

use berth_core::Digest;
use berth_proto::reapi::ActionResult;
use berth_runtime::cas::{Cas, CasError, TreeCheck};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use crate::blocking::blocking;
use crate::error::Error;
use crate::storage::{Effort, Storage};
use crate::tree::Kind;

/// A handle on the embedded storage: cheap to clone, for the engine (as [`Cas`]) and for the gRPC services
/// (`add_services`).
#[derive(Clone, Debug)]
pub struct EmbeddedCas {
    pub(crate) storage: Arc<Storage>,
    instances: Arc<[String]>,
    pub(crate) clients_may_update_actions: bool,
}

impl EmbeddedCas {
    /// Serves `instances` from a storage. `clients_may_update_actions`: whether UpdateActionResult is allowed; the
    /// engine's own results are always stored.
    pub fn new(storage: Arc<Storage>, instances: &[String], clients_may_update_actions: bool) -> Self {
        Self { storage, instances: instances.into(), clients_may_update_actions }
    }

    /// The storage behind it.
    pub fn storage(&self) -> &Arc<Storage> {
        &self.storage
    }

    pub(crate) fn check_instance(&self, name: &str) -> Result<(), Error> {
        if self.instances.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Error::UnknownInstance(name.chars().take(200).collect()))
    }

    async fn read_blob(&self, instance: &str, digest: Digest, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        self.check_instance(instance)?;
        if let Some(content) = self.storage.hot(&digest) {
            if content.len() > limit_bytes {
                return Err(Error::TooLarge { digest, limit_bytes });
            }
            return Ok(Some(content));
        }
        if !self.storage.contains(&digest) {
            return Ok(None);
        }
        let storage = self.storage.clone();
        blocking(move || storage.read(&digest, limit_bytes as u64)).await
    }

    async fn write_blob(&self, instance: &str, data: Bytes) -> Result<Digest, Error> {
        self.check_instance(instance)?;
        let storage = self.storage.clone();
        blocking(move || {
            let digest = Digest { hash: Sha256::digest(&data).into(), size_bytes: data.len() as u64 };
            storage.put(&digest, data).map(|()| digest)
        })
        .await
    }

    async fn walk_tree(&self, instance: &str, root: Digest) -> Result<TreeCheck, Error> {
        self.check_instance(instance)?;
        let tree = [(Kind::Directory, root)];
        if let Some(missing) = self.storage.walk(&[], &tree, Effort::Memory)? {
            return Ok(TreeCheck { missing });
        }
        let storage = self.storage.clone();
        let missing = blocking(move || storage.walk(&[], &tree, Effort::Disk)).await?;
        Ok(TreeCheck { missing: missing.expect("a walk with all effort has a result") })
    }

    async fn pin_blobs(&self, key: u128, instance: &str, digests: &[Digest]) -> Result<(), Error> {
        self.check_instance(instance)?;
        if self.storage.pin(key, digests, Effort::Memory)? {
            return Ok(());
        }
        let (storage, digests) = (self.storage.clone(), digests.to_vec());
        blocking(move || storage.pin(key, &digests, Effort::Disk)).await?;
        Ok(())
    }

    pub(crate) async fn cached_result(&self, instance: &str, action: Digest) -> Result<Option<ActionResult>, Error> {
        self.check_instance(instance)?;
        // Most look-ups of a scheduler are misses: those cost no thread.
        if !self.storage.has_action(instance, &action) {
            return Ok(None);
        }
        let (storage, instance) = (self.storage.clone(), instance.to_owned());
        blocking(move || storage.action(&instance, &action)).await
    }

    pub(crate) async fn store_result(&self, instance: &str, action: Digest, result: ActionResult) -> Result<(), Error> {
        self.check_instance(instance)?;
        let (storage, instance) = (self.storage.clone(), instance.to_owned());
        blocking(move || storage.put_action(&instance, &action, &result)).await
    }
}

impl Cas for EmbeddedCas {
    fn read<'a>(
        &'a self,
        instance: &'a str,
        digest: &'a Digest,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, CasError>> {
        async move { Ok(self.read_blob(instance, *digest, limit_bytes).await?) }.boxed()
    }

    fn write<'a>(&'a self, instance: &'a str, data: Bytes) -> BoxFuture<'a, Result<Digest, CasError>> {
        async move { Ok(self.write_blob(instance, data).await?) }.boxed()
    }

    fn check_tree<'a>(&'a self, instance: &'a str, root: &'a Digest) -> BoxFuture<'a, Result<TreeCheck, CasError>> {
        async move { Ok(self.walk_tree(instance, *root).await?) }.boxed()
    }

    fn pin<'a>(&'a self, key: u128, instance: &'a str, digests: &'a [Digest]) -> BoxFuture<'a, Result<(), CasError>> {
        async move { Ok(self.pin_blobs(key, instance, digests).await?) }.boxed()
    }

    fn unpin(&self, key: u128) {
        self.storage.unpin(key);
    }

    fn action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<ActionResult>, CasError>> {
        async move { Ok(self.cached_result(instance, *action).await?) }.boxed()
    }

    fn put_action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
        result: &'a ActionResult,
    ) -> BoxFuture<'a, Result<(), CasError>> {
        async move { Ok(self.store_result(instance, *action, result.clone()).await?) }.boxed()
    }

    fn min_age(&self) -> Duration {
        self.storage.min_age()
    }
}
