//! Where a job stands among all that wait in its instance.

use berth_core::{Book, JobId};
use berth_runtime::{Engine, EngineError};

/// Places of the book that one step looks at: some hundred microseconds of the writer's time.
const PLACES_A_STEP: usize = 16_384;

/// How many jobs of the instance are as urgent as this one or more, itself included; stops counting at `most`. `None`: it
/// does not wait.
pub(crate) async fn position(engine: &Engine, job: JobId, most: u64) -> Result<Option<u64>, EngineError> {
    let (mut position, mut place) = (0, Some(0));
    while let Some(from) = place {
        let look = move |book: &Book| book.position_from(job, from, PLACES_A_STEP);
        let Some((before, next)) = engine.read(look).await? else { return Ok(None) };
        position += before as u64;
        if position >= most {
            return Ok(Some(most));
        }
        place = next;
    }
    Ok(Some(position.max(1)))
}
