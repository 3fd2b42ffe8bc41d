//! Jobs as operators see them, and why one waits, in a sentence.

use std::sync::Arc;

use berth_core::{
    Affinity, Digest, InstanceName, JobId, JobRow, JobRowState, JobView, LaneKey, LeaseView, LimitState, OperationRow,
    Outcome, PropertySet, Stage, Timestamp, Waiting, Why,
};
use berth_proto::{admin, reapi::RequestMetadata, store as pb};
use berth_runtime::Engine;
use prost::Message;
use tonic::Code;

use super::find::Found;
use crate::{
    convert,
    error::Error,
    happened::{Event, Happened, What},
    names,
    position::position,
};

pub(super) async fn found(engine: &Engine, found: Found) -> Result<admin::Job, Error> {
    match found {
        Found::Known(known) => {
            let job = known.job;
            let waiting = engine.read(move |book| book.explain(job)).await?;
            let position = position(engine, job, u64::MAX).await?.unwrap_or_default();
            let waiting = waiting.map(|waiting| admin::Waiting { position, ..explain(waiting) });
            Ok(admin::Job { waiting, ..view(engine, &known).await? })
        }
        Found::Stored(stored) => row(engine, &stored).await,
    }
}

/// A job of the book. Says nothing of why it waits: that is looked up for one job at a time.
pub(super) async fn view(engine: &Engine, view: &JobView) -> Result<admin::Job, Error> {
    let job = Shown {
        job: view.job,
        instance: &view.instance,
        action: view.action,
        requirements: &view.requirements,
        label: &view.label,
        lane: &view.lane,
        rank: view.rank,
        affinities: &view.affinities,
        queued_at: view.queued_at,
        attempts_used: view.attempts_used,
        operations: &view.operations,
    };
    let (stage, outcome) = match view.stage {
        Stage::Queued => ("QUEUED", String::new()),
        Stage::Executing => ("EXECUTING", String::new()),
        Stage::Completed(outcome) => ("COMPLETED", self::outcome(outcome)),
    };
    let lease = view.lease.as_ref().map(lease);
    Ok(admin::Job { stage: stage.into(), outcome, lease, ..job.show(engine).await? })
}

/// A job of the store.
pub(super) async fn row(engine: &Engine, row: &JobRow) -> Result<admin::Job, Error> {
    let job = Shown {
        job: row.job,
        instance: &row.instance,
        action: row.action,
        requirements: &row.requirements,
        label: &row.label,
        lane: &row.lane,
        rank: row.rank,
        affinities: &row.affinities,
        queued_at: row.queued_at,
        attempts_used: row.attempts_used,
        operations: &row.operations,
    };
    let job = job.show(engine).await?;
    Ok(match row.state {
        JobRowState::Queued | JobRowState::Deciding | JobRowState::Delayed { .. } => {
            admin::Job { stage: "QUEUED".into(), ..job }
        }
        JobRowState::Leased => admin::Job { stage: "EXECUTING".into(), ..job },
        JobRowState::Completed { at, outcome } => admin::Job {
            stage: "COMPLETED".into(),
            outcome: self::outcome(outcome),
            completed_at: Some(convert::timestamp(at)),
            ..job
        },
    })
}

/// What jobs of the book and of the store have in common.
struct Shown<'a> {
    job: JobId,
    instance: &'a InstanceName,
    action: Digest,
    requirements: &'a PropertySet,
    label: &'a str,
    lane: &'a LaneKey,
    rank: i64,
    affinities: &'a [Arc<Affinity>],
    queued_at: Timestamp,
    attempts_used: u32,
    operations: &'a [OperationRow],
}

