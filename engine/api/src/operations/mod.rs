//! `google.longrunning.Operations`: look at operations, cancel them, wait for them.

mod list;
mod page;
mod plan;
mod query;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use berth_core::Stage;
use berth_proto::{
    buildgrid::ClientIdentity,
    longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest,
        ListOperationsResponse, Operation, WaitOperationRequest, operations_server,
    },
};
use berth_runtime::EngineError;
use prost::Message;
use tokio::time;
use tonic::{Request, Response, Status};

pub(crate) use self::{
    query::{Key, about},
    scan::{Place, Scan},
};
use crate::{
    config::Config, convert, deadline, error::Error, execution::watch_operation, instances::Instances, operation,
    trailers,
};

/// The trailer of GetOperation that says who made the operation.
const CLIENT_IDENTITY: &str = "buildgrid.v2.clientidentity-bin";

/// The service.
pub(crate) struct Operations {
    pub(crate) instances: Instances,
    pub(crate) config: Arc<Config>,
}

#[tonic::async_trait]
impl operations_server::Operations for Operations {
    async fn list_operations(
        &self,
        request: Request<ListOperationsRequest>,
    ) -> Result<Response<ListOperationsResponse>, Status> {
        let request = request.into_inner();
        let instance = self.instances.get("name", &request.name)?;
        Ok(Response::new(list::list(instance, &request, &self.config).await?))
    }

    async fn get_operation(&self, request: Request<GetOperationRequest>) -> Result<Response<Operation>, Status> {
        let (instance, updates) = watch_operation(&self.instances, &request.get_ref().name).await?;
        let (view, history) = (updates.borrow().clone(), instance.engine.history());
        let mut response = Response::new(operation::operation(history, &view, &self.config).await?);
        let row = history.operation_row(view.operation).await.map_err(Error::from)?.unwrap_or_default();
        let client = row.client.map(|client| ClientIdentity {
            actor: client.actor,
            subject: client.subject,
            workflow: client.workflow,
        });
        let client = client.map(|client| client.encode_to_vec()).unwrap_or_default();
        let trailers = [(convert::REQUEST_METADATA, row.request_metadata.to_vec()), (CLIENT_IDENTITY, client)];
        trailers::add(&mut response, trailers);
        Ok(response)
    }

    async fn delete_operation(&self, request: Request<DeleteOperationRequest>) -> Result<Response<()>, Status> {
        let (instance, updates) = watch_operation(&self.instances, &request.get_ref().name).await?;
        let operation = updates.borrow().operation;
        instance.engine.delete(operation).await.map_err(Error::from)?;
        Ok(Response::new(()))
    }

    async fn cancel_operation(&self, request: Request<CancelOperationRequest>) -> Result<Response<()>, Status> {
        let (instance, updates) = watch_operation(&self.instances, &request.get_ref().name).await?;
        let operation = updates.borrow().operation;
        instance.engine.cancel(operation).await.map_err(Error::from)?;
        Ok(Response::new(()))
    }

    async fn wait_operation(&self, request: Request<WaitOperationRequest>) -> Result<Response<Operation>, Status> {
        let (headers, _, request) = request.into_parts();
        let asked = request.timeout.map(|timeout| convert::duration("timeout", timeout)).transpose()?;
        let (instance, mut updates) = watch_operation(&self.instances, &request.name).await?;
        // Who names no time at all is held like a bot: what ends the wait is the answer as it is then.
        let held = deadline::hold(&headers);
        let until = time::Instant::now() + asked.map_or(held, |asked| asked.min(held));
        let done = updates.wait_for(|view| matches!(view.stage, Stage::Completed(_)));
        match time::timeout_at(until, done).await {
            Ok(Ok(_)) | Err(_) => {}
            Ok(Err(_stopped)) => return Err(Error::from(EngineError::Stopping).into()),
        }
        let view = updates.borrow().clone();
        Ok(Response::new(operation::operation(instance.engine.history(), &view, &self.config).await?))
    }
}
