//! Walks over an order, a bounded chunk at a time, with what the rows point to.

use std::{
    ops::{ControlFlow, Range},
    sync::Arc,
};

use berth_core::{InstanceName, JobId, OperationId, OperationView};
use berth_proto::store as pb;
use prost::Message;

use super::index::{Index, group_around, operation_of, value_part};
use crate::{
    codec,
    history::{History, blocking, broken},
    store::{PartitionId, Store, StoreError, Table},
};

/// In which order the rows of a range come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// In the order of keys.
    Forward,
    /// Against it.
    Backward,
    /// Values in their order, and operations of one value against theirs.
    ForwardNamesBackward,
    /// Values against their order, and operations of one value in theirs.
    BackwardNamesForward,
}

/// A walk over finished operations. Between two chunks of it others may begin and end.
#[derive(Clone, Debug)]
pub struct Walk {
    /// Which order.
    pub index: Index,
    /// Which instance.
    pub instance: InstanceName,
    /// Keys of the order, as [`Index::all`] and [`Index::group`] make them.
    pub range: Range<Vec<u8>>,
    /// In which order they come.
    pub order: Order,
    /// The last key of the chunk before: what follows it comes now.
    pub after: Option<Vec<u8>>,
}

/// What is read beside the rows of jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// The operation's own row: request metadata, client, priority.
    pub operation: bool,
    /// The job's body: command line, platform.
    pub body: bool,
}

/// What is stored of an operation beside its state; empty where it was not asked for.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// Its own row.
    pub operation: pb::Operation,
    /// What its job runs.
    pub body: Arc<pb::JobBody>,
}

/// An operation of a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// How it stands.
    pub view: OperationView,
    /// What is stored of it.
    pub stored: Stored,
}

/// Some of the operations of a walk.
#[derive(Clone, Debug)]
pub struct Chunk {
    /// Finished ones, in the order of the walk. There may be none though the walk goes on.
    pub operations: Vec<Listed>,
    /// Where the walk goes on; `None`: it is at its end.
    pub next: Option<Vec<u8>>,
}

/// A row of an order.
struct Found {
    key: Vec<u8>,
    operation: OperationId,
    job: JobId,
}

impl History {
    /// How many rows a range of an order has; stops counting at `limit`.
    pub async fn count(&self, index: Index, range: Range<Vec<u8>>, limit: usize) -> Result<usize, StoreError> {
        let (store, partition) = (self.store().clone(), self.partition());
        blocking(move || {
            let mut count = 0;
            store.range(partition, index.table(), &range.start[..]..&range.end[..], false, &mut |_, _| {
                count += 1;
                if count < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            })?;
            Ok(count)
        })
        .await
    }

    /// The next rows of a walk, `limit` at most, and what they point to.
    pub async fn walk(&self, walk: Walk, limit: usize, need: Need) -> Result<Chunk, StoreError> {
        let (store, partition) = (self.store().clone(), self.partition());
        blocking(move || {
            let found = rows(&*store, partition, &walk, limit)?;
            let next = (found.len() == limit).then(|| found[limit - 1].key.clone());
            let operations = finished(&*store, partition, &walk.instance, &found, need)?;
            Ok(Chunk { operations, next })
        })
        .await
    }

    /// What is stored of operations, in the order asked.
    pub async fn stored(&self, operations: Vec<(OperationId, JobId)>, need: Need) -> Result<Vec<Stored>, StoreError> {
        let (store, partition) = (self.store().clone(), self.partition());
        blocking(move || read_stored(&*store, partition, &operations, need)).await
    }
}

fn rows(store: &dyn Store, partition: PartitionId, walk: &Walk, limit: usize) -> Result<Vec<Found>, StoreError> {
    let range = |range: Range<Vec<u8>>, backward: bool, limit: usize| {
        page(store, partition, walk.index, range, backward, limit)
    };
    let Range { start, end } = walk.range.clone();
    let after = walk.after.as_ref().map(|after| after.clamp(&start, &end).clone());
    let (backward, after) = match (walk.order, after) {
        (Order::Forward, after) => return range(after.map_or(start, |key| next_key(&key))..end, false, limit),
        (Order::Backward, after) => return range(start..after.unwrap_or(end), true, limit),
        (Order::ForwardNamesBackward, after) => (false, after),
        (Order::BackwardNamesForward, after) => (true, after),
    };
    let within = |group: Range<Vec<u8>>| group.start.max(start.clone())..group.end.min(end.clone());
    let mut found = Vec::new();
    let mut rest = start.clone()..end.clone();
    if let Some(after) = after {
        // The group that was begun first.
        let group = within(group_around(&after));
        rest = if backward { start.clone()..group.start.clone() } else { group.end.clone()..end.clone() };
        let left = if backward { next_key(&after)..group.end } else { group.start..after };
        found = range(left, !backward, limit)?;
    }
    let room = limit - found.len();
    if room == 0 {
        return Ok(found);
    }
    let more = range(rest, backward, room)?;
    let is_all = more.len() < room;
    let mut groups: Vec<Vec<Found>> = Vec::new();
    for row in more {
        match groups.last_mut() {
            Some(group) if value_part(&group[0].key) == value_part(&row.key) => group.push(row),
            _ => groups.push(vec![row]),
        }
    }
    // The last group may go on behind the chunk: its other end comes first.
    if !is_all && let Some(last) = groups.pop() {
        let room = last.len();
        groups.push({
            let mut other_end = range(within(group_around(&last[0].key)), !backward, room)?;
            other_end.reverse();
            other_end
        });
    }
    found.extend(groups.into_iter().flat_map(|group| group.into_iter().rev()));
    Ok(found)
}

