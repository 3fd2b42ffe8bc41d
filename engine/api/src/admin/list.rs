//! Jobs in a list: those that wait longest, and if asked those that ended last; all, or those with an operation that meets a
//! filter.

use std::collections::{BTreeMap, BTreeSet};

use berth_core::{Book, InstanceName, JobId, JobView};
use berth_proto::admin::{Job, ListJobsRequest, ListJobsResponse};
use berth_runtime::{Engine, EngineError};

use super::{chosen, show};
use crate::{
    error::Error,
    instances::{Instance, Instances},
    operations::{Place, Scan},
    walk::walk_incomplete,
};

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 10_000;

pub(super) async fn list(instances: &Instances, request: &ListJobsRequest) -> Result<ListJobsResponse, Error> {
    let only = chosen(instances, &request.instance)?;
    let limit = match usize::try_from(request.limit) {
        Ok(0) | Err(_) => LIMIT_DEFAULT,
        Ok(limit) => limit.min(LIMIT_MAX),
    };
    if request.filter.trim().is_empty() {
        return all(instances, only.map(|instance| &instance.name), request.finished, limit).await;
    }
    let mut answer = ListJobsResponse::default();
    let named = match only {
        Some(instance) => vec![instance.clone()],
        None => instances.all(),
    };
    for instance in named {
        filtered(&instance, request, limit, &mut answer).await?;
    }
    answer.jobs.truncate(limit);
    Ok(answer)
}

async fn all(
    instances: &Instances,
    only: Option<&InstanceName>,
    finished: bool,
    limit: usize,
) -> Result<ListJobsResponse, Error> {
    let mut answer = ListJobsResponse::default();
    for engine in instances.engines() {
        let (oldest, total) = oldest(&engine, only, limit).await?;
        answer.incomplete_total += total;
        for view in oldest {
            answer.jobs.push(show::view(&engine, &view).await?);
        }
    }
    if finished {
        for engine in instances.engines() {
            let rows = engine.history().recent(limit).await?;
            for row in rows.iter().filter(|row| only.is_none_or(|name| *name == row.instance)) {
                answer.jobs.push(show::row(&engine, row).await?);
            }
        }
    }
    answer.jobs.truncate(limit);
    Ok(answer)
}

/// Jobs of an instance with an operation that meets the filter.
async fn filtered(
    instance: &Instance,
    request: &ListJobsRequest,
    limit: usize,
    answer: &mut ListJobsResponse,
) -> Result<(), Error> {
    let (scan, engine) = (Scan::by_filter(instance, &request.filter)?, &instance.engine);
    let (mut live, mut over) = (BTreeSet::new(), BTreeSet::new());
    let mut place = Some(Place::START);
    while let Some(from) = place {
        let is_live = matches!(from, Place::Live(_));
        if !is_live && !request.finished {
            break;
        }
        let step = scan.step(from, None).await?;
        for listed in step.matching {
            let (job, queued_at) = (listed.view.job, listed.view.queued_at);
            if is_live {
                live.insert((queued_at, job));
            } else {
                over.insert((listed.view.completed_at, job));
                if over.len() > limit {
                    over.pop_first();
                }
            }
        }
        place = step.next;
    }
    answer.incomplete_total += live.len() as u64;
    let oldest: Vec<JobId> = live.into_iter().take(limit).map(|(_, job)| job).collect();
    let look = move |book: &Book| oldest.into_iter().filter_map(|job| book.job_view(job)).collect::<Vec<_>>();
    for view in engine.read(look).await? {
        answer.jobs.push(show::view(engine, &view).await?);
    }
    for (_, job) in over.into_iter().rev() {
        let known: Option<Job> = match engine.history().finished(job).await? {
            Some(row) => Some(show::row(engine, &row).await?),
            None => None,
        };
        answer.jobs.extend(known.filter(|known| answer.jobs.iter().all(|listed| listed.job != known.job)));
    }
    Ok(())
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
