//! `berth.work.v1`: the same book as gRPC, for whoever does not speak Coordinate's own protocol. Typed, in batches, and
//! `GetWork` waits instead of being asked again and again.

mod convert;
mod events;
mod get;
mod locks;
mod resent;
mod specs;
mod units;
mod watch;
mod workers;

use std::{pin::Pin, sync::Arc};

use berth_core::work::{Book, Refusal};
use berth_proto::work::{self as pb, work_server};
use berth_runtime::work::{NamespaceError, Namespaces, WorkBook};
use futures::Stream;
use prost::Message;
use tonic::{Request, Response, Status};

use self::{convert::refused, resent::Name};

use crate::config::TakesWork;

/// What a stream of replies is.
type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The service. A namespace is the name of an instance; each has a book of its own.
#[derive(Clone)]
pub struct WorkService {
    namespaces: Namespaces,
    takes_work: TakesWork,
}

impl WorkService {
    /// Serves these namespaces, and makes others.
    pub fn new(namespaces: Namespaces) -> Self {
        Self { namespaces, takes_work: Arc::new(|| Ok(())) }
    }

    /// Who says whether new units are taken. Without anybody, they always are.
    #[must_use]
    pub fn with_takes_work(mut self, takes_work: TakesWork) -> Self {
        self.takes_work = takes_work;
        self
    }

    /// As a service of a gRPC server that takes messages of at most so many bytes.
    pub fn into_server(self, message_bytes_max: usize) -> work_server::WorkServer<Self> {
        work_server::WorkServer::new(self).max_decoding_message_size(message_bytes_max)
    }

    fn book(&self, namespace: &str) -> Result<WorkBook, Status> {
        let missing = || Status::not_found(format!("namespace {namespace:?} is not known to this server"));
        self.namespaces.get(namespace).ok_or_else(missing)
    }

    /// Of a call that may be the first in its namespace.
    async fn first(&self, namespace: &str) -> Result<WorkBook, Status> {
        self.namespaces.get_or_make(namespace).await.map_err(|error| no_namespace(&error))
    }

    /// A call that is done once, however often it is sent.
    async fn once<T: Message + Default + 'static>(
        book: WorkBook,
        name: Name,
        ask: impl FnOnce(&mut Book) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Status> {
        let call = name.call(&book);
        let answer = book.ask(move |book| resent::once(book, call, ask)).await;
        answer.map_err(|stopping| Status::unavailable(stopping.to_string()))?.map_err(|refusal| refused(&refusal))
    }

    async fn ask<T: Send + 'static>(
        &self,
        namespace: &str,
        ask: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, Status> {
        self.book(namespace)?.ask(ask).await.map_err(|stopping| Status::unavailable(stopping.to_string()))
    }
}

fn no_namespace(error: &NamespaceError) -> Status {
    let message = error.to_string();
    match error {
        NamespaceError::TooMany(_) => Status::resource_exhausted(message),
        NamespaceError::BadName(_) => Status::invalid_argument(message),
        NamespaceError::First(_) => Status::failed_precondition(message),
        NamespaceError::Store(_) => Status::internal(message),
        NamespaceError::Stopping(_) => Status::unavailable(message),
    }
}

#[tonic::async_trait]
impl work_server::Work for WorkService {
    type EventsStream = Replies<pb::EventsResponse>;
    type GetWorkStream = Replies<pb::GetWorkResponse>;
    type WatchStream = Replies<pb::WatchResponse>;

    async fn set_specs(&self, request: Request<pb::SetSpecsRequest>) -> Result<Response<pb::SetSpecsResponse>, Status> {
        let name = Name::of("set_specs", &request);
        self.set(request.into_inner(), name).await.map(Response::new)
    }

    async fn list_specs(
        &self,
        request: Request<pb::ListSpecsRequest>,
    ) -> Result<Response<pb::ListSpecsResponse>, Status> {
        self.list(request.into_inner()).await.map(Response::new)
    }

    async fn control_spec(
        &self,
        request: Request<pb::ControlSpecRequest>,
    ) -> Result<Response<pb::ControlSpecResponse>, Status> {
        let name = Name::of("control_spec", &request);
        self.control(request.into_inner(), name).await.map(Response::new)
    }

    async fn delete_specs(
        &self,
        request: Request<pb::DeleteSpecsRequest>,
    ) -> Result<Response<pb::DeleteSpecsResponse>, Status> {
        let name = Name::of("delete_specs", &request);
        self.delete(request.into_inner(), name).await.map(Response::new)
    }

