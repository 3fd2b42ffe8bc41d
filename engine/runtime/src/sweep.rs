//! Retention: finished operations and old feed records leave, a bounded step at a time.

use std::{ops::ControlFlow, time::Duration};

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
}

impl Default for Retention {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { finished: day, feed: day }
    }
}

/// Jobs that one step deletes.
const JOBS_A_STEP: usize = 256;

/// Feed records that one step looks at.
const RECORDS_A_STEP: usize = 1_024;

/// Deletes what is past its time, step by step between other batches, and answers how many jobs went.
pub async fn sweep(engine: &Engine, retention: Retention) -> Result<usize, EngineError> {
    let mut swept = 0;
    loop {
        let (store, partition) = (engine.history().store().clone(), engine.history().partition());
        let now = engine.now();
        let step = tokio::task::spawn_blocking(move || plan(&*store, partition, now, retention)).await;
        let Some((jobs, more, rows)) = step.map_err(|_| EngineError::Stopping)?? else { return Ok(swept) };
        swept += jobs;
        engine.write_rows(rows).await?;
        if !more {
            return Ok(swept);
        }
        // The rows must be gone before the next look, or it would find them again.
        engine.read(|_| ()).await?;
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
    let (trim, more_feed) = old_records(store, partition, now, retention.feed)?;
    if due.is_empty() && trim.is_none() {
        return Ok(None);
    }
    let (jobs, more) = (due.len(), due.len() == JOBS_A_STEP || more_feed);
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
        if let Some(below) = trim {
            batch.trim_feed(below);
        }
    };
    Ok(Some((jobs, more, Box::new(rows))))
}

/// The first position that stays, if anything goes, and whether more may go after it.
fn old_records(
    store: &dyn Store,
    partition: PartitionId,
    now: Timestamp,
    keep: Duration,
) -> Result<(Option<u64>, bool), StoreError> {
    let records = store.feed(partition, 0, RECORDS_A_STEP)?;
    let old = |record: &bytes::Bytes| codec::decode_feed(record).is_ok_and(|(at, _)| now.since(at) > keep);
    let gone = records.iter().take_while(|(_, record)| old(record)).count();
    let below = gone.checked_sub(1).map(|last| records[last].0 + 1);
    Ok((below, gone == RECORDS_A_STEP))
}
