//! What an event tells of a job beyond its record, from the job's rows: three reads a page, whatever its length.
//!
//! The rows are decoded in part only: bodies carry whole actions, and most of that is of no interest here.

use std::{collections::HashMap, sync::Arc};

use berth_core::{Fact, InstanceName, JobId, Outcome, SessionId, Timestamp};
use bytes::Bytes;
use prost::Message;

use crate::{
    codec,
    plugins::events::{JobCompleted, Lesson},
    store::{PartitionId, Store, StoreError, Table},
};

/// `berth.store.v1.JobBody` without what the job runs.
#[derive(Clone, PartialEq, Message)]
struct BodyHead {
    #[prost(bytes = "bytes", tag = "6")]
    request_metadata: Bytes,
    #[prost(string, tag = "7")]
    tenant: String,
    #[prost(string, tag = "8")]
    history: String,
}

/// `build.bazel.remote.execution.v2.RequestMetadata`: the invocation alone.
#[derive(Clone, PartialEq, Message)]
struct MetadataHead {
    #[prost(string, tag = "3")]
    tool_invocation_id: String,
}

/// `berth.store.v1.Job` without what matters to the queue.
#[derive(Clone, PartialEq, Message)]
struct JobHead {
    #[prost(string, tag = "2")]
    instance: String,
    #[prost(string, tag = "6")]
    label: String,
    #[prost(uint64, tag = "11")]
    queued_at: u64,
    #[prost(uint32, tag = "14")]
    offers: u32,
}

/// `berth.store.v1.JobResult`: the result alone.
#[derive(Clone, PartialEq, Message)]
struct ResultHead {
    #[prost(bytes = "bytes", tag = "1")]
    action_result: Bytes,
}

/// `build.bazel.remote.execution.v2.ActionResult`: how it went, not what it made.
#[derive(Clone, PartialEq, Message)]
struct ActionResultHead {
    #[prost(int32, tag = "4")]
    exit_code: i32,
    #[prost(message, optional, tag = "9")]
    execution_metadata: Option<ExecutionMetadataHead>,
}

/// `build.bazel.remote.execution.v2.ExecutedActionMetadata`: what the bot added of its own.
#[derive(Clone, PartialEq, Message)]
struct ExecutionMetadataHead {
    #[prost(message, repeated, tag = "11")]
    auxiliary_metadata: Vec<AnyHead>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyHead {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "bytes", tag = "2")]
    value: Bytes,
}

/// What bots of the Buildbarn family say of the resources that a command took: the largest resident set, in bytes.
#[derive(Clone, PartialEq, Message)]
struct ResourceUsageHead {
    #[prost(int64, tag = "3")]
    maximum_resident_set_size: i64,
}

const RESOURCE_USAGE: &str = "/buildbarn.resourceusage.POSIXResourceUsage";

/// Who wanted a job. Empty where nobody said, or the row is gone.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) tenant: Arc<str>,
    pub(crate) invocation: Arc<str>,
    pub(crate) history: Arc<str>,
}

impl Default for Who {
    fn default() -> Self {
        Self { tenant: "".into(), invocation: "".into(), history: "".into() }
    }
}

/// The rows of a page's jobs.
pub(crate) struct Lookup {
    who: HashMap<JobId, Who>,
    jobs: HashMap<JobId, JobHead>,
    results: HashMap<JobId, ActionResultHead>,
    sessions: HashMap<SessionId, (InstanceName, Arc<str>)>,
}

