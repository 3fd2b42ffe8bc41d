//! Cancels what meets a filter: a step at a time, each told of when it is durable. What comes in after the call began is
//! left alone.

use berth_core::{Stage, Timestamp};
use berth_proto::admin::{CancelOperationsProgress, CancelOperationsRequest};
use futures::{Stream, stream};
use tonic::Status;

use crate::{
    error::Error,
    instances::{Instance, Instances},
    operations::{Place, Scan},
};

/// Of so many steps that found nothing, one is told of.
const QUIET_STEPS: u32 = 16;

struct State {
    instance: Instance,
    scan: Scan,
    dry_run: bool,
    /// When the call began.
    by: Timestamp,
    /// `None`: the last message was sent.
    place: Option<Place>,
    progress: CancelOperationsProgress,
}

/// Checks the request, and begins when the stream is read.
pub(super) fn cancel(
    instances: &Instances,
    request: CancelOperationsRequest,
) -> Result<impl Stream<Item = Result<CancelOperationsProgress, Status>> + Send + use<>, Error> {
    let instance = instances.get("instance", &request.instance)?.clone();
    if request.filter.trim().is_empty() {
        let problem = "must say which operations: such as `invocation_id = X`, or `stage != COMPLETED` for all";
        return Err(Error::field("filter", problem));
    }
    let scan = Scan::by_filter(&instance, &request.filter)?;
    let (by, progress) = (instance.engine.now(), CancelOperationsProgress::default());
    let state = State { instance, scan, dry_run: request.dry_run, by, place: Some(Place::START), progress };
    Ok(stream::unfold(Some(state), |state| async {
        let mut state = state?;
        match state.next().await {
            Ok(progress) if progress.done => Some((Ok(progress), None)),
            Ok(progress) => Some((Ok(progress), Some(state))),
            Err(error) => Some((Err(error.into()), None)),
        }
    }))
}

impl State {
    async fn next(&mut self) -> Result<CancelOperationsProgress, Error> {
        for _ in 0..QUIET_STEPS {
            // What is over cannot be cancelled.
            let Some(place @ Place::Live(_)) = self.place.take() else {
                self.progress.done = true;
                break;
            };
            let step = self.scan.step(place, Some(self.by)).await?;
            self.place = step.next;
            self.progress.looked_at += step.looked_at as u64;
            let open = step.matching.iter().filter(|listed| !matches!(listed.view.stage, Stage::Completed(_)));
            let open: Vec<_> = open.map(|listed| listed.view.operation).collect();
            self.progress.matched += open.len() as u64;
            if !self.dry_run {
                self.progress.cancelled += self.cancel_all(open.clone()).await?;
            }
            if !open.is_empty() {
                break;
            }
        }
        Ok(self.progress)
    }

    /// All at once, so that they share their commits. Answers how many were not over by then.
    async fn cancel_all(&self, operations: Vec<berth_core::OperationId>) -> Result<u64, Error> {
        let engine = &self.instance.engine;
        let cancels = operations.into_iter().map(|operation| async move {
            let is_open = move |book: &berth_core::Book| {
                book.operation(operation).is_some_and(|view| !matches!(view.stage, Stage::Completed(_)))
            };
            let was_open = engine.peek(is_open).await?;
            engine.cancel(operation).await?;
            Ok::<_, Error>(was_open)
        });
        let cancelled = futures::future::try_join_all(cancels).await?;
        Ok(cancelled.into_iter().filter(|was_open| *was_open).count() as u64)
    }
}
