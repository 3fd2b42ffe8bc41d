//! After-image rows.

use berth_core::{
    BotStatus, CoolDownRow, DrainRow, InstanceName, JobRow, JobRowState, LaneKey, LeaseId, LeaseRow, LimitRow,
    OperationRow, PauseRow, QuarantineRow, SessionRow, Timestamp,
};
use berth_proto::store as pb;
use prost::Message;

use super::{
    CodecError, affinity_row, digest, id, instance, job_id, limit_row, millis, operation_id, outcome,
    past::{past, read_past},
    properties, read_affinity, read_digest, read_limit, read_millis, read_outcome, read_properties, session_id,
    setbacks::{read_setbacks, setbacks},
    time,
};

/// Appends a job's row.
pub fn encode_job(row: &JobRow, out: &mut Vec<u8>) {
    let (state, at, ended, delayed_until) = match row.state {
        JobRowState::Queued => (pb::JobState::Queued, 0, None, 0),
        JobRowState::Leased => (pb::JobState::Leased, 0, None, 0),
        JobRowState::Deciding => (pb::JobState::Deciding, 0, None, 0),
        JobRowState::Delayed { until } => (pb::JobState::Delayed, 0, None, until.0),
        JobRowState::Completed { at, outcome: how } => (pb::JobState::Completed, at.0, Some(outcome(how)), 0),
    };
    let handle = |row: &OperationRow| pb::Handle {
        operation: id(row.operation.0),
        cancelled_at: row.cancelled.map(|at| at.0),
        deleted: row.deleted,
    };
    let message = pb::Job {
        job: id(row.job.0),
        instance: row.instance.to_string(),
        action: Some(digest(&row.action)),
        do_not_cache: row.do_not_cache,
        requirements: Some(properties(&row.requirements)),
        preferred: row.preferred.as_ref().map(properties),
        label: row.label.to_string(),
        lane: row.lane.0.to_string(),
        weight: row.weight,
        rank: row.rank,
        age: row.age,
        queued_at: row.queued_at.0,
        queue_timeout_ms: millis(row.queue_timeout),
        execution_timeout_ms: millis(row.execution_timeout),
        offers: row.offers,
        attempts_used: row.attempts_used,
        operations: row.operations.iter().map(handle).collect(),
        state: state.into(),
        completed_at: at,
        outcome: ended,
        setbacks: row.setbacks.as_deref().map(setbacks),
        delayed_until,
        limits: row.limits.iter().map(|limit| limit_row(limit)).collect(),
        affinities: row.affinities.iter().map(|affinity| affinity_row(affinity)).collect(),
        again_at: row.again.map(|at| at.0),
        started_at: row.started_at.map(|at| at.0),
        past: row.past.iter().map(past).collect(),
    };
    append(&message, out);
}

/// Reads a job's row.
pub fn decode_job(bytes: &[u8]) -> Result<JobRow, CodecError> {
    let row = pb::Job::decode(bytes)?;
    let state = match row.state() {
        pb::JobState::Queued => JobRowState::Queued,
        pb::JobState::Leased => JobRowState::Leased,
        pb::JobState::Deciding => JobRowState::Deciding,
        pb::JobState::Delayed => JobRowState::Delayed { until: Timestamp(row.delayed_until) },
        pb::JobState::Completed => {
            JobRowState::Completed { at: Timestamp(row.completed_at), outcome: read_outcome(row.outcome)? }
        }
        pb::JobState::Unspecified => return Err(CodecError::Field("state")),
    };
    let handle = |handle: pb::Handle| -> Result<OperationRow, CodecError> {
        Ok(OperationRow {
            operation: operation_id(handle.operation)?,
            cancelled: handle.cancelled_at.map(time),
            deleted: handle.deleted,
        })
    };
    let operations = row.operations.into_iter().map(handle).collect::<Result<Vec<_>, _>>()?;
    if operations.is_empty() {
        return Err(CodecError::Field("operations"));
    }
    Ok(JobRow {
        job: job_id(row.job)?,
        instance: instance(row.instance),
        action: read_digest(row.action, "action")?,
        do_not_cache: row.do_not_cache,
        requirements: read_properties(row.requirements.unwrap_or_default()),
        preferred: row.preferred.map(read_properties),
        label: row.label.into(),
        lane: LaneKey(row.lane.into()),
        weight: row.weight,
        rank: row.rank,
        limits: row.limits.into_iter().map(read_limit).collect(),
        affinities: row.affinities.into_iter().map(read_affinity).collect(),
        age: row.age,
        queued_at: Timestamp(row.queued_at),
        queue_timeout: read_millis(row.queue_timeout_ms),
        execution_timeout: read_millis(row.execution_timeout_ms),
        offers: row.offers,
        attempts_used: row.attempts_used,
        operations,
        again: row.again_at.map(time),
        setbacks: row.setbacks.map(read_setbacks).transpose()?.map(Box::new),
        started_at: row.started_at.map(time),
        past: row.past.into_iter().map(read_past).collect::<Result<_, _>>()?,
        state,
    })
}

/// Appends a lease's row.
pub fn encode_lease(row: &LeaseRow, out: &mut Vec<u8>) {
    let message = pb::Lease {
        job: id(row.lease.job.0),
        attempt: row.lease.attempt,
        session: id(row.session.0),
        offered_at: row.offered_at.0,
        started_at: row.started_at.map(|at| at.0),
    };
    append(&message, out);
}