impl Shown<'_> {
    async fn show(&self, engine: &Engine) -> Result<admin::Job, Error> {
        let body = engine.history().body(self.job).await?;
        let pb::JobBody { command_line, request_metadata, .. } = body.as_deref().cloned().unwrap_or_default();
        let metadata = RequestMetadata::decode(request_metadata).unwrap_or_default();
        let name = |handle: &OperationRow| names::operation(&self.instance.0, handle.operation);
        Ok(admin::Job {
            job: self.job.to_string(),
            instance: self.instance.to_string(),
            action_digest: self.action.to_string(),
            command_line,
            requirements: properties(self.requirements),
            label: self.label.into(),
            lane: self.lane.0.to_string(),
            rank: self.rank,
            queued_at: Some(convert::timestamp(self.queued_at)),
            attempts_used: self.attempts_used,
            operations: self.operations.iter().filter(|row| !row.deleted).map(name).collect(),
            tool_invocation_id: metadata.tool_invocation_id,
            target_id: metadata.target_id,
            action_mnemonic: metadata.action_mnemonic,
            keys: self.affinities.iter().map(|affinity| affinity.key.to_string()).collect(),
            ..Default::default()
        })
    }
}

pub(super) fn properties(set: &PropertySet) -> Vec<admin::Property> {
    let property = |property: &berth_core::Property| admin::Property {
        name: property.name.to_string(),
        value: property.value.to_string(),
    };
    set.iter().map(property).collect()
}

fn lease(lease: &LeaseView) -> admin::Lease {
    admin::Lease {
        lease: lease.lease.to_string(),
        bot_id: lease.bot_id.to_string(),
        offered_at: Some(convert::timestamp(lease.offered_at)),
        started_at: lease.started_at.map(convert::timestamp),
    }
}

fn outcome(outcome: Outcome) -> String {
    match outcome {
        Outcome::Reported { code: 0, .. } => "ok".into(),
        Outcome::Reported { code, .. } => format!("bot reported: {}", Code::from_i32(code).description()),
        Outcome::Cached => "ok, from the action cache".into(),
        Outcome::Cancelled => "cancelled".into(),
        Outcome::QueueTimeout => "queue timeout".into(),
        Outcome::ExecutionTimeout => "execution timeout".into(),
        Outcome::AttemptsExhausted { code } => {
            format!("attempts exhausted, the last one: {}", Code::from_i32(code).description())
        }
        Outcome::Failed { code: 0 } => "ended by policy: the command failed".into(),
        Outcome::Failed { code } => format!("ended by policy: {}", Code::from_i32(code).description()),
        Outcome::Refused => "refused: no bot can serve it".into(),
    }
}

fn explain(waiting: Waiting) -> admin::Waiting {
    let Waiting { why, ahead, queued_alike, bots_that_fit } = waiting;
    let (code, reason, missing) = match why {
        Why::NoBots => ("NO_BOTS", "no bot of this instance has an open session".to_owned(), Vec::new()),
        Why::NoBotOffers { missing } if missing.is_empty() => {
            let reason = "each property that it needs is offered by some bot, but no bot offers all of them";
            ("NO_BOT_OFFERS", reason.into(), Vec::new())
        }
        Why::NoBotOffers { missing } => ("NO_BOT_OFFERS", format!("no bot offers {missing}"), properties(&missing)),
        Why::Paused { instance: true } => {
            ("INSTANCE_PAUSED", "an operator paused all jobs of its instance".into(), Vec::new())
        }
        Why::Paused { instance: false } => {
            ("LABEL_PAUSED", "an operator paused the jobs with its label".into(), Vec::new())
        }
        Why::PolicyAsked => {
            ("POLICY_ASKED", "an attempt failed, and a policy is asked what becomes of the job".into(), Vec::new())
        }
        Why::Delayed { until } => {
            let reason = format!("an attempt failed; there is another one, not before {}", convert::timestamp(until));
            ("DELAYED", reason, Vec::new())
        }
        Why::LimitReached { limits } => {
            let limits: Vec<_> = limits.iter().map(LimitState::to_string).collect();
            ("LIMIT_REACHED", format!("as many jobs run as a policy allows: {}", limits.join("; ")), Vec::new())
        }
        Why::NearBots { until, bots } => {
            let (until, bots) = (convert::timestamp(until), bots.join(", "));
            ("NEAR_BOTS", format!("until {until} it waits for a bot that served its keys: {bots}"), Vec::new())
        }
        Why::AvoidsBots { bots } => {
            let reason = format!("it waits for another bot than {}, which failed it", bots.join(", "));
            ("AVOIDS_BOTS", reason, Vec::new())
        }
        Why::BotsTakeNoWork { drained, quarantined, unwell } => {
            let reason = format!(
                "every bot that fits takes no work: {drained} drained, {quarantined} in quarantine, {unwell} not well or leaving"
            );
            ("BOTS_TAKE_NO_WORK", reason, Vec::new())
        }
        Why::BotsBusy => {
            let reason =
                format!("all {bots_that_fit} bots that fit are busy; {ahead} of {queued_alike} like it are ahead");
            ("BOTS_BUSY", reason, Vec::new())
        }
        Why::BotsNotAsking => {
            let reason = format!("{bots_that_fit} bots fit, but none of those that are free is asking for work now");
            ("BOTS_NOT_ASKING", reason, Vec::new())
        }
    };
    let (ahead, bots_that_fit) = (ahead as u64, bots_that_fit as u64);
    admin::Waiting { reason, code: code.into(), missing, ahead, bots_that_fit, ..Default::default() }
}

