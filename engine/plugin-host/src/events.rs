//! Telling a plugin what happened, and keeping what it wrote meanwhile.

use berth_runtime::plugins::events::{
    Bot, Change, JobCreated, JobPlaced, Lease, Operation, Session, WorkChanged, WorkEventKind as Kind,
};
use berth_runtime::plugins::{ConsumerError, FeedEvent, KvTransaction};

use crate::bindings::v1::events as wit;
use crate::bindings::v1::types::PropertyParam;
use crate::convert::set_for_guest;
use crate::load::hex;
use crate::plugin::{Call, EXPORTED, Plugin};
use crate::stats::Function;

impl Plugin {
    /// This happened. What the call wrote is in `kv` if it succeeded, and nowhere otherwise.
    pub(crate) fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        self.count_questions(Function::OnEvents, events.len());
        let texts: Vec<Ids> = events.iter().map(|event| Ids::of(&event.change)).collect();
        let lists: Vec<_> = events.iter().zip(&texts).map(|(event, ids)| Lists::of(&event.change, ids)).collect();
        let told = events.iter().zip(&texts).zip(&lists);
        let records: Vec<wit::Event<'_>> = told.map(|((event, ids), lists)| record(event, ids, lists)).collect();
        let instance = events.iter().find_map(|event| instance_of(&event.change)).unwrap_or("");
        let answer = self.call_writing(Call::of(Function::OnEvents, instance), kv, |live| {
            let guest = live.guests.events.as_ref().expect(EXPORTED);
            guest.call_on_events(&mut live.store, &records)
        });
        match answer {
            Ok(Ok(())) => Ok(()),
            Ok(Err(refused)) => Err(ConsumerError::Refused(crate::instance::cut(&refused, 1024).to_owned())),
            Err(unanswered) => Err(ConsumerError::Fault(unanswered.to_string())),
        }
    }
}

/// Identities as texts: the first two that a change has, and those of several units or locks.
#[derive(Default)]
struct Ids {
    first: String,
    second: String,
    keys: Vec<String>,
}

impl Ids {
    fn of(change: &Change) -> Self {
        let one = |first: String| Self { first, ..Self::default() };
        let two = |first: String, second: String| Self { first, second, ..Self::default() };
        match change {
            Change::JobCreated(created) => two(created.job.to_string(), created.action.to_string()),
            Change::JobPlaced(placed) => one(placed.job.to_string()),
            Change::OperationCreated(operation)
            | Change::OperationCancelled(operation)
            | Change::OperationDeleted(operation) => two(operation.operation.to_string(), operation.job.to_string()),
            Change::LeaseOffered(lease) | Change::LeaseStarted(lease) | Change::LeaseWithdrawn(lease) => {
                two(lease.lease.job.to_string(), lease.session.to_string())
            }
            Change::LeaseEvicted(evicted) => two(evicted.lease.job.to_string(), evicted.session.to_string()),
            Change::AttemptFailed(failed) => two(failed.lease.job.to_string(), failed.session.to_string()),
            Change::AttemptDecided(decided) => one(decided.job.to_string()),
            Change::DelayEnded(job) => one(job.to_string()),
            Change::JobCompleted(completed) => two(
                completed.job.to_string(),
                completed.session.map_or_else(String::new, |session| session.to_string()),
            ),
            Change::JobDeleted(job) => one(job.to_string()),
            Change::SessionOpened(session) | Change::SessionChanged(session) => one(session.session.to_string()),
            Change::SessionClosed(closed) => one(closed.session.to_string()),
            Change::Work(changed) => {
                let event = &changed.event;
                let is_lock = matches!(event.kind(), Kind::Locked | Kind::Unlocked);
                let key = |key: &[u8]| if is_lock { hex(key) } else { text(key) };
                let keys = event.keys.iter().map(|one| key(one)).collect();
                Self { first: text(&event.name), second: text(&event.worker), keys }
            }
            Change::BotDrained(_)
            | Change::BotResumed(_)
            | Change::BotQuarantined(_)
            | Change::PolicyChanged(_)
            | Change::Gap
            | Change::Other(_) => Self::default(),
        }
    }
}

/// Lists that a change has, as they are lent to the guest.
struct Lists<'a> {
    keys: Vec<&'a str>,
    /// What bots must offer from now on, where the change says.
    requirements: Option<Vec<PropertyParam<'a>>>,
}