    async fn add_units(&self, request: Request<pb::AddUnitsRequest>) -> Result<Response<pb::AddUnitsResponse>, Status> {
        let name = Name::of("add_units", &request);
        self.add(request.into_inner(), name).await.map(Response::new)
    }

    async fn list_units(
        &self,
        request: Request<pb::ListUnitsRequest>,
    ) -> Result<Response<pb::ListUnitsResponse>, Status> {
        self.units(request.into_inner()).await.map(Response::new)
    }

    async fn update_units(
        &self,
        request: Request<pb::UpdateUnitsRequest>,
    ) -> Result<Response<pb::UpdateUnitsResponse>, Status> {
        let name = Name::of("update_units", &request);
        self.update(request.into_inner(), name).await.map(Response::new)
    }

    async fn delete_units(
        &self,
        request: Request<pb::DeleteUnitsRequest>,
    ) -> Result<Response<pb::DeleteUnitsResponse>, Status> {
        let name = Name::of("delete_units", &request);
        self.remove(request.into_inner(), name).await.map(Response::new)
    }

    async fn prioritize_units(
        &self,
        request: Request<pb::PrioritizeUnitsRequest>,
    ) -> Result<Response<pb::PrioritizeUnitsResponse>, Status> {
        let name = Name::of("prioritize_units", &request);
        self.prioritize(request.into_inner(), name).await.map(Response::new)
    }

    async fn archive_units(
        &self,
        request: Request<pb::ArchiveUnitsRequest>,
    ) -> Result<Response<pb::ArchiveUnitsResponse>, Status> {
        self.archive(request.into_inner()).await.map(Response::new)
    }

    async fn get_work(&self, request: Request<pb::GetWorkRequest>) -> Result<Response<Self::GetWorkStream>, Status> {
        let name = Name::of("get_work", &request);
        self.get(request.into_inner(), name).map(Response::new)
    }

    async fn heartbeat(
        &self,
        request: Request<pb::HeartbeatRequest>,
    ) -> Result<Response<pb::HeartbeatResponse>, Status> {
        self.beat(request.into_inner()).await.map(Response::new)
    }

    async fn unregister(
        &self,
        request: Request<pb::UnregisterRequest>,
    ) -> Result<Response<pb::UnregisterResponse>, Status> {
        let name = Name::of("unregister", &request);
        self.sign_off(request.into_inner(), name).await.map(Response::new)
    }

    async fn list_workers(
        &self,
        request: Request<pb::ListWorkersRequest>,
    ) -> Result<Response<pb::ListWorkersResponse>, Status> {
        self.workers(request.into_inner()).await.map(Response::new)
    }

    async fn lock(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        let name = Name::of("lock", &request);
        self.take_locks(request.into_inner(), name).await.map(Response::new)
    }

    async fn renew_locks(&self, request: Request<pb::LockRequest>) -> Result<Response<pb::LockResponse>, Status> {
        self.keep_locks(request.into_inner()).await.map(Response::new)
    }

    async fn unlock(&self, request: Request<pb::UnlockRequest>) -> Result<Response<pb::UnlockResponse>, Status> {
        let name = Name::of("unlock", &request);
        self.give_locks(request.into_inner(), name).await.map(Response::new)
    }

    async fn list_locks(
        &self,
        request: Request<pb::ListLocksRequest>,
    ) -> Result<Response<pb::ListLocksResponse>, Status> {
        self.locks(request.into_inner()).await.map(Response::new)
    }

    async fn list_namespaces(
        &self,
        _: Request<pb::ListNamespacesRequest>,
    ) -> Result<Response<pb::ListNamespacesResponse>, Status> {
        let namespaces = self.namespaces.all().into_iter().map(|(name, _)| name).collect();
        Ok(Response::new(pb::ListNamespacesResponse { namespaces }))
    }

    async fn delete_namespace(
        &self,
        request: Request<pb::DeleteNamespaceRequest>,
    ) -> Result<Response<pb::DeleteNamespaceResponse>, Status> {
        let name = request.into_inner().namespace;
        match self.namespaces.delete(&name).await.map_err(|error| no_namespace(&error))? {
            true => Ok(Response::new(pb::DeleteNamespaceResponse {})),
            false => Err(Status::not_found(format!("namespace {name:?} is not known to this server"))),
        }
    }

    async fn events(&self, request: Request<pb::EventsRequest>) -> Result<Response<Self::EventsStream>, Status> {
        self.read_events(request.into_inner()).map(Response::new)
    }

    async fn watch(&self, request: Request<pb::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.watch_specs(request.into_inner()).map(Response::new)
    }
}
