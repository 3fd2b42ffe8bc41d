//! `build.bazel.remote.execution.v2.Execution`: run an action, and wait for one.
//!
//! `prepare` checks everything that must hold before there is a job, `submit` asks policy and hands the job to the
//! engine, `stream` tells the client how it goes.

mod admit;
mod prepare;
mod stream;
mod submit;

use std::{pin::Pin, sync::Arc};

use berth_core::OperationView;
use berth_proto::{
    longrunning::Operation,
    reapi::{ExecuteRequest, WaitExecutionRequest, execution_server},
};
use berth_runtime::{cas::Cas, policy::Policy};
use futures::Stream;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use crate::{
    config::Config,
    error::Error,
    instances::{Instance, Instances, shown},
    names,
};

type Operations = Pin<Box<dyn Stream<Item = Result<Operation, Status>> + Send>>;

/// The service.
pub(crate) struct Execution {
    pub(crate) instances: Instances,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) cas: Arc<dyn Cas>,
    pub(crate) config: Arc<Config>,
}

#[tonic::async_trait]
impl execution_server::Execution for Execution {
    type ExecuteStream = Operations;
    type WaitExecutionStream = Operations;

    async fn execute(&self, request: Request<ExecuteRequest>) -> Result<Response<Operations>, Status> {
        let (headers, _, request) = request.into_parts();
        let instance = self.instances.get("instance_name", &request.instance_name)?;
        let prepared = self.prepare(instance, request, &headers).await?;
        let updates = self.submit(instance, prepared).await?;
        Ok(Response::new(self.stream(instance, updates)))
    }

    async fn wait_execution(&self, request: Request<WaitExecutionRequest>) -> Result<Response<Operations>, Status> {
        let name = request.into_inner().name;
        let (instance, updates) = watch_operation(&self.instances, &name).await?;
        Ok(Response::new(self.stream(instance, updates)))
    }
}

impl Execution {
    fn stream(&self, instance: &Instance, updates: watch::Receiver<OperationView>) -> Operations {
        Box::pin(stream::updates(instance.engine.history().clone(), updates, self.config.clone()))
    }
}

/// Finds an operation by its name on the wire, whether it is going on or ended long ago.
pub(crate) async fn watch_operation<'a>(
    instances: &'a Instances,
    name: &str,
) -> Result<(&'a Instance, watch::Receiver<OperationView>), Error> {
    let unknown = || Error::UnknownName { what: "operation", name: shown(name) };
    let (instance, operation) = names::parse_operation(name).ok_or_else(unknown)?;
    let instance = instances.find(instance).ok_or_else(unknown)?;
    let updates = instance.engine.watch(operation).await?.ok_or_else(unknown)?;
    // Instances of one partition share an engine, but not their operations.
    let known_here = updates.borrow().instance == instance.name;
    if known_here { Ok((instance, updates)) } else { Err(unknown()) }
}
