//! Results on their way in: what may serve others goes to the action cache before the job counts as done.

use berth_core::{LeaseId, LeaseReport, ReportedState, SessionId};
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

impl Bots {
    pub(super) async fn complete(
        &self,
        instance: &Instance,
        session: SessionId,
        reports: Reports,
    ) -> Result<Taken, Error> {
        let Reports { open: mut leases, completed } = reports;
        let mut results = Vec::with_capacity(completed.len());
        for Completed { lease, status, result } in completed {
            let (result, bytes) = result.unzip();
            if let Some(metadata) = result.as_ref().and_then(|result| result.execution_metadata.as_ref()) {
                self.phases.add(metadata);
            }
            let state = match result {
                Some(result) if status.code == Code::Ok as i32 && result.exit_code == 0 => {
                    let cacheable = self.cache(instance, session, lease, result).await?;
                    ReportedState::Completed { code: status.code, cacheable }
                }
                Some(_) if status.code == Code::Ok as i32 => ReportedState::CommandFailed,
                Some(_) | None => ReportedState::Completed { code: status.code, cacheable: false },
            };
            // Stored only if this very report ends the job: the engine sees to it.
            results.push((lease, stored(bytes, &status)));
            leases.push(LeaseReport { lease, state });
        }
        Ok((leases, results))
    }

    /// Stores the action cache entry; whether that was wanted and done.
    async fn cache(
        &self,
        instance: &Instance,
        session: SessionId,
        lease: LeaseId,
        mut result: ActionResult,
    ) -> Result<bool, Error> {
        let body = match instance.engine.history().body(lease.job).await {
            Ok(Some(body)) => body,
            Ok(None) | Err(_) => return Ok(false),
        };
        if Action::decode(body.action.clone()).map_or(true, |action| action.do_not_cache) {
            return Ok(false);
        }
        // The result of a lease that is over, or is another bot's, must not be seen by anybody.
        let held = instance.engine.peek(move |book| book.leased_job(lease, session)).await?;
        let Some((home, action, queued_at)) = held else { return Ok(false) };
        let metadata = result.execution_metadata.get_or_insert_default();
        metadata.queued_timestamp = Some(convert::timestamp(queued_at));
        match self.cas.put_action_result(&home.0, &action, &result).await {
            Ok(()) => Ok(true),
            Err(error) => {
                // The client gets its result all the same; only the next one must run the action again.
                tracing::warn!(%action, %error, "a result is not cached");
                Ok(false)
            }
        }
    }
}

fn stored(action_result: Option<Bytes>, status: &rpc::Status) -> pb::JobResult {
    let status = if status.code == Code::Ok as i32 { Bytes::new() } else { status.encode_to_vec().into() };
    pb::JobResult { action_result: action_result.unwrap_or_default(), status, ..pb::JobResult::default() }
}