impl<'a> Lists<'a> {
    fn of(change: &'a Change, ids: &'a Ids) -> Self {
        let requirements = match change {
            Change::AttemptDecided(decided) => decided.requirements.as_ref().map(set_for_guest),
            _ => None,
        };
        Self { keys: ids.keys.iter().map(String::as_str).collect(), requirements }
    }
}

/// A name that is bytes, as the contract has it.
fn text(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) => text.to_owned(),
        Err(_) => name.escape_ascii().to_string(),
    }
}

fn record<'a>(event: &'a FeedEvent, ids: &'a Ids, lists: &'a Lists<'a>) -> wit::Event<'a> {
    let change = match &event.change {
        Change::JobCreated(created) => wit::Change::JobCreated(job_created(created, ids)),
        Change::JobPlaced(placed) => wit::Change::JobPlaced(job_placed(placed, ids)),
        Change::OperationCreated(operation) => wit::Change::OperationCreated(handle(operation, ids)),
        Change::OperationCancelled(operation) => wit::Change::OperationCancelled(handle(operation, ids)),
        Change::OperationDeleted(operation) => wit::Change::OperationDeleted(handle(operation, ids)),
        Change::LeaseOffered(offered) => wit::Change::LeaseOffered(lease(offered, ids)),
        Change::LeaseStarted(started) => wit::Change::LeaseStarted(lease(started, ids)),
        Change::LeaseWithdrawn(withdrawn) => wit::Change::LeaseWithdrawn(lease(withdrawn, ids)),
        Change::LeaseEvicted(evicted) => wit::Change::LeaseEvicted(wit::LeaseEvicted {
            job: &ids.first,
            attempt: evicted.lease.attempt,
            session: &ids.second,
            counter: &evicted.counter,
        }),
        Change::AttemptFailed(failed) => wit::Change::AttemptFailed(wit::AttemptFailed {
            job: &ids.first,
            attempt: failed.lease.attempt,
            session: &ids.second,
            code: code(failed.code),
        }),
        Change::AttemptDecided(decided) => wit::Change::AttemptDecided(wit::AttemptDecided {
            job: &ids.first,
            counts: decided.counts,
            after_ms: decided.after_ms,
            elsewhere: decided.elsewhere,
            requirements: lists.requirements.as_deref(),
        }),
        Change::DelayEnded(_) => wit::Change::DelayEnded(&ids.first),
        Change::JobCompleted(completed) => wit::Change::JobCompleted(wit::JobCompleted {
            job: &ids.first,
            instance: &completed.instance.0,
            tenant: &completed.tenant,
            invocation: &completed.invocation,
            label: &completed.label,
            code: code(completed.code),
            cached: completed.cached,
            total_ms: completed.total_ms,
            ran_ms: completed.ran_ms,
            attempts: completed.attempts,
            session: &ids.second,
            refusal: &completed.refusal,
            exit_code: completed.exit_code,
            peak_memory_bytes: completed.peak_memory_bytes,
        }),
        Change::JobDeleted(_) => wit::Change::JobDeleted(&ids.first),
        Change::SessionOpened(opened) => wit::Change::SessionOpened(session(opened, ids)),
        Change::SessionChanged(changed) => wit::Change::SessionChanged(session(changed, ids)),
        Change::SessionClosed(closed) => {
            wit::Change::SessionClosed(wit::SessionClosed { session: &ids.first, reason: closed.reason })
        }
        Change::BotDrained(drained) => wit::Change::BotDrained(bot(drained)),
        Change::BotResumed(resumed) => wit::Change::BotResumed(bot(resumed)),
        Change::BotQuarantined(quarantined) => wit::Change::BotQuarantined(wit::BotQuarantined {
            instance: &quarantined.bot.instance.0,
            bot_id: &quarantined.bot.bot_id,
            until_ms: quarantined.until.0 / 1000,
        }),
        Change::PolicyChanged(changed) => wit::Change::PolicyChanged(wit::PolicyChanged {
            policy: &changed.policy,
            before: &changed.before,
            after: &changed.after,
            instances: &changed.instances,
            role: &changed.role,
            what: &changed.what,
        }),
        Change::Work(changed) => work(changed, ids, &lists.keys),
        Change::Gap => wit::Change::Gap,
        Change::Other(name) => wit::Change::Other(name),
    };
    wit::Event { sequence: event.sequence, at_ms: event.at.0 / 1000, change }
}

