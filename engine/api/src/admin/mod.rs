//! `berth.admin.v1`: what operators ask. Answers loopback peers only, until an administrator rule can be configured.

mod bots;
mod cancel;
mod find;
mod jobs;
mod list;
mod pauses;
mod quotas;
mod show;

use tonic::Request;

pub(crate) use self::{bots::AdminBots, jobs::AdminJobs, pauses::AdminPauses, quotas::AdminQuotas};
use crate::{
    error::Error,
    instances::{Instance, Instances},
};

/// Refuses with PERMISSION_DENIED who comes from another machine, or from we do not know where: for services of
/// operators that others implement.
pub fn check_local_peer<T>(request: &Request<T>) -> Result<(), tonic::Status> {
    check_peer(request).map_err(tonic::Status::from)
}

/// Refuses who comes from another machine, or from we do not know where.
pub(crate) fn check_peer<T>(request: &Request<T>) -> Result<(), Error> {
    let is_local = request.remote_addr().is_some_and(|peer| peer.ip().to_canonical().is_loopback());
    if is_local { Ok(()) } else { Err(Error::NotLoopback) }
}

/// The instance that a request names, if it names one.
fn chosen<'a>(instances: &'a Instances, name: &str) -> Result<Option<&'a Instance>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    instances.get("instance", name).map(Some)
}
