//! Events of a case as the feed would tell them. Identities that are no ids get one that is made from their text, so
//! that equal names stay equal.

use berth_core::{Digest, JobId, LaneKey, LeaseId, OperationId, SessionId};
use berth_policy_cases as cases;
use berth_runtime::plugins::{
    FeedEvent,
    events::{
        AttemptDecided, AttemptFailed, Bot, BotQuarantined, Change, JobCompleted, JobCreated, JobPlaced, Lease,
        LeaseEvicted, Operation, PolicyChanged, Session, SessionClosed, WorkChanged, WorkEvent, WorkEventKind as Kind,
        word,
    },
};
use bytes::Bytes;

use super::records::{code, set, timestamp_of};
use crate::plugins::source::digest_of;

pub(super) fn native(event: &cases::Event) -> FeedEvent {
    FeedEvent { sequence: event.sequence, at: timestamp_of(event.at_ms), change: change(&event.change) }
}

fn change(change: &cases::Change) -> Change {
    match change {
        cases::Change::JobCreated(job) => Change::JobCreated(Box::new(JobCreated {
            job: JobId(id(&job.job)),
            instance: job.instance.as_str().into(),
            tenant: job.tenant.as_str().into(),
            invocation: job.invocation.as_str().into(),
            action: digest(&job.action_digest),
            label: job.label.as_str().into(),
            lane: LaneKey(job.lane.as_str().into()),
            weight: job.weight,
            rank: job.rank,
        })),
        cases::Change::JobPlaced(job) => Change::JobPlaced(Box::new(JobPlaced {
            job: JobId(id(&job.job)),
            lane: LaneKey(job.lane.as_str().into()),
            weight: job.weight,
            rank: job.rank,
        })),
        cases::Change::OperationCreated(handle) => Change::OperationCreated(operation(handle)),
        cases::Change::OperationCancelled(handle) => Change::OperationCancelled(operation(handle)),
        cases::Change::OperationDeleted(handle) => Change::OperationDeleted(operation(handle)),
        cases::Change::LeaseOffered(one) => Change::LeaseOffered(lease(one)),
        cases::Change::LeaseStarted(one) => Change::LeaseStarted(lease(one)),
        cases::Change::LeaseWithdrawn(one) => Change::LeaseWithdrawn(lease(one)),
        cases::Change::LeaseEvicted(evicted) => Change::LeaseEvicted(LeaseEvicted {
            lease: LeaseId { job: JobId(id(&evicted.job)), attempt: evicted.attempt },
            session: SessionId(id(&evicted.session)),
            counter: evicted.counter.as_str().into(),
        }),
        cases::Change::AttemptFailed(failed) => Change::AttemptFailed(AttemptFailed {
            lease: LeaseId { job: JobId(id(&failed.job)), attempt: failed.attempt },
            session: SessionId(id(&failed.session)),
            code: code(failed.code),
        }),
        cases::Change::AttemptDecided(decided) => Change::AttemptDecided(Box::new(AttemptDecided {
            job: JobId(id(&decided.job)),
            counts: decided.counts,
            after_ms: decided.after_ms,
            elsewhere: decided.elsewhere,
            requirements: decided.requirements.as_deref().map(set),
        })),
        cases::Change::DelayEnded(job) => Change::DelayEnded(JobId(id(job))),
        cases::Change::JobCompleted(job) => Change::JobCompleted(Box::new(JobCompleted {
            job: JobId(id(&job.job)),
            instance: job.instance.as_str().into(),
            tenant: job.tenant.as_str().into(),
            invocation: job.invocation.as_str().into(),
            label: job.label.as_str().into(),
            code: code(job.code),
            cached: job.cached,
            total_ms: job.total_ms,
            ran_ms: job.ran_ms,
            attempts: job.attempts,
            session: (!job.session.is_empty()).then(|| SessionId(id(&job.session))),
            refusal: job.refusal.as_str().into(),
            exit_code: job.exit_code,
            peak_memory_bytes: job.peak_memory_bytes,
            lesson: None,
        })),
        cases::Change::JobDeleted(job) => Change::JobDeleted(JobId(id(job))),
        cases::Change::SessionOpened(one) => Change::SessionOpened(Box::new(session(one))),
        cases::Change::SessionChanged(one) => Change::SessionChanged(Box::new(session(one))),
        cases::Change::SessionClosed(closed) => {
            let known = ["expired", "replaced", "terminated"];
            let reason = known.into_iter().find(|reason| *reason == closed.reason).unwrap_or("other");
            Change::SessionClosed(SessionClosed { session: SessionId(id(&closed.session)), reason })
        }
        cases::Change::BotDrained(one) => Change::BotDrained(bot(one)),
        cases::Change::BotResumed(one) => Change::BotResumed(bot(one)),
        cases::Change::BotQuarantined(one) => Change::BotQuarantined(BotQuarantined {
            bot: Bot { instance: one.instance.as_str().into(), bot_id: one.bot_id.as_str().into() },
            until: timestamp_of(one.until_ms),
        }),
        cases::Change::PolicyChanged(changed) => Change::PolicyChanged(Box::new(PolicyChanged {
            policy: changed.policy.as_str().into(),
            before: changed.before.as_str().into(),
            after: changed.after.as_str().into(),
            instances: changed.instances.as_str().into(),
            role: changed.role.as_str().into(),
            what: changed.what.as_str().into(),
        })),
        cases::Change::WorkSpecChanged(spec) => work(&spec.namespace, Of::Spec, &spec.what, [&spec.spec, ""], &[]),
        cases::Change::WorkUnitsChanged(units) => {
            work(&units.namespace, Of::Units, &units.what, [&units.spec, &units.worker], &units.keys)
        }
        cases::Change::WorkerChanged(one) => {
            work(&one.namespace, Of::Worker, &one.what, [&one.worker, &one.parent], &[])
        }
        cases::Change::LocksChanged(locks) => {
            work(&locks.namespace, Of::Locks, &locks.what, [&locks.locker, ""], &locks.paths)
        }
        cases::Change::Gap => Change::Gap,
        cases::Change::Other(name) => Change::Other(name.as_str().into()),
    }
}

