//! Retention: finished operations and old feed records leave, a bounded step at a time.

use std::{
    ops::{ControlFlow, Range},
    time::Duration,
};

use berth_core::Timestamp;

use crate::{
    Engine, EngineError, codec,
    partition::RowsFn,
    store::{Batch, PartitionId, Store, StoreError, Table},
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

/// Jobs that one step deletes.
const JOBS_A_STEP: usize = 256;

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
        let step = tokio::task::spawn_blocking(move || plan(&*store, partition, now, retention)).await;
        let Some((jobs, more, rows)) = step.map_err(|_| EngineError::Stopping)?? else { return Ok(swept) };
        swept += jobs;
        // Durable when it returns: the next look would find the rows again.
        engine.write_rows(rows).await?;
        if !more {
            return Ok(swept);
        }
    }
}

type Step = Option<(usize, bool, RowsFn)>;

fn plan(store: &dyn Store, partition: PartitionId, now: Timestamp, retention: Retention) -> Result<Step, StoreError> {
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
    let handles: Vec<_> = rows
        .into_iter()
        .flatten()
        .filter_map(|bytes| codec::decode_job(&bytes).ok())
        .flat_map(|row| row.operations)
        .map(|handle| handle.operation)
        .collect();
    let trim = old_records(store, partition, now, retention)?;
    if due.is_empty() && trim.is_none() {
        return Ok(None);
    }
    let (jobs, more) = (due.len(), due.len() == JOBS_A_STEP || trim.is_some_and(|(_, more)| more));
    let rows = move |batch: &mut Batch| {
        for (at, job) in due {
            let key = codec::id_key(job.0);
            batch.delete(Table::FinishedByTime, &codec::finished_key(at, job));
            batch.delete(Table::FinishedJobs, &key);
            batch.delete(Table::Bodies, &key);
            batch.delete(Table::Results, &key);
        }
        for operation in handles {
            batch.delete(Table::Operations, &codec::id_key(operation.0));
        }
        if let Some((below, _)) = trim {
            batch.trim_feed(below);
        }
    };
    Ok(Some((jobs, more, Box::new(rows))))
}

/// The first position that stays, if anything goes, and whether more goes after it.
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
    use berth_core::{Fact, JobId, LeaseId};

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
            let fact = Fact::LeaseWithdrawn { lease: LeaseId { job: JobId(1), attempt: 1 } };
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
