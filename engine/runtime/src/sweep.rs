//! Retention: finished operations and old feed records leave, a bounded step at a time. A policy may keep a job longer.

use std::{
    ops::{ControlFlow, Range},
    time::Duration,
};

use berth_core::{JobId, JobRow, JobRowState, Outcome, Timestamp};
use berth_proto::{reapi::RequestMetadata, store as pb};
use bytes::Bytes;
use prost::Message;

use crate::{
    Engine, EngineError,
    asker::requester,
    codec,
    operations::{Entry, delete_entries, entries_of},
    partition::RowsFn,
    policy::{Policy, hooks::PruneQuestion},
    store::{Batch, PartitionId, Store, StoreError, Table},
    work::Namespaces,
};

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Finished operations: 24 h by default.
    pub finished: Duration,
    /// Records of the event feed: 24 h by default.
    pub feed: Duration,
    /// And at most so many bytes of them, roughly: 1 GiB by default. A consumer that is left behind is told of a gap.
    pub feed_bytes_max: u64,
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { finished: day, feed: day, feed_bytes_max: 1 << 30 }
    }
}

/// Jobs that one step looks at, and that a policy is asked about in one call.
const JOBS_A_STEP: usize = 256;

/// A job that is kept is looked at again after this time at the earliest: a step must not meet it once more.
const KEPT_MIN: Duration = Duration::from_secs(60);

/// The longest time for which a policy may keep a job at a time.
const KEPT_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// Feed records that one step drops.
const RECORDS_A_STEP: u64 = 65_536;

/// Feed records that are looked at from each end to know how large one is.
const RECORDS_SAMPLED: usize = 256;

/// Bytes that a feed record takes beside itself: its key, and what the store needs for it.
const RECORD_OVERHEAD_BYTES: usize = 16;

/// Deletes what is past its time, step by step between other batches, and answers how many jobs went.
pub async fn sweep(engine: &Engine, retention: Retention) -> Result<usize, EngineError> {
    let mut swept = 0;
    loop {
        let (store, partition) = (engine.history().store().clone(), engine.history().partition());
        let now = engine.now();
        let policy = engine.policy().clone();
        let step = tokio::task::spawn_blocking(move || plan(&*store, partition, &*policy, now, retention)).await;
        let Some((jobs, more, rows)) = step.map_err(|_| EngineError::Stopping)?? else { return Ok(swept) };
        swept += jobs;
        // Durable when it returns: the next look would find the rows again.
        engine.write_rows(rows).await?;
        engine.tally().note_pruned(jobs);
        if !more {
            return Ok(swept);
        }
    }
}

type Step = Option<(usize, bool, RowsFn)>;

fn plan(
    store: &dyn Store,
    partition: PartitionId,
    policy: &dyn Policy,
    now: Timestamp,
    retention: Retention,
) -> Result<Step, StoreError> {
    let mut due = Vec::new();
    store.scan(partition, Table::FinishedByTime, &[], &mut |key, _| match codec::finished_key_job(key) {
        Some((at, job)) if now.since(at) > retention.finished && due.len() < JOBS_A_STEP => {
            due.push((at, job));
            ControlFlow::Continue(())
        }
        _ => ControlFlow::Break(()),
    })?;
    let keys: Vec<_> = due.iter().map(|(_, job)| codec::id_key(job.0)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let rows = store.get(partition, Table::FinishedJobs, &keys)?;
    let rows: Vec<_> = rows.into_iter().map(|bytes| bytes.and_then(|bytes| codec::decode_job(&bytes).ok())).collect();
    let keep = ask(store, partition, policy, now, &rows)?;
    let gone = rows.iter().zip(&keep).filter(|(_, keep)| keep.is_none()).filter_map(|(row, _)| row.as_ref());
    let (handles, entries) = handles(store, partition, gone)?;
    let trim = old_records(store, partition, now, retention)?;
    if due.is_empty() && trim.is_none() {
        return Ok(None);
    }
    let (looked_at, jobs) = (due.len(), keep.iter().filter(|keep| keep.is_none()).count());
    let more = looked_at == JOBS_A_STEP || trim.is_some_and(|(_, more)| more);
    let rows = move |batch: &mut Batch| {
        for ((at, job), keep) in due.into_iter().zip(keep) {
            batch.delete(Table::FinishedByTime, &codec::finished_key(at, job));
            match keep {
                Some(keep) => {
                    // Where it is met again after that time.
                    let again = now.after(keep).0.saturating_sub(retention.finished.as_micros() as u64);
                    batch.put(Table::FinishedByTime, &codec::finished_key(Timestamp(again), job), |_| {});
                }
                None => forget(job, batch),
            }
        }
        for key in handles {
            batch.delete(Table::Operations, &key);
        }
        delete_entries(&entries, batch);
        if let Some((below, _)) = trim {
            batch.trim_feed(below);
        }
    };
    Ok(Some((jobs, more, Box::new(rows))))
}

/// The keys of the handles of jobs, and the rows of the orders of lists that go with them.
fn handles<'a>(
    store: &dyn Store,
    partition: PartitionId,
    jobs: impl Iterator<Item = &'a JobRow>,
) -> Result<(Vec<[u8; 16]>, Vec<Entry>), StoreError> {
    let handles = jobs.flat_map(|job| job.operations.iter().map(move |handle| (job, handle)));
    let handles: Vec<_> = handles.collect();
    let ids: Vec<_> = handles.iter().map(|(_, handle)| codec::id_key(handle.operation.0)).collect();
    let keys: Vec<&[u8]> = ids.iter().map(|key| key.as_slice()).collect();
    let rows = store.get(partition, Table::Operations, &keys)?;
    let mut entries = Vec::with_capacity(handles.len() * 5);
    for ((job, handle), row) in handles.iter().zip(rows) {
        let row = row.and_then(|bytes| pb::Operation::decode(bytes).ok()).unwrap_or_default();
        entries.extend(entries_of(handle.operation, &job.instance, &row.request_metadata, Some((job, handle))));
    }
    Ok((ids, entries))
}