/// What a change of work is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Spec,
    Units,
    Worker,
    Locks,
}

/// A word that means nothing here comes to the policy as something that the contract has no word for.
fn work(namespace: &str, of: Of, what: &str, [name, worker]: [&str; 2], keys: &[String]) -> Change {
    let kinds = match of {
        Of::Spec => Kind::SpecSet as i32..=Kind::ArchivedForgotten as i32,
        Of::Units => Kind::UnitsAdded as i32..=Kind::UnitsArchived as i32,
        Of::Worker => Kind::WorkerSeen as i32..=Kind::WorkerGone as i32,
        Of::Locks => Kind::Locked as i32..=Kind::Unlocked as i32,
    };
    let kind = kinds.filter_map(|kind| Kind::try_from(kind).ok()).find(|kind| word(*kind) == what);
    let key = |key: &String| match of {
        Of::Locks => Bytes::from(unhex(key)),
        Of::Spec | Of::Units | Of::Worker => Bytes::from(key.clone()),
    };
    let event = WorkEvent {
        at: 0,
        kind: kind.unwrap_or_default().into(),
        name: Bytes::from(name.to_owned()),
        worker: Bytes::from(worker.to_owned()),
        keys: keys.iter().map(key).collect(),
    };
    Change::Work(Box::new(WorkChanged { namespace: namespace.into(), event }))
}

/// The bytes of hexadecimal digits; what is none is left out.
fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|digit| Some(digit.to_digit(16)? as u8)).collect();
    digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect()
}

fn operation(handle: &cases::Operation) -> Operation {
    Operation { operation: OperationId(id(&handle.operation)), job: JobId(id(&handle.job)) }
}

fn lease(lease: &cases::Lease) -> Lease {
    let of = LeaseId { job: JobId(id(&lease.job)), attempt: lease.attempt };
    Lease { lease: of, session: SessionId(id(&lease.session)) }
}

fn session(session: &cases::Session) -> Session {
    Session {
        session: SessionId(id(&session.session)),
        instance: session.instance.as_str().into(),
        bot_id: session.bot_id.as_str().into(),
        slots: session.slots,
    }
}

fn bot(bot: &cases::Bot) -> Bot {
    Bot { instance: bot.instance.as_str().into(), bot_id: bot.bot_id.as_str().into() }
}

/// The id, or one that stands for the text.
fn id(text: &str) -> u128 {
    match text.parse::<JobId>() {
        Ok(id) => id.0,
        Err(_) => u128::from_str_radix(&digest_of(text.as_bytes())[..32], 16).expect("hexadecimal digits"),
    }
}

/// `hash/size`; zeros where it is something else.
fn digest(text: &str) -> Digest {
    let parsed = text.split_once('/').and_then(|(hash, size)| Digest::parse(hash, size.parse().ok()?).ok());
    parsed.unwrap_or(Digest { hash: [0; 32], size_bytes: 0 })
}