fn page(
    store: &dyn Store,
    partition: PartitionId,
    index: Index,
    range: Range<Vec<u8>>,
    backward: bool,
    limit: usize,
) -> Result<Vec<Found>, StoreError> {
    let mut found = Vec::new();
    let mut bad = None;
    store.range(partition, index.table(), &range.start[..]..&range.end[..], backward, &mut |key, value| {
        match (operation_of(key), job_of(index, key, value)) {
            (Some(operation), Ok(job)) => found.push(Found { key: key.to_vec(), operation, job }),
            (None, _) => bad = Some("a key names no operation".to_owned()),
            (_, Err(error)) => bad = Some(error),
        }
        if found.len() < limit && bad.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    match bad {
        Some(problem) => Err(broken(index.table(), &problem)),
        None => Ok(found),
    }
}

fn job_of(index: Index, key: &[u8], value: &[u8]) -> Result<JobId, String> {
    if index == Index::Name {
        let row = pb::Operation::decode(value).map_err(|error| error.to_string())?;
        return codec::job_id(row.job).map_err(|error| error.to_string());
    }
    let id = if value.is_empty() { operation_of(key).map(|operation| operation.0) } else { codec::key_id(value) };
    id.map(JobId).ok_or_else(|| "a value names no job".to_owned())
}

/// Those whose job is over. A row may point to a job that is not: then the book has the operation.
fn finished(
    store: &dyn Store,
    partition: PartitionId,
    instance: &InstanceName,
    found: &[Found],
    need: Need,
) -> Result<Vec<Listed>, StoreError> {
    let keys: Vec<_> = found.iter().map(|row| codec::id_key(row.job.0)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
    let jobs = store.get(partition, Table::FinishedJobs, &keys)?;
    let mut views = Vec::with_capacity(found.len());
    for (row, job) in found.iter().zip(jobs) {
        let Some(job) = job else { continue };
        let view = codec::decode_ended(&job, row.operation);
        let view = view.map_err(|error| broken(Table::FinishedJobs, &error))?;
        views.extend(view.filter(|view| view.instance == *instance));
    }
    let operations: Vec<_> = views.iter().map(|view| (view.operation, view.job)).collect();
    let stored = read_stored(store, partition, &operations, need)?;
    Ok(views.into_iter().zip(stored).map(|(view, stored)| Listed { view, stored }).collect())
}

fn read_stored(
    store: &dyn Store,
    partition: PartitionId,
    operations: &[(OperationId, JobId)],
    need: Need,
) -> Result<Vec<Stored>, StoreError> {
    let mut stored = vec![Stored::default(); operations.len()];
    if need.operation {
        let keys: Vec<_> = operations.iter().map(|(operation, _)| codec::id_key(operation.0)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        for (stored, bytes) in stored.iter_mut().zip(store.get(partition, Table::Operations, &keys)?) {
            let Some(bytes) = bytes else { continue };
            stored.operation = pb::Operation::decode(bytes).map_err(|error| broken(Table::Operations, &error))?;
        }
    }
    if need.body {
        let keys: Vec<_> = operations.iter().map(|(_, job)| codec::id_key(job.0)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
        for (stored, bytes) in stored.iter_mut().zip(store.get(partition, Table::Bodies, &keys)?) {
            let Some(bytes) = bytes else { continue };
            stored.body = Arc::new(pb::JobBody::decode(bytes).map_err(|error| broken(Table::Bodies, &error))?);
        }
    }
    Ok(stored)
}

/// The least key that is greater.
fn next_key(key: &[u8]) -> Vec<u8> {
    [key, &[0]].concat()
}