fn work<'a>(changed: &'a WorkChanged, ids: &'a Ids, keys: &'a [&'a str]) -> wit::Change<'a> {
    let (namespace, what): (&str, _) = (&changed.namespace, changed.word());
    match changed.event.kind() {
        Kind::Unspecified => wit::Change::Other("work"),
        Kind::SpecSet | Kind::SpecControlled | Kind::SpecCleared | Kind::SpecDeleted | Kind::ArchivedForgotten => {
            wit::Change::WorkSpecChanged(wit::WorkSpecChanged { namespace, spec: &ids.first, what })
        }
        Kind::UnitsAdded
        | Kind::UnitsLeased
        | Kind::UnitsRenewed
        | Kind::UnitsUpdated
        | Kind::UnitsPrioritized
        | Kind::UnitsReleased
        | Kind::UnitsExpired
        | Kind::UnitsFinished
        | Kind::UnitsFailed
        | Kind::UnitsRetried
        | Kind::UnitsDeleted
        | Kind::UnitsArchived => wit::Change::WorkUnitsChanged(wit::WorkUnitsChanged {
            namespace,
            spec: &ids.first,
            what,
            worker: &ids.second,
            keys,
        }),
        Kind::WorkerSeen | Kind::WorkerGone => {
            wit::Change::WorkerChanged(wit::WorkerChanged { namespace, worker: &ids.first, what, parent: &ids.second })
        }
        Kind::Locked | Kind::Unlocked => {
            wit::Change::LocksChanged(wit::LocksChanged { namespace, what, locker: &ids.first, paths: keys })
        }
    }
}

fn job_created<'a>(created: &'a JobCreated, ids: &'a Ids) -> wit::JobCreated<'a> {
    wit::JobCreated {
        job: &ids.first,
        instance: &created.instance.0,
        tenant: &created.tenant,
        invocation: &created.invocation,
        action_digest: &ids.second,
        label: &created.label,
        lane: &created.lane.0,
        weight: created.weight,
        rank: created.rank,
    }
}

fn job_placed<'a>(placed: &'a JobPlaced, ids: &'a Ids) -> wit::JobPlaced<'a> {
    wit::JobPlaced { job: &ids.first, lane: &placed.lane.0, weight: placed.weight, rank: placed.rank }
}

fn handle<'a>(_: &Operation, ids: &'a Ids) -> wit::Operation<'a> {
    wit::Operation { operation: &ids.first, job: &ids.second }
}

fn lease<'a>(lease: &Lease, ids: &'a Ids) -> wit::Lease<'a> {
    wit::Lease { job: &ids.first, attempt: lease.lease.attempt, session: &ids.second }
}

fn session<'a>(session: &'a Session, ids: &'a Ids) -> wit::Session<'a> {
    wit::Session { session: &ids.first, instance: &session.instance.0, bot_id: &session.bot_id, slots: session.slots }
}

fn bot(bot: &Bot) -> wit::Bot<'_> {
    wit::Bot { instance: &bot.instance.0, bot_id: &bot.bot_id }
}

/// Codes are small numbers; what is not one is unknown to everybody.
fn code(code: i32) -> u32 {
    u32::try_from(code).unwrap_or(2)
}

/// The instance name that a change is about, where it says.
fn instance_of(change: &Change) -> Option<&str> {
    match change {
        Change::JobCreated(created) => Some(&created.instance.0),
        Change::JobCompleted(completed) => Some(&completed.instance.0),
        Change::SessionOpened(session) | Change::SessionChanged(session) => Some(&session.instance.0),
        Change::BotDrained(bot) | Change::BotResumed(bot) => Some(&bot.instance.0),
        Change::BotQuarantined(quarantined) => Some(&quarantined.bot.instance.0),
        Change::Work(changed) => Some(&changed.namespace),
        Change::JobPlaced(_)
        | Change::OperationCreated(_)
        | Change::OperationCancelled(_)
        | Change::OperationDeleted(_)
        | Change::LeaseOffered(_)
        | Change::LeaseStarted(_)
        | Change::LeaseWithdrawn(_)
        | Change::LeaseEvicted(_)
        | Change::AttemptFailed(_)
        | Change::AttemptDecided(_)
        | Change::DelayEnded(_)
        | Change::JobDeleted(_)
        | Change::SessionClosed(_)
        | Change::PolicyChanged(_)
        | Change::Gap
        | Change::Other(_) => None,
    }
}
