//! Locks. Elements of paths are text here; they are the same locks as those of Coordinate's clients.

use berth_core::work::{LockPath, Locker, Value};
use berth_proto::work as pb;
use tonic::Status;

use super::{
    WorkService,
    convert::{bytes, refused, seconds, timestamp},
};
use crate::cbor::Writer;

impl WorkService {
    pub(super) async fn take_locks(&self, request: pb::LockRequest, again: bool) -> Result<pb::LockResponse, Status> {
        let (locker, paths) = (Locker::from(&request.locker[..]), paths(&request.paths));
        let timeout = request.timeout.as_ref().map(seconds).unwrap_or_default();
        let done = self.first(&request.namespace, move |book| {
            if again { book.renew_locks(&locker, timeout, &paths) } else { book.lock(&locker, timeout, &paths) }
        });
        done.await?.map(|()| pb::LockResponse {}).map_err(|refusal| refused(&refusal))
    }

    pub(super) async fn give_locks(&self, request: pb::UnlockRequest) -> Result<pb::UnlockResponse, Status> {
        let (locker, paths) = (Locker::from(&request.locker[..]), paths(&request.paths));
        let done = self.ask(&request.namespace, move |book| book.unlock(&locker, &paths)).await?;
        done.map(|()| pb::UnlockResponse {}).map_err(|refusal| refused(&refusal))
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
