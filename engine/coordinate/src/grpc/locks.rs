//! Locks. Elements of paths are text here; they are the same locks as those of Coordinate's clients.

use berth_core::work::{Book, LockPath, Locker, Value};
use berth_proto::work as pb;
use tonic::Status;

use super::{
    WorkService,
    convert::{bytes, refused, seconds, timestamp},
    resent::Name,
};
use crate::cbor::Writer;

impl WorkService {
    pub(super) async fn take_locks(&self, request: pb::LockRequest, call: Name) -> Result<pb::LockResponse, Status> {
        let (locker, paths) = (Locker::from(&request.locker[..]), paths(&request.paths));
        let timeout = request.timeout.as_ref().map(seconds).unwrap_or_default();
        let done = move |book: &mut Book| book.lock(&locker, timeout, &paths).map(|()| pb::LockResponse {});
        Self::once(self.first(&request.namespace).await?, call, done).await
    }

    pub(super) async fn keep_locks(&self, request: pb::LockRequest) -> Result<pb::LockResponse, Status> {
        let (locker, paths) = (Locker::from(&request.locker[..]), paths(&request.paths));
        let timeout = request.timeout.as_ref().map(seconds).unwrap_or_default();
        let done = self.ask(&request.namespace, move |book| book.renew_locks(&locker, timeout, &paths)).await?;
        done.map(|()| pb::LockResponse {}).map_err(|refusal| refused(&refusal))
    }

    pub(super) async fn give_locks(
        &self,
        request: pb::UnlockRequest,
        call: Name,
    ) -> Result<pb::UnlockResponse, Status> {
        let (locker, paths) = (Locker::from(&request.locker[..]), paths(&request.paths));
        let done = move |book: &mut Book| book.unlock(&locker, &paths).map(|()| pb::UnlockResponse {});
        Self::once(self.book(&request.namespace)?, call, done).await
    }

    pub(super) async fn locks(&self, request: pb::ListLocksRequest) -> Result<pb::ListLocksResponse, Status> {
        let locks = self.ask(&request.namespace, |book| book.locks()).await?;
        let locks = locks.into_iter().map(|lock| pb::HeldLock {
            path: lock.path.iter().map(|element| bytes(element)).collect(),
            locker: bytes(lock.locker.as_bytes()),
            until: Some(timestamp(lock.until)),
        });
        Ok(pb::ListLocksResponse { locks: locks.collect() })
    }
}

/// In the encoding in which the other door compares strings.
fn paths(paths: &[pb::Path]) -> Vec<LockPath> {
    let element = |element: &String| -> Value {
        let mut encoded = Writer::default();
        encoded.bytes(element);
        encoded.into_bytes().into()
    };
    paths.iter().map(|path| path.elements.iter().map(element).collect()).collect()
}
