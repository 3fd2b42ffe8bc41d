//! Records of the event feed: one fact each, with its time.

use berth_core::{
    AttemptDecided, AttemptFailed, Fact, InstanceName, JobCreated, JobId, JobPlaced, LaneKey, LeaseEvicted, LeaseId,
    PolicyChanged, SessionChanged, SessionEnd, SessionId, SessionOpened, Timestamp,
};
use berth_proto::store::{self as pb, feed_record::Fact as Kind};
use prost::Message;

use super::{
    CodecError, affinity_row, digest, id, instance, job_id, limit_row, millis, operation_id, outcome, properties,
    read_affinity, read_digest, read_id, read_limit, read_millis, read_outcome, read_properties,
    row::{append, read_status, status},
    session_id,
    setbacks::{failed, read_failed},
};

/// Appends a feed record.
pub fn encode_feed(at: Timestamp, fact: &Fact, out: &mut Vec<u8>) {
    let kind = match fact {
        Fact::JobCreated(created) => Kind::JobCreated(pb::JobCreated {
            job: id(created.job.0),
            instance: created.instance.to_string(),
            action: Some(digest(&created.action)),
            do_not_cache: created.do_not_cache,
            requirements: Some(properties(&created.requirements)),
            preferred: created.preferred.as_ref().map(properties),
            label: created.label.to_string(),
            lane: created.lane.0.to_string(),
            weight: created.weight,
            rank: created.rank,
            limits: created.limits.iter().map(|limit| limit_row(limit)).collect(),
            affinities: created.affinities.iter().map(|affinity| affinity_row(affinity)).collect(),
            age: created.age,
            queue_timeout_ms: millis(created.queue_timeout),
            execution_timeout_ms: millis(created.execution_timeout),
            again_at: created.again.map(|at| at.0),
        }),
        Fact::OperationAdded { operation, job, rank } => {
            Kind::OperationAdded(pb::OperationAdded { operation: id(operation.0), job: id(job.0), rank: *rank })
        }
        Fact::OperationCancelled { operation, job, .. } => {
            Kind::OperationCancelled(pb::OperationCancelled { operation: id(operation.0), job: id(job.0) })
        }
        Fact::OperationDeleted { operation, job } => {
            Kind::OperationDeleted(pb::OperationDeleted { operation: id(operation.0), job: id(job.0) })
        }
        Fact::LeaseOffered { lease, session, .. } => {
            Kind::LeaseOffered(pb::LeaseOffered { lease: Some(lease_ref(*lease)), session: id(session.0) })
        }
        Fact::LeaseStarted { lease, session, .. } => Kind::LeaseStarted(held(*lease, *session)),
        Fact::LeaseWithdrawn { lease, session } => Kind::LeaseWithdrawn(held(*lease, *session)),
        Fact::LeaseRequeued { lease, session, .. } => Kind::LeaseRequeued(held(*lease, *session)),
        Fact::AttemptLost { lease, session, code, .. } => {
            Kind::AttemptLost(pb::AttemptLost { lease: Some(held(*lease, *session)), code: *code })
        }
        Fact::LeaseEvicted(evicted) => {
            let cooled = |(counter, until): &(std::sync::Arc<str>, Timestamp)| pb::CooledCounter {
                counter: counter.to_string(),
                until: until.0,
            };
            Kind::LeaseEvicted(pb::LeaseEvicted {
                lease: Some(held(evicted.lease, evicted.session)),
                counter: evicted.counter.to_string(),
                cooling: evicted.cooling.iter().map(cooled).collect(),
            })
        }
        Fact::CoolDownEnded { instance, counter, .. } => {
            Kind::CoolDownEnded(pb::CoolDownEnded { instance: instance.to_string(), counter: counter.to_string() })
        }
        Fact::LimitSet { instance, counter, limit } => Kind::LimitSet(pb::LimitSet {
            instance: instance.to_string(),
            counter: counter.to_string(),
            limit: limit.as_ref().map(|limit| limit_row(limit)),
        }),
        Fact::AttemptFailed(of) => Kind::AttemptFailed(pb::AttemptFailed {
            lease: Some(held(of.lease, of.session)),
            failed: Some(failed(&of.failed)),
        }),
        Fact::AttemptDecided(decided) => Kind::AttemptDecided(pb::AttemptDecided {
            job: id(decided.job.0),
            counts: decided.counts,
            until: decided.until.map(|until| until.0),
            elsewhere: decided.elsewhere,
            requirements: decided.requirements.as_ref().map(properties),
        }),
        Fact::DelayEnded { job, .. } => Kind::DelayEnded(id(job.0).expect("an id is always something")),
        Fact::JobPlaced(placed) => Kind::JobPlaced(pb::JobPlaced {
            job: id(placed.job.0),
            lane: placed.lane.0.to_string(),
            weight: placed.weight,
            rank: placed.rank,
            limits: placed.limits.iter().map(|limit| limit_row(limit)).collect(),
            affinities: placed.affinities.iter().map(|affinity| affinity_row(affinity)).collect(),
            again_at: placed.again.map(|at| at.0),
        }),
        Fact::PolicyChanged(changed) => Kind::PolicyChanged(pb::PolicyChanged {
            policy: changed.policy.to_string(),
            before: changed.before.to_string(),
            after: changed.after.to_string(),
            instances: changed.instances.to_string(),
            role: changed.role.to_string(),
            what: changed.what.to_string(),
        }),
        Fact::JobRefused { job, text, .. } => {
            Kind::JobRefused(pb::JobRefused { job: id(job.0), text: text.to_string() })
        }
        Fact::JobCompleted { job, outcome: how, ran_ms, session, .. } => Kind::JobCompleted(pb::JobCompleted {
            job: id(job.0),
            outcome: Some(outcome(*how)),
            ran_ms: *ran_ms,
            session: session.and_then(|session| id(session.0)),
        }),
        Fact::SessionOpened(opened) => Kind::SessionOpened(pb::Session {
            session: id(opened.session.0),
            instance: opened.instance.to_string(),
            bot_id: opened.bot_id.to_string(),
            identity: opened.identity.to_string(),
            capabilities: opened.capabilities.iter().map(properties).collect(),
            slots: opened.slots,
            hold_when_full: opened.hold_when_full,
            status: status(opened.status),
            score: opened.score,
            opened_at: opened.at.0,
        }),
        Fact::SessionChanged(changed) => Kind::SessionChanged(pb::Session {
            session: id(changed.session.0),
            capabilities: changed.capabilities.iter().map(properties).collect(),
            slots: changed.slots,
            hold_when_full: changed.hold_when_full,
            status: status(changed.status),
            score: changed.score,
            ..pb::Session::default()
        }),
        Fact::SessionClosed { session, reason, .. } => {
            let reason = match reason {
                SessionEnd::Expired => pb::SessionEnd::Expired,
                SessionEnd::Replaced => pb::SessionEnd::Replaced,
                SessionEnd::Terminated => pb::SessionEnd::Terminated,
                SessionEnd::Kicked => pb::SessionEnd::Kicked,
            };
            Kind::SessionClosed(pb::SessionClosed { session: id(session.0), reason: reason.into() })
        }
        Fact::DrainSet { instance, bot_id, on } => {
            Kind::DrainSet(pb::DrainSet { instance: instance.to_string(), bot_id: bot_id.to_string(), on: *on })
        }
        Fact::PauseSet { instance, label, on } => {
            let label = label.as_ref().map(|label| label.to_string());
            Kind::PauseSet(pb::PauseSet { instance: instance.to_string(), label, on: *on })
        }
        Fact::QuarantineSet { instance, bot_id, until } => Kind::QuarantineSet(pb::QuarantineSet {
            instance: instance.to_string(),
            bot_id: bot_id.to_string(),
            until: until.map(|until| until.0),
        }),
    };
    append(&pb::FeedRecord { at: at.0, fact: Some(kind) }, out);
}