impl Lookup {
    pub(crate) fn new<'a>(
        store: &dyn Store,
        partition: PartitionId,
        facts: impl Iterator<Item = &'a Fact>,
        all_results: bool,
    ) -> Result<Self, StoreError> {
        let (mut named, mut ended, mut reported, mut changed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for fact in facts {
            match fact {
                Fact::JobCreated(created) => named.push(created.job),
                Fact::JobCompleted { job, outcome, .. } => {
                    ended.push(*job);
                    if matches!(outcome, Outcome::Reported { .. } | Outcome::Failed { .. }) {
                        reported.push(*job);
                    }
                }
                Fact::JobRefused { job, .. } => ended.push(*job),
                Fact::SessionChanged(session) => changed.push(session.session),
                _ => {}
            }
        }
        named.extend(&ended);
        named.sort_unstable();
        named.dedup();
        let who = who(store, partition, &named)?;
        let jobs = rows(store, partition, Table::FinishedJobs, &ended)?.collect();
        // What a job gave can be large: it is read where it is asked for, or where something is learnt from it.
        reported.retain(|job| all_results || who.get(job).is_some_and(|who| !who.history.is_empty()));
        let results = rows::<ResultHead>(store, partition, Table::Results, &reported)?
            .map(|(job, result)| (job, ActionResultHead::decode(result.action_result).unwrap_or_default()))
            .collect();
        let keys: Vec<_> = changed.iter().map(|session| codec::id_key(session.0)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        let found = if keys.is_empty() { Vec::new() } else { store.get(partition, Table::Sessions, &keys)? };
        let row = |(session, row): (SessionId, Option<Bytes>)| {
            let row = codec::decode_session(&row?).ok()?;
            Some((session, (row.instance, row.bot_id)))
        };
        let sessions = changed.into_iter().zip(found).filter_map(row).collect();
        Ok(Self { who, jobs, results, sessions })
    }

    pub(crate) fn who(&self, job: JobId) -> Who {
        self.who.get(&job).cloned().unwrap_or_default()
    }

    pub(crate) fn bot(&self, session: SessionId) -> (InstanceName, Arc<str>) {
        self.sessions.get(&session).cloned().unwrap_or_else(|| ("".into(), "".into()))
    }

    pub(crate) fn completed(
        &self,
        job: JobId,
        at: Timestamp,
        outcome: Outcome,
        ran_ms: u32,
        session: Option<SessionId>,
    ) -> JobCompleted {
        let result = self.results.get(&job);
        let who = self.who(job);
        let row = self.jobs.get(&job).cloned().unwrap_or_default();
        let total = if row.queued_at == 0 { 0 } else { at.since(Timestamp(row.queued_at)).as_millis() };
        JobCompleted {
            job,
            instance: row.instance.as_str().into(),
            label: row.label.into(),
            code: code(outcome),
            cached: outcome == Outcome::Cached,
            total_ms: u64::try_from(total).unwrap_or(u64::MAX),
            ran_ms: ran_ms.into(),
            attempts: row.offers,
            session,
            refusal: "".into(),
            exit_code: result.map(|result| result.exit_code),
            peak_memory_bytes: result.map_or(0, peak_memory_bytes),
            lesson: self.lesson(job, outcome, &who),
            tenant: who.tenant,
            invocation: who.invocation,
        }
    }

    /// Nothing is learnt from a job that no bot ended: that says nothing of the next one.
    fn lesson(&self, job: JobId, outcome: Outcome, who: &Who) -> Option<Lesson> {
        if who.history.is_empty() {
            return None;
        }
        let result = self.results.get(&job);
        let failed = match outcome {
            Outcome::Reported { code, .. } => code != 0 || result.is_some_and(|result| result.exit_code != 0),
            Outcome::ExecutionTimeout | Outcome::AttemptsExhausted { .. } | Outcome::Failed { .. } => true,
            Outcome::Cached | Outcome::Cancelled | Outcome::QueueTimeout | Outcome::Refused => return None,
        };
        let peak_memory_bytes = result.map_or(0, peak_memory_bytes);
        Some(Lesson { history: who.history.clone(), failed, peak_memory_bytes })
    }
}

/// Who wanted these jobs; of those whose rows are there.
pub(crate) fn who(
    store: &dyn Store,
    partition: PartitionId,
    jobs: &[JobId],
) -> Result<HashMap<JobId, Who>, StoreError> {
    let head = |(job, body): (JobId, BodyHead)| {
        let metadata = MetadataHead::decode(body.request_metadata).unwrap_or_default();
        let invocation = metadata.tool_invocation_id.into();
        (job, Who { tenant: body.tenant.into(), invocation, history: body.history.into() })
    };
    Ok(rows(store, partition, Table::Bodies, jobs)?.map(head).collect())
}

/// A row that cannot be read counts as gone: who must have it, finds out elsewhere.
fn rows<M: Message + Default>(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    jobs: &[JobId],
) -> Result<impl Iterator<Item = (JobId, M)>, StoreError> {
    let keys: Vec<_> = jobs.iter().map(|job| codec::id_key(job.0)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let found = if keys.is_empty() { Vec::new() } else { store.get(partition, table, &keys)? };
    Ok(jobs.iter().zip(found).filter_map(|(job, row)| Some((*job, M::decode(row?).ok()?))))
}

/// `google.rpc.Code` of an end: what the client of the job was told.
fn code(outcome: Outcome) -> i32 {
    match outcome {
        Outcome::Reported { code, .. } | Outcome::Failed { code } => code,
        Outcome::Cached => 0,
        Outcome::Cancelled => 1,
        Outcome::ExecutionTimeout => 4,
        Outcome::Refused => 9,
        Outcome::AttemptsExhausted { .. } => 10,
        Outcome::QueueTimeout => 14,
    }
}

fn peak_memory_bytes(result: &ActionResultHead) -> u64 {
    let metadata = result.execution_metadata.iter().flat_map(|metadata| &metadata.auxiliary_metadata);
    let usage = metadata.filter(|any| any.type_url.ends_with(RESOURCE_USAGE));
    let peak = usage.filter_map(|any| ResourceUsageHead::decode(any.value.clone()).ok());
    let peak = peak.map(|usage| u64::try_from(usage.maximum_resident_set_size).unwrap_or(0)).max();
    peak.unwrap_or(0)
}