fn forget(job: JobId, batch: &mut Batch) {
    let key = codec::id_key(job.0);
    batch.delete(Table::FinishedJobs, &key);
    batch.delete(Table::Bodies, &key);
    batch.delete(Table::Results, &key);
}

/// How much longer each is kept; `None`: not at all. Asks about those whose instance has a policy for it.
fn ask(
    store: &dyn Store,
    partition: PartitionId,
    policy: &dyn Policy,
    now: Timestamp,
    rows: &[Option<JobRow>],
) -> Result<Vec<Option<Duration>>, StoreError> {
    let mut keep = vec![None; rows.len()];
    let asked = |row: &&JobRow| policy.asks(&row.instance.0).prune;
    let asked: Vec<(usize, &JobRow)> =
        rows.iter().enumerate().filter_map(|(at, row)| Some((at, row.as_ref().filter(asked)?))).collect();
    if asked.is_empty() {
        return Ok(keep);
    }
    let keys: Vec<_> = asked.iter().map(|(_, row)| codec::id_key(row.job.0)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let bodies = store.get(partition, Table::Bodies, &keys)?;
    // What cannot be read is as what was not sent.
    let body = |bytes: Option<Bytes>| bytes.and_then(|bytes| pb::JobBody::decode(bytes).ok()).unwrap_or_default();
    let bodies = bodies.into_iter().map(|bytes| {
        let body = body(bytes);
        let metadata = RequestMetadata::decode(body.request_metadata.clone()).unwrap_or_default();
        (body, metadata)
    });
    let bodies: Vec<_> = bodies.collect();
    let ids: Vec<_> = asked.iter().map(|(_, row)| (row.job.to_string(), row.action.to_string())).collect();
    let questions: Vec<_> = asked
        .iter()
        .zip(&bodies)
        .zip(&ids)
        .map(|(((_, row), (body, metadata)), (job, action_digest))| {
            let (code, at) = end_of(row);
            PruneQuestion {
                requester: requester(&row.instance.0, body, metadata),
                job,
                action_digest,
                code,
                ended: now.since(at),
            }
        })
        .collect();
    let answers = policy.before_prune(&questions);
    for ((at, _), answer) in asked.iter().zip(answers) {
        keep[*at] = (!answer.is_zero()).then(|| answer.clamp(KEPT_MIN, KEPT_MAX));
    }
    Ok(keep)
}

/// `google.rpc.Code` of a job's end, and when that was.
fn end_of(row: &JobRow) -> (i32, Timestamp) {
    const CANCELLED: i32 = 1;
    const DEADLINE_EXCEEDED: i32 = 4;
    const FAILED_PRECONDITION: i32 = 9;
    const ABORTED: i32 = 10;
    const UNAVAILABLE: i32 = 14;
    let JobRowState::Completed { at, outcome } = row.state else { return (0, row.queued_at) };
    let code = match outcome {
        Outcome::Reported { code, .. } | Outcome::Failed { code } => code,
        Outcome::Cached => 0,
        Outcome::Cancelled => CANCELLED,
        Outcome::QueueTimeout => UNAVAILABLE,
        Outcome::ExecutionTimeout => DEADLINE_EXCEEDED,
        Outcome::AttemptsExhausted { .. } => ABORTED,
        Outcome::Refused => FAILED_PRECONDITION,
    };
    (code, at)
}

/// Old records of the feeds of all namespaces of work leave.
pub async fn trim(namespaces: &Namespaces, retention: Retention) -> Result<(), EngineError> {
    for (_, book) in namespaces.all() {
        loop {
            let (of, now) = (book.clone(), book.now());
            let old = move || old_records(&**of.store().0, of.store().1, now, retention);
            let old = tokio::task::spawn_blocking(old).await.map_err(|_| EngineError::Stopping)??;
            let Some((below, more)) = old else { break };
            // An error: it was deleted just now, or the server stops.
            let trimmed = book.write_rows(Box::new(move |batch| batch.trim_feed(below))).await;
            if trimmed.is_err() || !more {
                break;
            }
        }
    }
    Ok(())
}

/// The first position that stays, if anything goes, and whether more may go after it.
fn old_records(
    store: &dyn Store,
    partition: PartitionId,
    now: Timestamp,
    retention: Retention,
) -> Result<Option<(u64, bool)>, StoreError> {
    let Some((first, _)) = store.feed(partition, 0, 1)?.pop() else { return Ok(None) };
    let next = store.next_sequence(partition)?;
    let below = first_young(store, partition, first..next, now, retention.feed)?.max(first_within(
        store,
        partition,
        first..next,
        retention.feed_bytes_max,
    )?);
    let step = below.min(first + RECORDS_A_STEP);
    Ok((first < step).then_some((step, step < below)))
}

/// The first position that is not past its time. Times rise with positions: so it is found by halving.
fn first_young(
    store: &dyn Store,
    partition: PartitionId,
    mut within: Range<u64>,
    now: Timestamp,
    keep: Duration,
) -> Result<u64, StoreError> {
    let is_old = |position| -> Result<bool, StoreError> {
        let record = store.feed(partition, position, 1)?.pop();
        Ok(record.and_then(|(_, record)| codec::feed_time(&record)).is_some_and(|at| now.since(at) > keep))
    };
    if !is_old(within.start)? {
        return Ok(within.start);
    }
    while within.start < within.end {
        let middle = within.start + (within.end - within.start) / 2;
        if is_old(middle)? {
            within.start = middle + 1;
        } else {
            within.end = middle;
        }
    }
    Ok(within.end)
}

/// The first position from which on the records fit into so many bytes, judged by the oldest and the newest of them:
/// counting each would mean reading all.
fn first_within(
    store: &dyn Store,
    partition: PartitionId,
    within: Range<u64>,
    bytes_max: u64,
) -> Result<u64, StoreError> {
    let newest = within.end.saturating_sub(RECORDS_SAMPLED as u64);
    let mut sample = store.feed(partition, within.start, RECORDS_SAMPLED)?;
    sample.extend(store.feed(partition, newest, RECORDS_SAMPLED)?);
    let bytes: usize = sample.iter().map(|(_, record)| record.len() + RECORD_OVERHEAD_BYTES).sum();
    let average = (bytes / sample.len().max(1)).max(1) as u64;
    Ok(within.start.max(within.end.saturating_sub(bytes_max / average)))
}

#[cfg(test)]
mod tests {
    use berth_core::{Fact, JobId, LeaseId, SessionId};

    use super::*;
    use crate::{
        memory::{Disk, MemoryStore},
        store::Commit,
    };

    const P: PartitionId = PartitionId(3);
    const HOUR: Duration = Duration::from_secs(3_600);

    /// A record an hour.
    fn store(records: u64) -> MemoryStore {
        let store = MemoryStore::open(&Disk::default());
        let fence = store.acquire(P).unwrap();
        let mut batch = Batch::default();
        for sequence in 1..=records {
            let fact = Fact::LeaseWithdrawn { lease: LeaseId { job: JobId(1), attempt: 1 }, session: SessionId(1) };
            let at = Timestamp(0).after(HOUR * u32::try_from(sequence).unwrap());
            batch.feed(sequence, |out| codec::encode_feed(at, &fact, out));
        }
        assert!(store.commit(&[Commit { fence, batch }])[0].is_ok());
        store
    }

    fn trims(store: &MemoryStore, hours: u32, bytes_max: u64) -> Option<(u64, bool)> {
        let retention = Retention { feed: HOUR * hours, feed_bytes_max: bytes_max, ..Retention::default() };
        old_records(store, P, Timestamp(0).after(HOUR * 100), retention).unwrap()
    }

    #[test]
    fn records_past_their_time_go() {
        let store = store(100);
        assert_eq!(trims(&store, 24, u64::MAX), Some((76, false)));
        assert_eq!(trims(&store, 98, u64::MAX), Some((2, false)));
        assert_eq!(trims(&store, 99, u64::MAX), None);
        assert_eq!(trims(&MemoryStore::open(&Disk::default()), 0, u64::MAX), None);
    }

    #[test]
    fn records_beyond_the_bound_go_the_oldest_first() {
        let store = store(100);
        let records = store.feed(P, 0, 100).unwrap();
        let bytes: usize = records.iter().map(|(_, record)| record.len() + RECORD_OVERHEAD_BYTES).sum();
        let record = bytes as u64 / 100;
        assert_eq!(trims(&store, 1_000, 100 * record), None);
        assert_eq!(trims(&store, 1_000, 10 * record), Some((91, false)));
        assert_eq!(trims(&store, 24, 50 * record), Some((76, false)));
    }

    #[test]
    fn much_goes_in_steps() {
        let store = store(RECORDS_A_STEP + 10);
        assert_eq!(trims(&store, 1_000_000, 1), Some((RECORDS_A_STEP + 1, true)));
    }
}
