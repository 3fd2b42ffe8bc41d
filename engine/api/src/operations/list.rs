//! ListOperations: the oldest first, page by page. A page begins after the last operation of the one before, so that
//! what comes and goes between two pages moves nothing.

use std::{cmp::Ordering, collections::BinaryHeap};

use berth_core::{
    InstanceName, JobRow, JobRowState, JobView, OperationId, OperationRow, OperationView, Outcome, Stage, Timestamp,
};
use berth_proto::longrunning::{ListOperationsRequest, ListOperationsResponse};

use super::filter::Filter;
use crate::{error::Error, instances::Instance, operation, walk::walk_incomplete};

/// The most operations of a page, and what a request gets that names no number.
const PAGE_MAX: usize = 1_000;

/// As many finished jobs as a list looks at, the newest ones.
const FINISHED_MAX: usize = 10_000;

pub(super) async fn list(
    instance: &Instance,
    request: &ListOperationsRequest,
) -> Result<ListOperationsResponse, Error> {
    let filter = Filter::parse(&request.filter)?;
    let mut page = Page {
        instance: &instance.name,
        filter: &filter,
        after: parse_token(&request.page_token)?,
        size: page_size(request.page_size)?,
        oldest: BinaryHeap::new(),
    };
    // Finished ones first: what ends while we look is then met among the others, or not at all, but never twice.
    let finished = match filter.wants_completed() {
        true => instance.engine.history().recent(FINISHED_MAX).await?,
        false => Vec::new(),
    };
    walk_incomplete(&instance.engine, |job| page.add_incomplete(&job)).await?;
    finished.iter().for_each(|row| page.add_finished(row));
    let (views, more) = page.finish();
    let next_page_token = views.last().filter(|_| more).map(token).unwrap_or_default();
    let mut operations = Vec::with_capacity(views.len());
    for view in &views {
        operations.push(operation::operation(instance.engine.history(), view).await?);
    }
    Ok(ListOperationsResponse { operations, next_page_token, unreachable: Vec::new() })
}

/// Gathers the oldest operations that match. Holds one more than a page, to know whether there are more.
struct Page<'a> {
    instance: &'a InstanceName,
    filter: &'a Filter,
    after: Option<(Timestamp, OperationId)>,
    size: usize,
    oldest: BinaryHeap<ByAge>,
}

impl Page<'_> {
    fn add_incomplete(&mut self, job: &JobView) {
        if &job.instance != self.instance {
            return;
        }
        for handle in &job.operations {
            self.add(OperationView {
                operation: handle.operation,
                job: job.job,
                instance: job.instance.clone(),
                action: job.action,
                stage: stage_of(handle, job.stage.clone()),
                queued_at: job.queued_at,
            });
        }
    }

    fn add_finished(&mut self, job: &JobRow) {
        let JobRowState::Completed { outcome, .. } = job.state else { return };
        if &job.instance != self.instance {
            return;
        }
        for handle in &job.operations {
            self.add(OperationView {
                operation: handle.operation,
                job: job.job,
                instance: job.instance.clone(),
                action: job.action,
                stage: stage_of(handle, Stage::Completed(outcome)),
                queued_at: job.queued_at,
            });
        }
    }

    fn add(&mut self, view: OperationView) {
        if self.after.is_some_and(|after| key(&view) <= after) || !self.filter.matches(&view) {
            return;
        }
        self.oldest.push(ByAge(view));
        if self.oldest.len() > self.size + 1 {
            self.oldest.pop();
        }
    }

    fn finish(self) -> (Vec<OperationView>, bool) {
        let mut views: Vec<_> = self.oldest.into_sorted_vec().into_iter().map(|ByAge(view)| view).collect();
        views.dedup_by_key(|view| view.operation);
        let more = views.len() > self.size;
        views.truncate(self.size);
        (views, more)
    }
}

/// Ordered by age, so that the heap gives up the youngest.
struct ByAge(OperationView);

impl Ord for ByAge {
    fn cmp(&self, other: &Self) -> Ordering {
        key(&self.0).cmp(&key(&other.0))
    }
}

impl PartialOrd for ByAge {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for ByAge {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for ByAge {}

fn key(view: &OperationView) -> (Timestamp, OperationId) {
    (view.queued_at, view.operation)
}

fn stage_of(handle: &OperationRow, stage: Stage) -> Stage {
    if handle.cancelled.is_some() { Stage::Completed(Outcome::Cancelled) } else { stage }
}

fn page_size(asked: i32) -> Result<usize, Error> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_MAX),
        Ok(asked) => Ok(asked.min(PAGE_MAX)),
        Err(_) => Err(Error::field("page_size", format!("{asked} must not be negative"))),
    }
}

/// When the last operation of the page was queued, and its id.
fn token(view: &OperationView) -> String {
    format!("{}-{}", view.queued_at.0, view.operation)
}

fn parse_token(token: &str) -> Result<Option<(Timestamp, OperationId)>, Error> {
    if token.is_empty() {
        return Ok(None);
    }
    let parsed = token.split_once('-').and_then(|(at, id)| Some((Timestamp(at.parse().ok()?), id.parse().ok()?)));
    parsed.map(Some).ok_or_else(|| Error::field("page_token", "is not one that an answer gave"))
}
