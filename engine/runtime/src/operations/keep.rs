//! Rows of the orders, written and deleted in the batch of the rows that they point to.

use berth_core::{InstanceName, JobId, JobRow, JobRowState, OperationId, OperationRow};
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
    row.operations.iter().filter(|handle| !handle.deleted).for_each(|handle| put_handle(row, handle, batch));
}

/// Writes the rows of one of them.
pub(crate) fn put_handle(row: &JobRow, handle: &OperationRow, batch: &mut Batch) {
    for entry in finished(row, handle).into_iter().flatten() {
        put(entry, handle.operation, row.job, batch);
    }
}

/// All rows of an operation: with its job and its handle if the job is over; `request_metadata` is that of its own row.
pub(crate) fn entries_of(
    operation: OperationId,
    instance: &InstanceName,
    request_metadata: &[u8],
    over: Option<(&JobRow, &OperationRow)>,
) -> Vec<Entry> {
    let mut entries = vec![invocation(operation, instance, request_metadata)];
    entries.extend(over.and_then(|(row, handle)| finished(row, handle)).into_iter().flatten());
    entries
}

/// The handle of a job that an operation is.
pub(crate) fn handle_of(row: &JobRow, operation: OperationId) -> Option<&OperationRow> {
    row.operations.iter().find(|handle| handle.operation == operation)
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

fn finished(row: &JobRow, handle: &OperationRow) -> Option<[Entry; 4]> {
    let JobRowState::Completed { at, .. } = row.state else { return None };
    let entry = |index: Index, value| (index.table(), index.key(&row.instance, value, handle.operation));
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
