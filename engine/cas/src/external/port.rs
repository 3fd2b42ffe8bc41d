//! The engine's `Cas` port on the external storage.

use std::time::Duration;

use berth_core::Digest;
use berth_proto::reapi::ActionResult;
use berth_runtime::cas::{Cas, CasError, TreeCheck};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use sha2::{Digest as _, Sha256};

use super::ExternalCas;
use crate::error::Error;
use crate::outputs::Outputs;
use crate::tree::Kind;

impl ExternalCas {
    async fn read_blob(&self, instance: &str, digest: &Digest, limit_bytes: usize) -> Result<Option<Bytes>, Error> {
        if digest.size_bytes == 0 {
            return Ok(Some(Bytes::new()));
        }
        if digest.size_bytes > limit_bytes as u64 {
            let missing = self.find_missing(instance, &[*digest]).await?;
            return if missing.is_empty() { Err(Error::TooLarge { digest: *digest, limit_bytes }) } else { Ok(None) };
        }
        self.fetch(instance, digest).await
    }

    /// The other side need not look into output directories, so we do.
    async fn cached_result(&self, instance: &str, action: &Digest) -> Result<Option<ActionResult>, Error> {
        let Some(result) = self.get_action(instance, action).await? else { return Ok(None) };
        let Some(outputs) = Outputs::of(&result) else { return Ok(None) };
        match self.walk(instance, &outputs.blobs, &outputs.trees).await {
            Ok(missing) => Ok(missing.is_empty().then_some(result)),
            Err(Error::Malformed { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Cas for ExternalCas {
    fn read<'a>(
        &'a self,
        instance: &'a str,
        digest: &'a Digest,
        limit_bytes: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, CasError>> {
        async move { Ok(self.read_blob(instance, digest, limit_bytes).await?) }.boxed()
    }

    fn write<'a>(&'a self, instance: &'a str, data: Bytes) -> BoxFuture<'a, Result<Digest, CasError>> {
        async move {
            let digest = Digest { hash: Sha256::digest(&data).into(), size_bytes: data.len() as u64 };
            if digest.size_bytes > 0 {
                self.store(instance, &digest, data).await?;
            }
            Ok(digest)
        }
        .boxed()
    }

    fn check_tree<'a>(&'a self, instance: &'a str, root: &'a Digest) -> BoxFuture<'a, Result<TreeCheck, CasError>> {
        async move { Ok(TreeCheck { missing: self.walk(instance, &[], &[(Kind::Directory, *root)]).await? }) }.boxed()
    }

    fn pin<'a>(&'a self, _: u128, _: &'a str, _: &'a [Digest]) -> BoxFuture<'a, Result<(), CasError>> {
        futures::future::ready(Ok(())).boxed()
    }

    fn unpin(&self, _: u128) {}

    fn action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
    ) -> BoxFuture<'a, Result<Option<ActionResult>, CasError>> {
        async move { Ok(self.cached_result(instance, action).await?) }.boxed()
    }

    fn put_action_result<'a>(
        &'a self,
        instance: &'a str,
        action: &'a Digest,
        result: &'a ActionResult,
    ) -> BoxFuture<'a, Result<(), CasError>> {
        async move { Ok(self.update_action(instance, action, result.clone()).await?) }.boxed()
    }

    fn min_age(&self) -> Duration {
        self.min_age
    }
}