/// What happened to a job, with numbers as numbers.
pub(super) fn history(known: Happened) -> admin::GetHistoryResponse {
    let instance = &*known.instance.0;
    let events = known.events.into_iter().map(|event| happening(instance, event)).collect();
    admin::GetHistoryResponse { job: known.job.to_string(), events }
}

fn happening(instance: &str, Event { at, what }: Event) -> admin::HistoryEvent {
    let own = admin::HistoryEvent { at: Some(convert::timestamp(at)), ..Default::default() };
    let name = |bot: Option<Arc<str>>| bot.map(|bot| bot.to_string()).unwrap_or_default();
    let described = |code: i32| Code::from_i32(code).description().to_owned();
    match what {
        What::Created => admin::HistoryEvent { kind: "CREATED".into(), ..own },
        What::OperationCreated { operation, operations } => admin::HistoryEvent {
            kind: "OPERATION_CREATED".into(),
            operation: names::operation(instance, operation),
            text: format!("{operations} in all"),
            ..own
        },
        What::Assigned { bot, attempt, waited } => admin::HistoryEvent {
            kind: "ASSIGNED".into(),
            bot_id: name(bot),
            attempt,
            took: Some(convert::to_duration(waited)),
            ..own
        },
        What::Progress { bot, stamp } => {
            admin::HistoryEvent { kind: "PROGRESS".into(), bot_id: bot.to_string(), progress: stamp.into(), ..own }
        }
        What::Retried { attempt, attempts: _, code } => {
            admin::HistoryEvent { kind: "RETRIED".into(), attempt, code: Some(code), text: described(code), ..own }
        }
        What::Requeued { bot, attempt } => admin::HistoryEvent {
            kind: "REQUEUED".into(),
            bot_id: bot.to_string(),
            attempt,
            text: "an operator took it from its bot".into(),
            ..own
        },
        What::OperationCancelled { operation, bot, cancelled, operations } => admin::HistoryEvent {
            kind: "OPERATION_CANCELLED".into(),
            operation: names::operation(instance, operation),
            bot_id: name(bot),
            text: format!("{cancelled} of {operations}"),
            ..own
        },
        What::Cancelled { bot } => admin::HistoryEvent { kind: "CANCELLED".into(), bot_id: name(bot), ..own },
        What::Completed { bot, code, took } => admin::HistoryEvent {
            kind: "COMPLETED".into(),
            bot_id: name(bot),
            code: Some(code),
            took: took.map(convert::to_duration),
            text: described(code),
            ..own
        },
    }
}
