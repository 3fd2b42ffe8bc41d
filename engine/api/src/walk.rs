//! Walks over everything that is not over, a bounded step at a time, so that the writer is never held up.

use berth_core::JobView;
use berth_runtime::{Engine, EngineError};

/// Places of the book that one step looks at: some hundred microseconds.
const PLACES_A_STEP: usize = 1_024;

/// Hands every incomplete job to `visit`, in no particular order. A job that begins or ends meanwhile may be missed.
pub(crate) async fn walk_incomplete(engine: &Engine, mut visit: impl FnMut(JobView)) -> Result<(), EngineError> {
    let mut from = Some(0);
    while let Some(place) = from {
        let (jobs, next) = engine.read(move |book| book.jobs_from(place, PLACES_A_STEP)).await?;
        jobs.into_iter().for_each(&mut visit);
        from = next;
    }
    Ok(())
}
