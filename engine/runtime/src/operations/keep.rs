//! Rows of the orders, written and deleted in the batch of the rows that they point to.

use berth_core::{InstanceName, JobId, JobRow, JobRowState, OperationId};
use prost::Message;

use super::index::{Index, Value, cut};
use crate::{
    codec,
    store::{Batch, Table},
};

/// A row of an order: where it is and its key.
pub(crate) type Entry = (Table, Vec<u8>);

/// `build.bazel.remote.execution.v2.RequestMetadata`, with the field that is read here.
#[derive(Clone, PartialEq, Message)]
struct Invocation {
    #[prost(string, tag = "3")]
    tool_invocation_id: String,
}

/// Writes the rows of an operation's invocation: when its handle is made.
pub(crate) fn put_invocation(
    operation: OperationId,
    job: JobId,
    instance: &InstanceName,
    request_metadata: &[u8],
    batch: &mut Batch,
) {
    put(invocation(operation, instance, request_metadata), operation, job, batch);
}

/// Writes the rows of the handles of a job that is over.
pub(crate) fn put_finished(row: &JobRow, batch: &mut Batch) {
    row.operations.iter().filter(|handle| !handle.deleted).for_each(|handle| put_handle(row, handle.operation, batch));
}

/// Writes the rows of one of them.
pub(crate) fn put_handle(row: &JobRow, operation: OperationId, batch: &mut Batch) {
    for entry in finished(row, operation).into_iter().flatten() {
        put(entry, operation, row.job, batch);
    }
}

/// All rows of an operation: `row` is its job's if that is over, `request_metadata` is that of its own row.
pub(crate) fn entries_of(
    operation: OperationId,
    instance: &InstanceName,
    request_metadata: &[u8],
    row: Option<&JobRow>,
) -> Vec<Entry> {
    let mut entries = vec![invocation(operation, instance, request_metadata)];
    entries.extend(row.and_then(|row| finished(row, operation)).into_iter().flatten());
    entries
}

pub(crate) fn delete_entries(entries: &[Entry], batch: &mut Batch) {
    for (table, key) in entries {
        batch.delete(*table, key);
    }
}

fn invocation(operation: OperationId, instance: &InstanceName, request_metadata: &[u8]) -> Entry {
    // What cannot be read counts as what was not sent.
    let metadata = Invocation::decode(request_metadata).unwrap_or_default();
    let index = Index::Invocation;
    (index.table(), index.key(instance, Value::Text(cut(&metadata.tool_invocation_id)), operation))
}

fn finished(row: &JobRow, operation: OperationId) -> Option<[Entry; 4]> {
    let handle = row.operations.iter().find(|handle| handle.operation == operation)?;
    let JobRowState::Completed { at, .. } = row.state else { return None };
    let entry = |index: Index, value| (index.table(), index.key(&row.instance, value, operation));
    Some([
        entry(Index::Queued, Value::Time(Some(row.queued_at))),
        entry(Index::Started, Value::Time(row.started_at)),
        entry(Index::Completed, Value::Time(Some(handle.cancelled.unwrap_or(at)))),
        entry(Index::Action, Value::Action(&row.action)),
    ])
}

fn put((table, key): Entry, operation: OperationId, job: JobId, batch: &mut Batch) {
    batch.put(table, &key, |out| {
        if job.0 != operation.0 {
            out.extend(codec::id_key(job.0));
        }
    });
}
