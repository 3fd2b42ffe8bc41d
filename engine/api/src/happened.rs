//! What happened to a job, oldest first, from its rows: nothing is written for it but of attempts that gave no result.
//!
//! Who shows it says how: `introspection` as BuildGrid does, `admin` with numbers as numbers.

use std::{sync::Arc, time::Duration};

use berth_core::{
    AttemptEnd, Digest, InstanceName, JobId, JobRow, JobRowState, LeaseView, OperationId, OperationRow, Outcome,
    Timestamp,
};
use berth_proto::reapi::{ActionResult, ExecutedActionMetadata};
use berth_runtime::Engine;
use prost::Message;
use tonic::Code;
use uuid::Uuid;

use crate::error::Error;

/// The events of a job.
pub(crate) struct Happened {
    pub(crate) job: JobId,
    pub(crate) instance: InstanceName,
    pub(crate) action: Digest,
    /// Oldest first.
    pub(crate) events: Vec<Event>,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) what: What,
}

/// What happened. A bot is `None` where nobody knows it any more, or there was none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Created,
    /// A client got a handle on it; so many there are then.
    OperationCreated {
        operation: OperationId,
        operations: usize,
    },
    /// It was given to a bot, after it had waited so long in all.
    Assigned {
        bot: Option<Arc<str>>,
        attempt: u32,
        waited: Duration,
    },
    /// The bot said when something began or ended: a field of ExecutedActionMetadata.
    Progress {
        bot: Arc<str>,
        stamp: &'static str,
    },
    /// The attempt of this number failed; there is another one, so many there were then.
    Retried {
        attempt: u32,
        attempts: usize,
        code: i32,
    },
    /// An operator took it from its bot.
    Requeued {
        bot: Arc<str>,
        attempt: u32,
    },
    /// A client gave its handle up: so many of so many are given up then.
    OperationCancelled {
        operation: OperationId,
        bot: Option<Arc<str>>,
        cancelled: usize,
        operations: usize,
    },
    /// Its last handle was given up.
    Cancelled {
        bot: Option<Arc<str>>,
    },
    /// It ended, with this `google.rpc.Code`; its last attempt took so long, if it had one.
    Completed {
        bot: Option<Arc<str>>,
        code: i32,
        took: Option<Duration>,
    },
}

/// What happened to a job; `None`: it is not known, or forgotten.
pub(crate) async fn happened(engine: &Engine, job: JobId) -> Result<Option<Happened>, Error> {
    let look = move |book: &berth_core::Book| {
        let lease = book.job_view(job).and_then(|view| view.lease);
        Some((book.job_row(job)?, lease))
    };
    let (row, lease) = match engine.read(look).await? {
        Some(known) => known,
        None => match engine.history().finished(job).await? {
            Some(row) => (row, None),
            None => return Ok(None),
        },
    };
    let result = match row.state {
        JobRowState::Completed { outcome: Outcome::Reported { .. } | Outcome::Failed { .. }, .. } => {
            let stored = engine.history().result(job).await?;
            stored.and_then(|stored| ActionResult::decode(stored.action_result.clone()).ok())
        }
        JobRowState::Completed { .. }
        | JobRowState::Queued
        | JobRowState::Leased
        | JobRowState::Deciding
        | JobRowState::Delayed { .. } => None,
    };
    let said = lease.as_ref().and_then(|lease| engine.history().progress(job, lease.offered_at));
    let said = said.and_then(|said| ExecutedActionMetadata::decode(said).ok());
    let metadata = result.and_then(|result| result.execution_metadata).or(said);
    let events = tell(&row, lease.as_ref(), metadata.as_ref());
    Ok(Some(Happened { job: row.job, instance: row.instance, action: row.action, events }))
}

