//! `berth.admin.v1.Jobs`.

use std::collections::BTreeMap;

use berth_core::{InstanceName, JobView, Stage};
use berth_proto::admin::{
    CancelJobRequest, CancelJobResponse, GetJobRequest, Job, ListJobsRequest, ListJobsResponse, jobs_server,
};
use berth_runtime::{Engine, EngineError};
use tonic::{Request, Response, Status};

use super::{
    check_peer, chosen,
    find::{self, Found},
    show,
};
use crate::{error::Error, instances::Instances, walk::walk_incomplete};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

/// The service.
pub(crate) struct AdminJobs {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl jobs_server::Jobs for AdminJobs {
    async fn list_jobs(&self, request: Request<ListJobsRequest>) -> Result<Response<ListJobsResponse>, Status> {
        check_peer(&request)?;
        Ok(Response::new(self.list(&request.into_inner()).await?))
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
            Found::Known(job) => cancel(&engine, &job).await.map_err(Error::from)?,
            Found::Stored(_) => 0,
        };
        Ok(Response::new(CancelJobResponse { operations }))
    }
}

impl AdminJobs {
    async fn list(&self, request: &ListJobsRequest) -> Result<ListJobsResponse, Error> {
        let only = chosen(&self.instances, &request.instance)?.map(|instance| &instance.name);
        let limit = match usize::try_from(request.limit) {
            Ok(0) | Err(_) => LIMIT_DEFAULT,
            Ok(limit) => limit.min(LIMIT_MAX),
        };
        let mut answer = ListJobsResponse::default();
        for engine in self.instances.engines() {
            let (oldest, total) = oldest(&engine, only, limit).await?;
            answer.incomplete_total += total;
            for view in oldest {
                answer.jobs.push(show::view(&engine, &view).await?);
            }
        }
        if request.finished {
            for engine in self.instances.engines() {
                let rows = engine.history().recent(limit).await?;
                for row in rows.iter().filter(|row| only.is_none_or(|name| *name == row.instance)) {
                    answer.jobs.push(show::row(&engine, row).await?);
                }
            }
        }
        answer.jobs.truncate(limit);
        Ok(answer)
    }
}

/// The jobs that wait longest, and how many there are in all.
async fn oldest(
    engine: &Engine,
    only: Option<&InstanceName>,
    limit: usize,
) -> Result<(impl Iterator<Item = JobView> + use<>, u64), EngineError> {
    let (mut oldest, mut total) = (BTreeMap::new(), 0);
    walk_incomplete(engine, |view| {
        if only.is_none_or(|name| *name == view.instance) {
            total += 1;
            oldest.insert((view.queued_at, view.job), view);
            if oldest.len() > limit {
                oldest.pop_last();
            }
        }
    })
    .await?;
    Ok((oldest.into_values(), total))
}

/// Gives up every handle that is still held; the last one ends the job.
async fn cancel(engine: &Engine, job: &JobView) -> Result<u32, EngineError> {
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
