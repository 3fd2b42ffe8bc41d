//! The yardstick of `e2e`: a gRPC server on the same transport that answers the three calls of a job and does nothing.
//! What a job costs here is what the protocol costs.

use std::{net::Ipv4Addr, pin::Pin};

use anyhow::Context;
use berth_proto::{
    any,
    bots::{BotSession, CreateBotSessionRequest, PostBotEventTempRequest, UpdateBotSessionRequest, bots_server},
    longrunning::{Operation, operation},
    reapi::{
        ExecuteOperationMetadata, ExecuteRequest, ExecuteResponse, WaitExecutionRequest, execution_server,
        execution_stage,
    },
};
use futures::{Stream, stream};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};

use super::load::action_result;

type Operations = Pin<Box<dyn Stream<Item = Result<Operation, Status>> + Send>>;

pub(super) fn run() -> anyhow::Result<()> {
    // As `berth serve` starts its own.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        eprintln!("bare: ready on grpc {}", listener.local_addr()?);
        berth_api::transport()
            .add_service(execution_server::ExecutionServer::new(Bare::new()))
            .add_service(bots_server::BotsServer::new(Bare::new()))
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
            .await
            .context("the bare server ended")
    })
}

/// What every job is told, made once.
struct Bare {
    initial: Operation,
    done: Operation,
}

impl Bare {
    fn new() -> Self {
        let told = |stage: execution_stage::Value, done, result| Operation {
            name: format!("main/operations/{}", uuid::Uuid::new_v4()),
            metadata: Some(any::pack(&ExecuteOperationMetadata {
                stage: stage as i32,
                action_digest: Some(super::load::digest_of(b"bare")),
                ..ExecuteOperationMetadata::default()
            })),
            done,
            result,
        };
        let response = ExecuteResponse { result: Some(action_result("bare")), ..ExecuteResponse::default() };
        Self {
            initial: told(execution_stage::Value::Queued, false, None),
            done: told(
                execution_stage::Value::Completed,
                true,
                Some(operation::Result::Response(any::pack(&response))),
            ),
        }
    }
}

#[tonic::async_trait]
impl execution_server::Execution for Bare {
    type ExecuteStream = Operations;
    type WaitExecutionStream = Operations;

    async fn execute(&self, _: Request<ExecuteRequest>) -> Result<Response<Operations>, Status> {
        let messages = [Ok(self.initial.clone()), Ok(self.done.clone())];
        Ok(Response::new(Box::pin(stream::iter(messages))))
    }

    async fn wait_execution(&self, _: Request<WaitExecutionRequest>) -> Result<Response<Operations>, Status> {
        Err(Status::unimplemented("the bare server forgets at once"))
    }
}

#[tonic::async_trait]
impl bots_server::Bots for Bare {
    async fn create_bot_session(&self, _: Request<CreateBotSessionRequest>) -> Result<Response<BotSession>, Status> {
        Err(Status::unimplemented("the bare server has no sessions"))
    }

    async fn update_bot_session(
        &self,
        request: Request<UpdateBotSessionRequest>,
    ) -> Result<Response<BotSession>, Status> {
        Ok(Response::new(request.into_inner().bot_session.unwrap_or_default()))
    }

    async fn post_bot_event_temp(&self, _: Request<PostBotEventTempRequest>) -> Result<Response<()>, Status> {
        Err(Status::unimplemented("the bare server takes no events"))
    }
}
