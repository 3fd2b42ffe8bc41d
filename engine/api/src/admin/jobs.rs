//! `berth.admin.v1.Jobs`.

use std::pin::Pin;

use berth_core::{JobView, Stage};
use berth_proto::admin::{
    CancelJobRequest, CancelJobResponse, CancelOperationsProgress, CancelOperationsRequest, GetHistoryRequest,
    GetHistoryResponse, GetJobRequest, Job, ListJobsRequest, ListJobsResponse, RequeueJobRequest, RequeueJobResponse,
    SetPriorityRequest, SetPriorityResponse, jobs_server,
};
use berth_runtime::{Engine, EngineError};
use futures::Stream;
use tonic::{Request, Response, Status};

use super::{
    cancel, check_peer,
    find::{self, Found},
    list, show,
};
use crate::{
    error::Error,
    happened::happened,
    instances::{Instances, shown},
};

/// The service.
pub(crate) struct AdminJobs {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl jobs_server::Jobs for AdminJobs {
    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        check_peer(&request)?;
        Ok(Response::new(list::list(&self.instances, &request.into_inner()).await?))
    }

    async fn get_job(&self, request: Request<GetJobRequest>) -> Result<Response<Job>, Status> {
        check_peer(&request)?;
        let (engine, found) = find::job(&self.instances, &request.get_ref().job).await?;
        Ok(Response::new(show::found(&engine, found).await?))
    }

    async fn cancel_job(&self, request: Request<CancelJobRequest>) -> Result<Response<CancelJobResponse>, Status> {
        check_peer(&request)?;
        let (engine, found) = find::job(&self.instances, &request.get_ref().job).await?;
        let operations = match found {
            Found::Known(job) => cancel_handles(&engine, &job).await.map_err(Error::from)?,
            Found::Stored(_) => 0,
        };
        Ok(Response::new(CancelJobResponse { operations }))
    }

    type CancelOperationsStream = Pin<Box<dyn Stream<Item = Result<CancelOperationsProgress, Status>> + Send>>;

    async fn cancel_operations(
        &self,
        request: Request<CancelOperationsRequest>,
    ) -> Result<Response<Self::CancelOperationsStream>, Status> {
        check_peer(&request)?;
        Ok(Response::new(Box::pin(cancel::cancel(&self.instances, request.into_inner())?)))
    }

    async fn requeue_job(&self, request: Request<RequeueJobRequest>) -> Result<Response<RequeueJobResponse>, Status> {
        check_peer(&request)?;
        let request = request.into_inner();
        let (engine, job) = self.unfinished(&request.job).await?;
        engine.requeue(job.job, request.counts).await.map_err(Error::from)?;
        Ok(Response::new(RequeueJobResponse {}))
    }

    async fn set_priority(
        &self,
        request: Request<SetPriorityRequest>,
    ) -> Result<Response<SetPriorityResponse>, Status> {
        check_peer(&request)?;
        let request = request.into_inner();
        let (engine, job) = self.unfinished(&request.job).await?;
        let set = engine.set_priority(job.job, request.priority).await.map_err(Error::from)?;
        let answer = SetPriorityResponse { rank_before: set.before, rank: set.rank, unanswered: set.unanswered };
        Ok(Response::new(answer))
    }

    async fn get_history(&self, request: Request<GetHistoryRequest>) -> Result<Response<GetHistoryResponse>, Status> {
        check_peer(&request)?;
        let text = request.into_inner().job;
        let (engine, found) = find::job(&self.instances, &text).await?;
        let unknown = || Error::UnknownName { what: "job", name: shown(&text) };
        let known = happened(&engine, found.id()).await?.ok_or_else(unknown)?;
        Ok(Response::new(show::history(known)))
    }
}

impl AdminJobs {
    async fn unfinished(&self, text: &str) -> Result<(Engine, Box<JobView>), Error> {
        match find::job(&self.instances, text).await? {
            (engine, Found::Known(job)) if !matches!(job.stage, Stage::Completed(_)) => Ok((engine, job)),
            (_, found) => Err(EngineError::from(berth_core::Rejection::UnknownJob(found.id())).into()),
        }
    }
}

/// Gives up every handle that is still held; the last one ends the job.
async fn cancel_handles(engine: &Engine, job: &JobView) -> Result<u32, EngineError> {
    if matches!(job.stage, Stage::Completed(_)) {
        return Ok(0);
    }
    let mut cancelled = 0;
    for handle in job.operations.iter().filter(|handle| handle.cancelled.is_none()) {
        engine.cancel(handle.operation).await?;
        cancelled += 1;
    }
    Ok(cancelled)
}
