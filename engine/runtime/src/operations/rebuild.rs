//! The orders of a store that a version without them wrote: made once, before it is served, and resumed if that is cut
//! short.

use std::ops::ControlFlow;

use berth_core::{InstanceName, JobId, OperationId};
use berth_proto::store as pb;
use prost::Message;

use super::keep::{handle_of, put_handle, put_invocation};
use crate::{
    codec,
    history::broken,
    store::{Batch, Commit, Fence, Store, StoreError, Table},
};

/// Row of `Table::Meta`: the version of the orders once they are whole; before that, a zero and the last operation whose
/// rows are there.
const MARK: &[u8] = b"orders of operations";

const VERSION: u8 = 1;

/// Operations of one commit.
const OPERATIONS_A_STEP: usize = 4_096;

/// After so many operations the log is told how far it is.
const OPERATIONS_A_WORD: usize = 50 * OPERATIONS_A_STEP;

/// Makes the orders whole; nothing to do for a store that has them.
pub(crate) fn ensure(store: &dyn Store, fence: &Fence) -> Result<(), StoreError> {
    let mark = store.get(fence.partition, Table::Meta, &[MARK])?.pop().flatten().unwrap_or_default();
    let mut after = match mark.first() {
        Some(&VERSION) => return Ok(()),
        _ => mark.get(1..).unwrap_or_default().to_vec(),
    };
    let mut done = 0;
    loop {
        let mut batch = Batch::default();
        let last = step(store, fence, &after, &mut batch)?;
        batch.put(Table::Meta, MARK, |out| match &last {
            Some(last) => {
                out.push(0);
                out.extend(last);
            }
            None => out.push(VERSION),
        });
        store.commit(&[Commit { fence: *fence, batch }]).pop().expect("a commit is answered")?;
        done += OPERATIONS_A_STEP;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
        if done.is_multiple_of(OPERATIONS_A_WORD) {
            tracing::info!(operations = done, "orders of finished operations are being made, once, for lists");
        }
    }
}

/// Adds the rows of the operations that follow, and answers with the last of them if there are more.
fn step(store: &dyn Store, fence: &Fence, after: &[u8], batch: &mut Batch) -> Result<Option<Vec<u8>>, StoreError> {
    let partition = fence.partition;
    let (mut operations, mut bad) = (Vec::new(), None);
    let from = if after.is_empty() { Vec::new() } else { [after, &[0]].concat() };
    store.range(partition, Table::Operations, &from[..]..&[0xff; 17][..], false, &mut |key, value| {
        let row = pb::Operation::decode(value).map_err(|error| error.to_string());
        match row.and_then(|row| Ok((codec::job_id(row.job).map_err(|error| error.to_string())?, row))) {
            Ok((job, row)) => operations.push((key.to_vec(), job, row)),
            Err(error) => bad = Some(error),
        }
        let goes_on = operations.len() < OPERATIONS_A_STEP && bad.is_none();
        if goes_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    if let Some(error) = bad {
        return Err(broken(Table::Operations, &error));
    }
    let keys: Vec<_> = operations.iter().map(|(_, job, _)| codec::id_key(job.0)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let jobs = store.get(partition, Table::FinishedJobs, &keys)?;
    for ((key, job, row), finished) in operations.iter().zip(jobs) {
        let operation = codec::key_id(key).ok_or_else(|| broken(Table::Operations, &"a key is no id"))?;
        add(OperationId(operation), *job, row, finished.as_deref(), batch)?;
    }
    let is_full = operations.len() == OPERATIONS_A_STEP;
    Ok(operations.pop().filter(|_| is_full).map(|(key, ..)| key))
}

fn add(
    operation: OperationId,
    job: JobId,
    row: &pb::Operation,
    finished: Option<&[u8]>,
    batch: &mut Batch,
) -> Result<(), StoreError> {
    let instance = InstanceName(row.instance.as_str().into());
    put_invocation(operation, job, &instance, &row.request_metadata, batch);
    if let Some(bytes) = finished {
        let job = codec::decode_job(bytes).map_err(|error| broken(Table::FinishedJobs, &error))?;
        if let Some(handle) = handle_of(&job, operation) {
            put_handle(&job, handle, batch);
        }
    }
    Ok(())
}