/// Reads a lease's row.
pub fn decode_lease(bytes: &[u8]) -> Result<LeaseRow, CodecError> {
    let row = pb::Lease::decode(bytes)?;
    Ok(LeaseRow {
        lease: LeaseId { job: job_id(row.job)?, attempt: row.attempt },
        session: session_id(row.session)?,
        offered_at: Timestamp(row.offered_at),
        started_at: row.started_at.map(time),
    })
}

/// Appends a session's row.
pub fn encode_session(row: &SessionRow, out: &mut Vec<u8>) {
    let message = pb::Session {
        session: id(row.session.0),
        instance: row.instance.to_string(),
        bot_id: row.bot_id.to_string(),
        identity: row.identity.to_string(),
        capabilities: row.capabilities.iter().map(properties).collect(),
        slots: row.slots,
        hold_when_full: row.hold_when_full,
        status: status(row.status),
        score: row.score,
        opened_at: row.opened_at.0,
    };
    append(&message, out);
}

/// Reads a session's row.
pub fn decode_session(bytes: &[u8]) -> Result<SessionRow, CodecError> {
    let row = pb::Session::decode(bytes)?;
    Ok(SessionRow {
        session: session_id(row.session)?,
        instance: instance(row.instance),
        bot_id: row.bot_id.into(),
        identity: row.identity.into(),
        capabilities: row.capabilities.into_iter().map(read_properties).collect(),
        slots: row.slots,
        hold_when_full: row.hold_when_full,
        status: read_status(row.status)?,
        score: row.score,
        opened_at: Timestamp(row.opened_at),
    })
}

/// Appends a drain's row.
pub fn encode_drain(row: &DrainRow, out: &mut Vec<u8>) {
    append(&pb::Drain { instance: row.instance.to_string(), bot_id: row.bot_id.to_string() }, out);
}

/// Reads a drain's row.
pub fn decode_drain(bytes: &[u8]) -> Result<DrainRow, CodecError> {
    let row = pb::Drain::decode(bytes)?;
    Ok(DrainRow { instance: InstanceName(row.instance.into()), bot_id: row.bot_id.into() })
}

/// Appends a pause's row.
pub fn encode_pause(row: &PauseRow, out: &mut Vec<u8>) {
    let label = row.label.as_ref().map(|label| label.to_string());
    append(&pb::Pause { instance: row.instance.to_string(), label }, out);
}

/// Reads a pause's row.
pub fn decode_pause(bytes: &[u8]) -> Result<PauseRow, CodecError> {
    let row = pb::Pause::decode(bytes)?;
    Ok(PauseRow { instance: InstanceName(row.instance.into()), label: row.label.map(Into::into) })
}

/// Appends a quarantine's row.
pub fn encode_quarantine(row: &QuarantineRow, out: &mut Vec<u8>) {
    let message =
        pb::Quarantine { instance: row.instance.to_string(), bot_id: row.bot_id.to_string(), until: row.until.0 };
    append(&message, out);
}

/// Reads a quarantine's row.
pub fn decode_quarantine(bytes: &[u8]) -> Result<QuarantineRow, CodecError> {
    let row = pb::Quarantine::decode(bytes)?;
    Ok(QuarantineRow {
        instance: InstanceName(row.instance.into()),
        bot_id: row.bot_id.into(),
        until: Timestamp(row.until),
    })
}

/// Appends the row of a counter that cools down.
pub fn encode_cool_down(row: &CoolDownRow, out: &mut Vec<u8>) {
    let until = row.until.iter().map(|until| until.0).collect();
    append(&pb::CoolDown { instance: row.instance.to_string(), counter: row.counter.to_string(), until }, out);
}

/// Reads the row of a counter that cools down.
pub fn decode_cool_down(bytes: &[u8]) -> Result<CoolDownRow, CodecError> {
    let row = pb::CoolDown::decode(bytes)?;
    let until = row.until.into_iter().map(Timestamp).collect();
    Ok(CoolDownRow { instance: InstanceName(row.instance.into()), counter: row.counter.into(), until })
}

/// Appends the row of a counter whose numbers an operator set.
pub fn encode_limit(row: &LimitRow, out: &mut Vec<u8>) {
    let (instance, counter) = (row.instance.to_string(), row.limit.name.to_string());
    append(&pb::LimitSet { instance, counter, limit: Some(limit_row(&row.limit)) }, out);
}

/// Reads the row of a counter whose numbers an operator set.
pub fn decode_limit(bytes: &[u8]) -> Result<LimitRow, CodecError> {
    let row = pb::LimitSet::decode(bytes)?;
    let limit = read_limit(row.limit.ok_or(CodecError::Field("limit"))?);
    Ok(LimitRow { instance: instance(row.instance), limit })
}

pub(super) fn append(message: &impl Message, out: &mut Vec<u8>) {
    message.encode(out).expect("a vector grows as needed");
}

/// The numbers are those of RWAPI's `BotStatus`.
pub(super) fn status(status: BotStatus) -> i32 {
    match status {
        BotStatus::Ok => 1,
        BotStatus::Unhealthy => 2,
        BotStatus::HostRebooting => 3,
        BotStatus::Terminating => 4,
        BotStatus::Initializing => 5,
    }
}

pub(super) fn read_status(status: i32) -> Result<BotStatus, CodecError> {
    Ok(match status {
        1 => BotStatus::Ok,
        2 => BotStatus::Unhealthy,
        3 => BotStatus::HostRebooting,
        4 => BotStatus::Terminating,
        5 => BotStatus::Initializing,
        _ => return Err(CodecError::Field("status")),
    })
}