fn tell(row: &JobRow, lease: Option<&LeaseView>, metadata: Option<&ExecutedActionMetadata>) -> Vec<Event> {
    let mut story = Story { row, events: Vec::new() };
    story.push(row.queued_at, What::Created);
    story.handles();
    let last = story.attempts(lease, metadata);
    story.end(last, metadata);
    // What came together stays in the order in which it is told here.
    story.events.sort_by_key(|event| event.at);
    story.events
}

struct Story<'a> {
    row: &'a JobRow,
    events: Vec<Event>,
}

/// The bot of the last attempt, and since when it had the job.
type Last = Option<(Option<Arc<str>>, Timestamp)>;

impl Story<'_> {
    fn push(&mut self, at: Timestamp, what: What) {
        self.events.push(Event { at, what });
    }

    fn handles(&mut self) {
        let handles = &self.row.operations;
        for (number, handle) in handles.iter().enumerate() {
            let what = What::OperationCreated { operation: handle.operation, operations: number + 1 };
            self.push(made_at(self.row, handle), what);
        }
        let mut cancelled: Vec<_> = handles.iter().filter_map(|h| Some((h.cancelled?, h.operation))).collect();
        cancelled.sort();
        for (number, (at, operation)) in cancelled.into_iter().enumerate() {
            let made_by_then = handles.iter().filter(|handle| made_at(self.row, handle) <= at).count();
            let what = What::OperationCancelled {
                operation,
                bot: self.bot_at(at),
                cancelled: number + 1,
                operations: made_by_then.max(number + 1),
            };
            self.push(at, what);
        }
    }

    /// Who had the job then, as far as its rows say: of attempts that gave no result.
    fn bot_at(&self, at: Timestamp) -> Option<Arc<str>> {
        let had = self.row.past.iter().find(|past| (past.offered_at..=past.ended_at).contains(&at));
        had.map(|past| past.bot_id.clone())
    }

    /// Every attempt that is known, and how it ended if the job went on. Answers with the one that it is in, or that ended
    /// it.
    fn attempts(&mut self, lease: Option<&LeaseView>, metadata: Option<&ExecutedActionMetadata>) -> Last {
        let row = self.row;
        let mut last = None;
        let mut failed = 1;
        for past in &row.past {
            self.assigned(Some(past.bot_id.clone()), past.attempt, past.offered_at);
            match past.end {
                AttemptEnd::Failed { .. } if past.attempt == row.offers && ends_with_its_attempt(row.state) => {
                    last = Some((Some(past.bot_id.clone()), past.offered_at));
                }
                AttemptEnd::Failed { code } => {
                    failed += 1;
                    self.push(past.ended_at, What::Retried { attempt: past.attempt, attempts: failed, code });
                }
                AttemptEnd::Requeued => {
                    let what = What::Requeued { bot: past.bot_id.clone(), attempt: past.attempt };
                    self.push(past.ended_at, what);
                }
                AttemptEnd::Stopped => last = Some((Some(past.bot_id.clone()), past.offered_at)),
            }
        }
        if let Some(lease) = lease {
            self.assigned(Some(lease.bot_id.clone()), lease.lease.attempt, lease.offered_at);
            last = Some((Some(lease.bot_id.clone()), lease.offered_at));
        }
        if let (None, Some(started)) = (&last, row.started_at) {
            // Of an attempt with a result the bot's name is in the result.
            let bot = metadata.map(|metadata| metadata.worker.as_str()).filter(|bot| !bot.is_empty());
            let bot: Option<Arc<str>> = bot.map(Into::into);
            self.assigned(bot.clone(), row.offers, started);
            last = Some((bot, started));
        }
        last
    }

    fn assigned(&mut self, bot: Option<Arc<str>>, attempt: u32, at: Timestamp) {
        let waited = at.since(self.row.queued_at);
        self.push(at, What::Assigned { bot, attempt, waited });
    }

    fn end(&mut self, last: Last, metadata: Option<&ExecutedActionMetadata>) {
        let end = match self.row.state {
            JobRowState::Completed { at, outcome } => Some((at, outcome)),
            JobRowState::Queued | JobRowState::Leased | JobRowState::Deciding | JobRowState::Delayed { .. } => None,
        };
        let (bot, since) = last.unzip();
        let bot = bot.flatten();
        if let Some(metadata) = metadata {
            self.progress(end.map_or(Timestamp(u64::MAX), |(at, _)| at), bot.as_ref(), metadata);
        }
        let Some((at, outcome)) = end else { return };
        let code = match outcome {
            Outcome::Cancelled => return self.push(at, What::Cancelled { bot }),
            Outcome::Reported { code, .. } | Outcome::Failed { code } => code,
            Outcome::Cached => 0,
            Outcome::QueueTimeout => Code::Unavailable as i32,
            Outcome::ExecutionTimeout => Code::DeadlineExceeded as i32,
            Outcome::AttemptsExhausted { .. } => Code::Aborted as i32,
            Outcome::Refused => Code::FailedPrecondition as i32,
        };
        self.push(at, What::Completed { bot, code, took: since.map(|since| at.since(since)) });
    }

    /// What the bot said of its own doings. Its clock may differ from ours: nothing of it is later than the end.
    fn progress(&mut self, end: Timestamp, bot: Option<&Arc<str>>, metadata: &ExecutedActionMetadata) {
        let bot = bot.cloned().unwrap_or_else(|| metadata.worker.as_str().into());
        for (stamp, time) in stamps(metadata) {
            let Some(at) = time.and_then(|time| from_wire(&time)) else { continue };
            let what = What::Progress { bot: bot.clone(), stamp };
            self.push(at.clamp(self.row.queued_at, end), what);
        }
    }
}

