//! Telling a plugin what happened, and keeping what it wrote meanwhile.

use berth_runtime::plugins::events::{Bot, Change, JobCreated, JobPlaced, Lease, Operation, Session};
use berth_runtime::plugins::{ConsumerError, FeedEvent, KvTransaction};

use crate::bindings::v1::events as wit;
use crate::bindings::v1::types::PropertyParam;
use crate::convert::set_for_guest;
use crate::plugin::{Call, EXPORTED, Plugin};
use crate::stats::Function;

impl Plugin {
    /// This happened. What the call wrote is in `kv` if it succeeded, and nowhere otherwise.
    pub(crate) fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        self.count_questions(Function::OnEvents, events.len());
        let texts: Vec<Ids> = events.iter().map(|event| Ids::of(&event.change)).collect();
        let sets: Vec<_> = events.iter().map(|event| requirements_of(&event.change)).collect();
        let told = events.iter().zip(&texts).zip(&sets);
        let records: Vec<wit::Event<'_>> = told.map(|((event, ids), set)| record(event, ids, set.as_deref())).collect();
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

/// Identities as texts: the first two that a change has.
#[derive(Default)]
struct Ids {
    first: String,
    second: String,
}

impl Ids {
    fn of(change: &Change) -> Self {
        let one = |first: String| Self { first, second: String::new() };
        match change {
            Change::JobCreated(created) => Self { first: created.job.to_string(), second: created.action.to_string() },
            Change::JobPlaced(placed) => one(placed.job.to_string()),
            Change::OperationCreated(operation)
            | Change::OperationCancelled(operation)
            | Change::OperationDeleted(operation) => {
                Self { first: operation.operation.to_string(), second: operation.job.to_string() }
            }
            Change::LeaseOffered(lease) | Change::LeaseStarted(lease) | Change::LeaseWithdrawn(lease) => {
                Self { first: lease.lease.job.to_string(), second: lease.session.to_string() }
            }
            Change::AttemptFailed(failed) => {
                Self { first: failed.lease.job.to_string(), second: failed.session.to_string() }
            }
            Change::AttemptDecided(decided) => one(decided.job.to_string()),
            Change::DelayEnded(job) => one(job.to_string()),
            Change::JobCompleted(completed) => Self {
                first: completed.job.to_string(),
                second: completed.session.map(|session| session.to_string()).unwrap_or_default(),
            },
            Change::JobDeleted(job) => one(job.to_string()),
            Change::SessionOpened(session) | Change::SessionChanged(session) => one(session.session.to_string()),
            Change::SessionClosed(closed) => one(closed.session.to_string()),
            Change::BotDrained(_)
            | Change::BotResumed(_)
            | Change::BotQuarantined(_)
            | Change::PolicyChanged(_)
            | Change::Gap
            | Change::Other(_) => Self::default(),
        }
    }
}

/// What bots must offer from now on, where the change says.
fn requirements_of(change: &Change) -> Option<Vec<PropertyParam<'_>>> {
    let Change::AttemptDecided(decided) = change else { return None };
    decided.requirements.as_ref().map(set_for_guest)
}

fn record<'a>(event: &'a FeedEvent, ids: &'a Ids, requirements: Option<&'a [PropertyParam<'a>]>) -> wit::Event<'a> {
    let change = match &event.change {
        Change::JobCreated(created) => wit::Change::JobCreated(job_created(created, ids)),
        Change::JobPlaced(placed) => wit::Change::JobPlaced(job_placed(placed, ids)),
        Change::OperationCreated(operation) => wit::Change::OperationCreated(handle(operation, ids)),
        Change::OperationCancelled(operation) => wit::Change::OperationCancelled(handle(operation, ids)),
        Change::OperationDeleted(operation) => wit::Change::OperationDeleted(handle(operation, ids)),
        Change::LeaseOffered(offered) => wit::Change::LeaseOffered(lease(offered, ids)),
        Change::LeaseStarted(started) => wit::Change::LeaseStarted(lease(started, ids)),
        Change::LeaseWithdrawn(withdrawn) => wit::Change::LeaseWithdrawn(lease(withdrawn, ids)),
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
            requirements,
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
        Change::Gap => wit::Change::Gap,
        Change::Other(name) => wit::Change::Other(name),
    };
    wit::Event { sequence: event.sequence, at_ms: event.at.0 / 1000, change }
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
        Change::JobPlaced(_)
        | Change::OperationCreated(_)
        | Change::OperationCancelled(_)
        | Change::OperationDeleted(_)
        | Change::LeaseOffered(_)
        | Change::LeaseStarted(_)
        | Change::LeaseWithdrawn(_)
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
