//! `berth.admin.v1.Pauses`.

use std::sync::Arc;

use berth_core::{Book, InstanceName, Stage};
use berth_proto::admin::{ListPausesRequest, ListPausesResponse, Pause, PauseRequest, PauseResponse, pauses_server};
use tonic::{Request, Response, Status};

use super::check_peer;
use crate::{error::Error, instances::Instances, walk::walk_incomplete};

/// The longest label that can be paused: labels are words of a policy.
const LABEL_BYTES_MAX: usize = 1_024;

/// The service.
pub(crate) struct AdminPauses {
    pub(crate) instances: Instances,
}

#[tonic::async_trait]
impl pauses_server::Pauses for AdminPauses {
    async fn pause(&self, request: Request<PauseRequest>) -> Result<Response<PauseResponse>, Status> {
        check_peer(&request)?;
        Ok(Response::new(self.set(request.into_inner()).await?))
    }

    async fn list_pauses(&self, request: Request<ListPausesRequest>) -> Result<Response<ListPausesResponse>, Status> {
        check_peer(&request)?;
        let mut rows = Vec::new();
        for engine in self.instances.engines() {
            rows.extend(engine.read_promptly(Book::pauses).await.map_err(Error::from)?);
        }
        rows.sort();
        let pause = |row: berth_core::PauseRow| Pause {
            instance: row.instance.to_string(),
            label: row.label.map(|label| label.to_string()),
        };
        Ok(Response::new(ListPausesResponse { pauses: rows.into_iter().map(pause).collect() }))
    }
}

impl AdminPauses {
    async fn set(&self, request: PauseRequest) -> Result<PauseResponse, Error> {
        let instance = self.instances.get("instance", &request.instance)?;
        if request.label.as_ref().is_some_and(|label| label.len() > LABEL_BYTES_MAX) {
            return Err(Error::field("label", format!("must have at most {LABEL_BYTES_MAX} bytes")));
        }
        let label: Option<Arc<str>> = request.label.as_deref().map(Into::into);
        instance.engine.pause(instance.name.clone(), label.clone(), !request.undo).await?;
        let (mut answer, name): (_, &InstanceName) = (PauseResponse::default(), &instance.name);
        walk_incomplete(&instance.engine, |job| {
            if job.instance == *name && label.as_ref().is_none_or(|label| *label == job.label) {
                match job.stage {
                    Stage::Queued => answer.queued += 1,
                    Stage::Executing => answer.executing += 1,
                    Stage::Completed(_) => {}
                }
            }
        })
        .await?;
        Ok(answer)
    }
}