/// The times of a bot's doings, in their order.
pub(crate) fn stamps(metadata: &ExecutedActionMetadata) -> [(&'static str, Option<prost_types::Timestamp>); 6] {
    [
        ("input_fetch_start_timestamp", metadata.input_fetch_start_timestamp),
        ("input_fetch_completed_timestamp", metadata.input_fetch_completed_timestamp),
        ("execution_start_timestamp", metadata.execution_start_timestamp),
        ("execution_completed_timestamp", metadata.execution_completed_timestamp),
        ("output_upload_start_timestamp", metadata.output_upload_start_timestamp),
        ("output_upload_completed_timestamp", metadata.output_upload_completed_timestamp),
    ]
}

fn from_wire(time: &prost_types::Timestamp) -> Option<Timestamp> {
    let (seconds, nanos) = (u64::try_from(time.seconds).ok()?, u64::try_from(time.nanos).ok()?);
    Some(Timestamp(seconds.checked_mul(1_000_000)?.checked_add(nanos / 1_000)?))
}

/// Whether the job's end is that of an attempt, and not of its wait.
fn ends_with_its_attempt(state: JobRowState) -> bool {
    match state {
        JobRowState::Completed { outcome, .. } => match outcome {
            Outcome::Reported { .. }
            | Outcome::AttemptsExhausted { .. }
            | Outcome::Failed { .. }
            | Outcome::ExecutionTimeout => true,
            Outcome::Cached | Outcome::Cancelled | Outcome::QueueTimeout | Outcome::Refused => false,
        },
        JobRowState::Queued | JobRowState::Leased | JobRowState::Deciding | JobRowState::Delayed { .. } => false,
    }
}

/// When a handle was made: the first one with the job, others by their ids, which begin with their time.
fn made_at(row: &JobRow, handle: &OperationRow) -> Timestamp {
    let id = Uuid::from_u128(handle.operation.0);
    if handle.operation.0 == row.job.0 || id.get_version_num() != 7 {
        return row.queued_at;
    }
    let millis = (handle.operation.0 >> 80) as u64;
    Timestamp(millis.saturating_mul(1_000)).max(row.queued_at)
}

#[cfg(test)]
#[path = "happened/tests.rs"]
mod tests;
