//! When a failed call is worth another try, and how long to wait before it.

use std::error::Error;
use std::time::Duration;

use tonic::{Code, Status};
use uuid::Uuid;

/// Whether the same call may succeed later without a change on our side.
pub(crate) fn is_transient(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::ResourceExhausted | Code::Unknown => true,
        // A connection that breaks in the middle shows up under these codes, then with the local cause attached. Sent
        // by the server, they are its answer.
        Code::Internal | Code::Cancelled => status.source().is_some(),
        Code::Ok
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::DataLoss
        | Code::Unauthenticated => false,
    }
}

/// Pauses that double, from 50 ms to 2 s, each varied so that bots do not come back in step.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { next: Duration::from_millis(50) }
    }

    pub(crate) fn next_pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Duration::from_secs(2));
        let per_mille = u32::try_from(Uuid::new_v4().as_u128() % 500).expect("below 500") + 750;
        pause * per_mille / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..20).map(|_| backoff.next_pause()).collect();
        assert!(pauses[0] < Duration::from_millis(80));
        assert!(pauses[19] >= Duration::from_millis(1500) && pauses[19] <= Duration::from_millis(2500));
    }

    #[test]
    fn the_servers_own_verdict_is_not_asked_for_again() {
        assert!(is_transient(&Status::unavailable("restarting")));
        assert!(!is_transient(&Status::not_found("no such blob")));
        assert!(!is_transient(&Status::internal("the server's bug")));
    }
}