/// When a feed record was written; `None` if that cannot be read.
pub fn feed_time(bytes: &[u8]) -> Option<Timestamp> {
    #[derive(Clone, PartialEq, Message)]
    struct Head {
        #[prost(uint64, tag = "1")]
        at: u64,
    }
    Head::decode(bytes).ok().map(|head| Timestamp(head.at))
}

/// Reads a feed record: when, and what.
pub fn decode_feed(bytes: &[u8]) -> Result<(Timestamp, Fact), CodecError> {
    let record = pb::FeedRecord::decode(bytes)?;
    let at = Timestamp(record.at);
    let fact = match record.fact.ok_or(CodecError::Field("fact"))? {
        Kind::JobCreated(created) => Fact::JobCreated(Box::new(JobCreated {
            job: job_id(created.job)?,
            instance: instance(created.instance),
            action: read_digest(created.action, "action")?,
            do_not_cache: created.do_not_cache,
            requirements: read_properties(created.requirements.unwrap_or_default()),
            preferred: created.preferred.map(read_properties),
            label: created.label.into(),
            lane: LaneKey(created.lane.into()),
            weight: created.weight,
            rank: created.rank,
            limits: created.limits.into_iter().map(read_limit).collect(),
            affinities: created.affinities.into_iter().map(read_affinity).collect(),
            age: created.age,
            queued_at: at,
            queue_timeout: read_millis(created.queue_timeout_ms),
            execution_timeout: read_millis(created.execution_timeout_ms),
            again: created.again_at.map(Timestamp),
        })),
        Kind::OperationAdded(added) => Fact::OperationAdded {
            operation: operation_id(added.operation)?,
            job: job_id(added.job)?,
            rank: added.rank,
        },
        Kind::OperationCancelled(cancelled) => {
            Fact::OperationCancelled { operation: operation_id(cancelled.operation)?, job: job_id(cancelled.job)?, at }
        }
        Kind::OperationDeleted(deleted) => {
            Fact::OperationDeleted { operation: operation_id(deleted.operation)?, job: job_id(deleted.job)? }
        }
        Kind::LeaseOffered(offered) => {
            Fact::LeaseOffered { lease: read_lease(offered.lease)?, session: session_id(offered.session)?, at }
        }
        Kind::LeaseStarted(held) => {
            let (lease, session) = read_held(Some(held))?;
            Fact::LeaseStarted { lease, session, at }
        }
        Kind::LeaseWithdrawn(held) => {
            let (lease, session) = read_held(Some(held))?;
            Fact::LeaseWithdrawn { lease, session }
        }
        Kind::LeaseRequeued(held) => {
            let (lease, session) = read_held(Some(held))?;
            Fact::LeaseRequeued { lease, session, at }
        }
        Kind::AttemptLost(lost) => {
            let (lease, session) = read_held(lost.lease)?;
            Fact::AttemptLost { lease, session, code: lost.code, at }
        }
        Kind::LeaseEvicted(evicted) => {
            let (lease, session) = read_held(evicted.lease)?;
            let cooled = |cooled: pb::CooledCounter| (cooled.counter.into(), Timestamp(cooled.until));
            let cooling = evicted.cooling.into_iter().map(cooled).collect();
            let counter = evicted.counter.into();
            Fact::LeaseEvicted(Box::new(LeaseEvicted { lease, session, at, counter, cooling }))
        }
        Kind::CoolDownEnded(ended) => {
            Fact::CoolDownEnded { instance: instance(ended.instance), counter: ended.counter.into(), at }
        }
        Kind::LimitSet(set) => Fact::LimitSet {
            instance: instance(set.instance),
            counter: set.counter.into(),
            limit: set.limit.map(read_limit),
        },
        Kind::AttemptFailed(of) => Fact::AttemptFailed(Box::new(AttemptFailed {
            lease: read_lease(of.lease)?,
            session: read_held(of.lease)?.1,
            failed: read_failed(of.failed.ok_or(CodecError::Field("failed"))?)?,
        })),
        Kind::AttemptDecided(decided) => Fact::AttemptDecided(Box::new(AttemptDecided {
            job: job_id(decided.job)?,
            at,
            counts: decided.counts,
            until: decided.until.map(Timestamp),
            elsewhere: decided.elsewhere,
            requirements: decided.requirements.map(read_properties),
        })),
        Kind::DelayEnded(job) => Fact::DelayEnded { job: job_id(Some(job))?, at },
        Kind::JobPlaced(placed) => Fact::JobPlaced(Box::new(JobPlaced {
            job: job_id(placed.job)?,
            lane: LaneKey(placed.lane.into()),
            weight: placed.weight,
            rank: placed.rank,
            limits: placed.limits.into_iter().map(read_limit).collect(),
            affinities: placed.affinities.into_iter().map(read_affinity).collect(),
            again: placed.again_at.map(Timestamp),
        })),
        Kind::PolicyChanged(changed) => Fact::PolicyChanged(Box::new(PolicyChanged {
            policy: changed.policy.into(),
            before: changed.before.into(),
            after: changed.after.into(),
            instances: changed.instances.into(),
            role: changed.role.into(),
            what: changed.what.into(),
        })),
        Kind::JobRefused(refused) => Fact::JobRefused { job: job_id(refused.job)?, at, text: refused.text.into() },
        Kind::JobCompleted(completed) => {
            let session = completed.session.map(|id| session_id(Some(id))).transpose()?;
            let (job, outcome) = (job_id(completed.job)?, read_outcome(completed.outcome)?);
            Fact::JobCompleted { job, at, outcome, ran_ms: completed.ran_ms, session }
        }
        Kind::SessionOpened(opened) => Fact::SessionOpened(Box::new(SessionOpened {
            session: session_id(opened.session)?,
            instance: instance(opened.instance),
            bot_id: opened.bot_id.into(),
            identity: opened.identity.into(),
            capabilities: opened.capabilities.into_iter().map(read_properties).collect(),
            slots: opened.slots,
            hold_when_full: opened.hold_when_full,
            status: read_status(opened.status)?,
            score: opened.score,
            at,
        })),
        Kind::SessionChanged(changed) => Fact::SessionChanged(Box::new(SessionChanged {
            session: session_id(changed.session)?,
            capabilities: changed.capabilities.into_iter().map(read_properties).collect(),
            slots: changed.slots,
            hold_when_full: changed.hold_when_full,
            status: read_status(changed.status)?,
            score: changed.score,
        })),
        Kind::SessionClosed(closed) => {
            let reason = match closed.reason() {
                pb::SessionEnd::Expired => SessionEnd::Expired,
                pb::SessionEnd::Replaced => SessionEnd::Replaced,
                pb::SessionEnd::Terminated => SessionEnd::Terminated,
                pb::SessionEnd::Kicked => SessionEnd::Kicked,
                pb::SessionEnd::Unspecified => return Err(CodecError::Field("reason")),
            };
            Fact::SessionClosed { session: session_id(closed.session)?, at, reason }
        }
        Kind::DrainSet(set) => {
            Fact::DrainSet { instance: InstanceName(set.instance.into()), bot_id: set.bot_id.into(), on: set.on }
        }
        Kind::PauseSet(set) => {
            Fact::PauseSet { instance: InstanceName(set.instance.into()), label: set.label.map(Into::into), on: set.on }
        }
        Kind::QuarantineSet(set) => Fact::QuarantineSet {
            instance: InstanceName(set.instance.into()),
            bot_id: set.bot_id.into(),
            until: set.until.map(Timestamp),
        },
    };
    Ok((at, fact))
}

fn lease_ref(lease: LeaseId) -> pb::LeaseRef {
    pb::LeaseRef { job: id(lease.job.0), attempt: lease.attempt, session: None }
}

fn held(lease: LeaseId, session: SessionId) -> pb::LeaseRef {
    pb::LeaseRef { session: id(session.0), ..lease_ref(lease) }
}

fn read_held(lease: Option<pb::LeaseRef>) -> Result<(LeaseId, SessionId), CodecError> {
    let session = session_id(lease.as_ref().and_then(|lease| lease.session))?;
    Ok((read_lease(lease)?, session))
}

fn read_lease(lease: Option<pb::LeaseRef>) -> Result<LeaseId, CodecError> {
    let lease = lease.ok_or(CodecError::Field("lease"))?;
    Ok(LeaseId { job: JobId(read_id(lease.job, "job")?), attempt: lease.attempt })
}
