//! Workers: heartbeat, sign off, list.

use berth_core::work::{Book, Heartbeat, WorkerId};
use berth_proto::work as pb;
use tonic::Status;

use super::{
    WorkService,
    convert::{bytes, name, seconds, timestamp, to_duration, value_or_empty},
    resent::Name,
};
use crate::cbor::Writer;

/// How long a worker lives without another sign, where nothing is said.
const LIFETIME_S: f64 = 300.0;

impl WorkService {
    pub(super) async fn beat(&self, request: pb::HeartbeatRequest) -> Result<pb::HeartbeatResponse, Status> {
        let mut mode = Writer::default();
        // As Coordinate's clients send it, so that theirs and these are counted together.
        mode.bytes(&request.mode);
        let beat = Heartbeat {
            worker: (&request.worker[..]).into(),
            mode: mode.into_bytes().into(),
            expire_s: request.lifetime.as_ref().map_or(LIFETIME_S, seconds),
            data: value_or_empty("data", &request.data)?,
            parent: name(&request.parent),
        };
        let done = self.first(&request.namespace).await?.ask(move |book| book.heartbeat(beat)).await;
        done.map_err(|stopping| Status::unavailable(stopping.to_string()))?;
        Ok(pb::HeartbeatResponse {})
    }

    pub(super) async fn sign_off(
        &self,
        request: pb::UnregisterRequest,
        call: Name,
    ) -> Result<pb::UnregisterResponse, Status> {
        let worker = WorkerId::from(&request.worker[..]);
        let done = move |book: &mut Book| book.unregister(&worker).map(|()| pb::UnregisterResponse {});
        Self::once(self.book(&request.namespace)?, call, done).await
    }

    pub(super) async fn workers(&self, request: pb::ListWorkersRequest) -> Result<pb::ListWorkersResponse, Status> {
        let workers = self.ask(&request.namespace, |book| {
            let workers = book.worker_modes().into_iter();
            workers.filter_map(|(worker, _)| Some((book.worker_info(&worker)?, worker))).collect::<Vec<_>>()
        });
        let show = |(info, worker): (berth_core::work::WorkerInfo, WorkerId)| pb::Worker {
            worker: bytes(worker.as_bytes()),
            mode: bytes(&info.mode),
            data: bytes(&info.data),
            parent: info.parent.map(|parent| bytes(parent.as_bytes())).unwrap_or_default(),
            age: Some(to_duration(info.age)),
            expires: Some(timestamp(info.expires)),
        };
        Ok(pb::ListWorkersResponse { workers: workers.await?.into_iter().map(show).collect() })
    }
}
