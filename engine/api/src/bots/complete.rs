//! Results on their way in: what may serve others goes to the action cache before the job counts as done.

use berth_core::{Digest, LeaseId, LeaseReport, ReportedState, SessionId, Timestamp};
use berth_proto::{
    reapi::{Action, ActionResult},
    rpc, store as pb,
};
use bytes::Bytes;
use prost::Message;
use tonic::Code;

use super::{
    Bots,
    report::{Completed, Reports},
};
use crate::{convert, error::Error, instances::Instance};

/// What the engine takes: a report for each lease, and the results to store.
type Taken = (Vec<LeaseReport>, Vec<(LeaseId, pb::JobResult)>);

/// A lease that the session really holds.
struct Live {
    action: Digest,
    queued_at: Timestamp,
}

impl Bots {
    pub(super) async fn complete(
        &self,
        instance: &Instance,
        session: SessionId,
        reports: Reports,
    ) -> Result<Taken, Error> {
        let Reports { open: mut leases, completed } = reports;
        if completed.is_empty() {
            return Ok((leases, Vec::new()));
        }
        let live = look_up(instance, session, &completed).await?;
        let mut results = Vec::with_capacity(completed.len());
        for (completed, live) in completed.into_iter().zip(live) {
            let Completed { lease, status, result } = completed;
            let mut cacheable = false;
            // The result of a lease that is over, or is another bot's, must not be seen by anybody.
            if let Some(live) = live {
                let (result, bytes) = result.unzip();
                if let Some(result) = result.filter(|result| status.code == 0 && result.exit_code == 0) {
                    cacheable = self.cache(instance, lease, &live, result).await;
                }
                results.push((lease, stored(bytes, &status)));
            }
            leases.push(LeaseReport { lease, state: ReportedState::Completed { code: status.code, cacheable } });
        }
        Ok((leases, results))
    }

    /// Stores the action cache entry; whether that was wanted and done.
    async fn cache(&self, instance: &Instance, lease: LeaseId, live: &Live, mut result: ActionResult) -> bool {
        let body = match instance.engine.history().body(lease.job).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(_) => return false,
        };
        if Action::decode(body.action.clone()).map_or(true, |action| action.do_not_cache) {
            return false;
        }
        let metadata = result.execution_metadata.get_or_insert_default();
        metadata.queued_timestamp = Some(convert::timestamp(live.queued_at));
        match self.cas.put_action_result(&instance.name.0, &live.action, &result).await {
            Ok(()) => true,
            Err(error) => {
                // The client gets its result all the same; only the next one must run the action again.
                tracing::warn!(action = %live.action, %error, "a result is not cached");
                false
            }
        }
    }
}

/// For each lease whether the session holds it.
async fn look_up(instance: &Instance, session: SessionId, completed: &[Completed]) -> Result<Vec<Option<Live>>, Error> {
    let leases: Vec<LeaseId> = completed.iter().map(|completed| completed.lease).collect();
    let look = move |book: &berth_core::Book| {
        let live = |lease: &LeaseId| {
            let job = book.job_view(lease.job)?;
            let held = job.lease.is_some_and(|held| held.lease == *lease && held.session == session);
            held.then_some(Live { action: job.action, queued_at: job.queued_at })
        };
        leases.iter().map(live).collect()
    };
    Ok(instance.engine.peek(look).await?)
}

fn stored(action_result: Option<Bytes>, status: &rpc::Status) -> pb::JobResult {
    let status = if status.code == Code::Ok as i32 { Bytes::new() } else { status.encode_to_vec().into() };
    pb::JobResult { action_result: action_result.unwrap_or_default(), status }
}
