//! `build.buildgrid.Introspection`: what those look at who are used to BuildGrid, as it tells it.
//!
//! A request sees its own instance and nothing else. `workers` lists bots, `metadata` looks through what build tools say of
//! themselves, `history` writes what happened to a job as BuildGrid writes it.

mod history;
mod metadata;
mod workers;

use berth_core::{JobId, OperationId};
use berth_proto::buildgrid::{
    GetJobHistoryRequest, GetOperationFiltersRequest, GetRequestMetadataSummaryRequest, JobHistory,
    ListRequestMetadataRequest, ListRequestMetadataResponse, ListWorkersRequest, ListWorkersResponse, OperationFilter,
    OperationFilters, OperationStats, OperationStatsRequest, RequestMetadataSummary, introspection_server,
};
use tonic::{Request, Response, Status};

use crate::{
    convert,
    error::Error,
    happened::happened,
    instances::{Instance, Instances, shown},
    names, operations,
    position::position,
};

/// As far as BuildGrid counts.
const POSITION_MAX: u64 = 300;

/// The service.
pub(crate) struct Introspection {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl introspection_server::Introspection for Introspection {
    async fn list_workers(
        &self,
        request: Request<ListWorkersRequest>,
    ) -> Result<Response<ListWorkersResponse>, Status> {
        let instance = self.instance(&request.get_ref().instance_name)?;
        Ok(Response::new(workers::list(instance, request.get_ref()).await?))
    }

    async fn get_operation_filters(
        &self,
        request: Request<GetOperationFiltersRequest>,
    ) -> Result<Response<OperationFilters>, Status> {
        self.instance(&request.get_ref().instance_name)?;
        let filters = operations::about().into_iter().map(|about| OperationFilter {
            key: about.key.into(),
            name: about.name.into(),
            r#type: if about.is_time { "datetime" } else { "text" }.into(),
            description: about.description.into(),
            comparators: about.comparators.into_iter().map(Into::into).collect(),
            values: about.values.iter().map(|value| (*value).into()).collect(),
        });
        Ok(Response::new(OperationFilters { filters: filters.collect() }))
    }

    async fn get_operation_stats(
        &self,
        request: Request<OperationStatsRequest>,
    ) -> Result<Response<OperationStats>, Status> {
        let request = request.into_inner();
        let instance = self.instance(&request.instance_name)?;
        let job = job_of(instance, &request.operation_name).await?;
        let position = position(&instance.engine, job, POSITION_MAX).await.map_err(Error::from)?;
        let queue_position = match position {
            None => "~0".to_owned(),
            Some(POSITION_MAX..) => format!("{POSITION_MAX}+"),
            Some(position) => format!("~{position}"),
        };
        Ok(Response::new(OperationStats { queue_position }))
    }

    async fn get_job_history(&self, request: Request<GetJobHistoryRequest>) -> Result<Response<JobHistory>, Status> {
        let request = request.into_inner();
        let instance = self.instance(&request.instance_name)?;
        let job = job_of(instance, &request.operation_name).await?;
        let known = happened(&instance.engine, job).await?.ok_or_else(|| unknown(&request.operation_name))?;
        let attempts_max = instance.engine.read_promptly(|book| book.settings().attempts_max).await;
        let attempts_max = attempts_max.map_err(Error::from)?;
        let history = known.events.into_iter().map(|event| history::event(event, attempts_max)).collect();
        Ok(Response::new(JobHistory { action_digest: Some(convert::to_wire(&known.action)), history }))
    }

    async fn list_request_metadata(
        &self,
        request: Request<ListRequestMetadataRequest>,
    ) -> Result<Response<ListRequestMetadataResponse>, Status> {
        let instance = self.instance(&request.get_ref().instance_name)?;
        Ok(Response::new(metadata::list(instance, request.get_ref()).await?))
    }

    async fn get_request_metadata_summary(
        &self,
        request: Request<GetRequestMetadataSummaryRequest>,
    ) -> Result<Response<RequestMetadataSummary>, Status> {
        let instance = self.instance(&request.get_ref().instance_name)?;
        Ok(Response::new(metadata::summary(instance, request.get_ref()).await?))
    }
}

impl Introspection {
    fn instance(&self, name: &str) -> Result<&Instance, Error> {
        self.instances.get("instance_name", name)
    }
}

/// The job of an operation of the instance; its name may come with the instance or without it, as BuildGrid's clients have
/// it.
async fn job_of(instance: &Instance, name: &str) -> Result<JobId, Error> {
    let (of, id) = names::split(name);
    let is_own = of.is_empty() || *of == *instance.name.0;
    let operation: OperationId = id.parse().ok().filter(|_| is_own).ok_or_else(|| unknown(name))?;
    let view = instance.engine.operation(operation).await?;
    let view = view.filter(|view| view.instance == instance.name);
    view.map(|view| view.job).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Error {
    Error::UnknownName { what: "operation", name: shown(name) }
}

/// A page of BuildGrid's lists: its number from 1 on, and how many it has at most.
struct Page {
    number: i32,
    size: i32,
}

impl Page {
    fn read(number: i32, size: i32) -> Result<Self, Error> {
        for (field, value) in [("page", number), ("page_size", size)] {
            if value < 0 {
                return Err(Error::field(field, format!("{value} must not be negative")));
            }
        }
        Ok(Self { number: number.max(1), size })
    }

    /// How many come before the page.
    fn skip(&self) -> usize {
        let before = usize::try_from(self.number - 1).expect("it is 1 at least");
        before.saturating_mul(usize::try_from(self.size).expect("it is not negative"))
    }

    fn take(&self) -> usize {
        usize::try_from(self.size).expect("it is not negative")
    }
}

/// As many as a field of 32 bits can say.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}
