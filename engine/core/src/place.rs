//! Where jobs stand, asked anew: when a job's time for that comes, and when another set of policies is active.
//!
//! A question leaves as an effect ([`Question::Place`](crate::Question::Place)), or is read from the book by who walks over
//! all jobs; the answers come back as [`Event::Place`](crate::Event::Place). What an answer does is in
//! `execution/place.rs`.

use std::{sync::Arc, time::Duration};

use crate::{Affinity, InstanceName, JobId, LaneKey, Limit, OperationId, Timestamp};

/// The most jobs that one event may place, and one question may be about: each may be given to a bot in the same event.
pub const PLACES_MAX: usize = 512;

/// Sets of policies are numbered: a later one has a larger number. Begins anew with each process.
pub type Generation = u64;

/// Answers of policies about jobs that have a place already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The answers are of this set of policies or of a later one. From now on none of an older set counts.
    pub generation: Generation,
    /// At most [`PLACES_MAX`]; none: this only says that the set is active.
    pub items: Vec<NewPlace>,
}

/// Where a job stands from now on. Its age stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPlace {
    /// Which job.
    pub job: JobId,
    /// Lane within the instance.
    pub lane: LaneKey,
    /// Weight of the lane, at least 1.
    pub weight: u32,
    /// Smaller goes first within the lane.
    pub rank: i64,
    /// Counters that it belongs to, at most 8. How many may wait is not asked here: a job that was taken in stays.
    pub limits: Vec<Arc<Limit>>,
    /// Bots that served jobs with these keys are preferred; at most 4.
    pub affinities: Vec<Arc<Affinity>>,
    /// After how much more time its place is asked for again, if it still waits; at least a second. `None`: never.
    pub again: Option<Duration>,
}

/// A job whose place is asked for again. The rest of the question is in the job's body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceAsked {
    /// Which job.
    pub job: JobId,
    /// Instance name of the request.
    pub instance: InstanceName,
    /// The policy's word for this kind of job.
    pub label: Arc<str>,
    /// When it was accepted.
    pub queued_at: Timestamp,
    /// Handles of requests that joined it: it is as urgent as the most urgent of them.
    pub joined: Vec<OperationId>,
}

/// What a request's placement says of the time after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Again {
    /// As in [`NewPlace::again`].
    pub after: Option<Duration>,
    /// The placement is of this set of policies or of a later one. If a later one is known to be active by now, the
    /// request is refused as [`Rejection::Outdated`](crate::Rejection::Outdated), and who sent it asks again.
    pub generation: Generation,
}

/// Other policies answer from now on, or one stands otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoliciesChanged {
    /// The set that is active now.
    pub generation: Generation,
    /// What differs, each a fact of its own; at most [`PLACES_MAX`].
    pub changes: Vec<PolicyChanged>,
}

/// A version of a policy that begins or ends to do something. The words are the host's; core only keeps them in order with
/// what the policies decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChanged {
    /// The policy's name.
    pub policy: Arc<str>,
    /// The version before; empty: none.
    pub before: Arc<str>,
    /// The version from now on; empty: none.
    pub after: Arc<str>,
    /// Pattern of the instance names for which it answers; empty where nobody asks it.
    pub instances: Arc<str>,
    /// What it answers there; empty where nobody asks it.
    pub role: Arc<str>,
    /// Why: `activated`, `rolled-back`, `quarantined`, `released`, `observed`, `unobserved`, `unloaded`.
    pub what: Arc<str>,
}
