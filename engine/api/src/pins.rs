//! Pins: what a job needs stays in the storage until the job is over.
//!
//! The key is the id of the operation that makes the job, which is the job's id too. A pin is set before the submit,
//! so that there is no moment at which a job's blobs may be evicted.

use std::{mem, sync::Arc};

use berth_core::{Digest, JobId, OperationId};
use berth_proto::store as pb;
use berth_runtime::{
    Engine, EngineError, Observer,
    cas::{Cas, CasError},
};

use crate::walk::walk_incomplete;

/// Ends pins as jobs end: give it to the engine as its observer.
pub struct Unpinner {
    cas: Arc<dyn Cas>,
}

impl Unpinner {
    /// For the storage in which the pins are.
    pub fn new(cas: Arc<dyn Cas>) -> Self {
        Self { cas }
    }
}

impl Observer for Unpinner {
    fn job_completed(&self, job: JobId) {
        self.cas.unpin(job.0);
    }
}

/// Pins again what incomplete jobs need: pins are not stored. Call it once after start, before evictions begin. A
/// blob that is gone by now makes its job fail when a bot looks for it, with a status that names it. Answers how
/// many jobs were pinned.
pub async fn pin_incomplete(engine: &Engine, cas: &dyn Cas) -> Result<usize, EngineError> {
    let mut jobs = Vec::new();
    walk_incomplete(engine, |view| jobs.push((view.job, view.instance, view.action))).await?;
    let mut pinned = 0;
    for (job, instance, action) in jobs {
        let Some(body) = engine.history().body(job).await? else { continue };
        let blobs = [body.command_digest.as_ref(), body.input_root.as_ref()];
        let blobs = blobs.into_iter().flatten().filter_map(stored_digest);
        let blobs: Vec<Digest> = [action].into_iter().chain(blobs).collect();
        match cas.pin(job.0, &instance.0, &blobs).await {
            Ok(()) => pinned += 1,
            Err(error) => tracing::warn!(%job, %error, "inputs of a recovered job cannot be pinned"),
        }
    }
    Ok(pinned)
}

/// A digest for the store.
pub(crate) fn to_store(digest: &Digest) -> pb::Digest {
    pb::Digest { hash: digest.hash.to_vec().into(), size_bytes: digest.size_bytes }
}

fn stored_digest(stored: &pb::Digest) -> Option<Digest> {
    let hash = stored.hash.as_ref().try_into().ok()?;
    Some(Digest { hash, size_bytes: stored.size_bytes })
}

/// A pin whose submit has not been answered. If the call ends before that, nobody knows whether there is a job: the
/// engine is asked.
pub(crate) struct PinGuard {
    pinned: Option<(Engine, Arc<dyn Cas>)>,
    operation: OperationId,
}

impl PinGuard {
    pub(crate) async fn pin(
        engine: &Engine,
        cas: &Arc<dyn Cas>,
        operation: OperationId,
        instance: &str,
        blobs: &[Digest],
    ) -> Result<Self, CasError> {
        let guard = Self { pinned: Some((engine.clone(), cas.clone())), operation };
        cas.pin(operation.0, instance, blobs).await?;
        Ok(guard)
    }

    /// The job has it now.
    pub(crate) fn keep(mut self) {
        self.pinned = None;
    }

    /// There is no such job.
    pub(crate) fn release(mut self) {
        if let Some((_, cas)) = mem::take(&mut self.pinned) {
            cas.unpin(self.operation.0);
        }
    }
}

impl Drop for PinGuard {
    fn drop(&mut self) {
        let Some((engine, cas)) = mem::take(&mut self.pinned) else { return };
        let job = JobId(self.operation.0);
        // No runtime: the process ends, and the pins with it.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // Asked behind the submit, if that was sent at all. A job that is over has been unpinned: once more does
            // no harm. If the engine has stopped, the pins end with the process.
            let known = engine.read(move |book| book.job_view(job).is_some()).await;
            if !known.unwrap_or(false) {
                cas.unpin(job.0);
            }
        });
    }
}

#[cfg(test)]
#[path = "pins/tests.rs"]
mod tests;
