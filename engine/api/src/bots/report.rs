//! What a bot says of its leases, read at the door.

use berth_core::{LeaseId, LeaseReport, ReportedState};
use berth_proto::{
    any,
    bots::{Lease, LeaseState},
    reapi::ActionResult,
    rpc,
};
use bytes::Bytes;
use prost::Message;
use tonic::Code;

use crate::names;

/// What one update says.
#[derive(Debug, Default)]
pub(super) struct Reports {
    /// Leases that are not over.
    pub(super) open: Vec<LeaseReport>,
    /// Leases that the bot has finished with.
    pub(super) completed: Vec<Completed>,
}

/// A finished lease. Its status says how the infrastructure fared, its result what the command did.
#[derive(Debug)]
pub(super) struct Completed {
    pub(super) lease: LeaseId,
    pub(super) status: rpc::Status,
    /// The result, and its bytes as the bot sent them.
    pub(super) result: Option<(ActionResult, Bytes)>,
}

/// Reads the leases; takes the results out of the messages, so that what is left can be sent back. A lease whose id
/// is none of ours is not known here: it is dropped, and so not sent back.
pub(super) fn parse(leases: &mut Vec<Lease>) -> Reports {
    let mut reports = Reports::default();
    leases.retain_mut(|lease| {
        let Some(id) = names::parse_lease(&lease.id) else { return false };
        let state = match LeaseState::try_from(lease.state).unwrap_or(LeaseState::Unspecified) {
            LeaseState::Completed => {
                reports.completed.push(completed(id, lease));
                return true;
            }
            LeaseState::Active => ReportedState::Active,
            LeaseState::Cancelled => ReportedState::Cancelled,
            LeaseState::Pending | LeaseState::Unspecified => ReportedState::Pending,
        };
        reports.open.push(LeaseReport { lease: id, state });
        true
    });
    reports
}

fn completed(id: LeaseId, lease: &mut Lease) -> Completed {
    let mut status = lease.status.take().unwrap_or_default();
    if Code::from_i32(status.code) as i32 != status.code {
        status.code = Code::Unknown as i32;
    }
    let result = lease.result.take().filter(any::is::<ActionResult>).map(|result| Bytes::from(result.value));
    let result = result.map(|bytes| ActionResult::decode(bytes.clone()).map(|result| (result, bytes))).transpose();
    match result {
        // An empty result would look like a command that did well: it is the bot that failed.
        Ok(None) if status.code == Code::Ok as i32 => {
            Completed { lease: id, status: failed("the bot reported success without a result".into()), result: None }
        }
        Ok(result) => Completed { lease: id, status, result },
        Err(error) => Completed {
            lease: id,
            status: failed(format!("the bot's result is not an ActionResult: {error}")),
            result: None,
        },
    }
}

/// Tried again, with another bot if there is one.
fn failed(message: String) -> rpc::Status {
    rpc::Status { code: Code::Internal as i32, message, details: Vec::new() }
}

#[cfg(test)]
mod tests {
    use berth_core::JobId;

    use super::*;

    fn lease(state: LeaseState) -> Lease {
        let id = LeaseId { job: JobId(5), attempt: 1 };
        Lease { id: names::lease("main", id), state: state as i32, ..Lease::default() }
    }

    fn parse_one(lease: Lease) -> Reports {
        parse(&mut vec![lease])
    }

    #[test]
    fn success_without_a_result_is_a_failure_of_the_bot() {
        let reports = parse_one(lease(LeaseState::Completed));
        assert_eq!(reports.completed[0].status.code, Code::Internal as i32);
        let other = Lease { result: Some(any::pack(&rpc::Status::default())), ..lease(LeaseState::Completed) };
        assert_eq!(parse_one(other).completed[0].status.code, Code::Internal as i32);
        let mut broken = any::pack(&ActionResult::default());
        broken.value = vec![255];
        let broken = Lease { result: Some(broken), ..lease(LeaseState::Completed) };
        assert_eq!(parse_one(broken).completed[0].status.code, Code::Internal as i32);
    }

    #[test]
    fn a_failure_needs_no_result() {
        let status = rpc::Status { code: Code::FailedPrecondition as i32, ..rpc::Status::default() };
        let reports = parse_one(Lease { status: Some(status.clone()), ..lease(LeaseState::Completed) });
        assert_eq!(reports.completed[0].status, status);
        let odd = rpc::Status { code: 999, ..rpc::Status::default() };
        let reports = parse_one(Lease { status: Some(odd), ..lease(LeaseState::Completed) });
        assert_eq!(reports.completed[0].status.code, Code::Unknown as i32);
    }

    #[test]
    fn a_lease_that_is_none_of_ours_is_dropped() {
        let mut leases = vec![Lease { id: "x".into(), ..lease(LeaseState::Active) }, lease(LeaseState::Active)];
        let reports = parse(&mut leases);
        assert_eq!((leases.len(), reports.open.len()), (1, 1));
        assert_eq!(reports.open[0].state, ReportedState::Active);
    }
}
