//! The orders against a sorted list, in every order of a walk and in chunks of every size.

use berth_core::{Digest, InstanceName, JobId, LaneKey, OperationId, OperationRow, Outcome, Timestamp};

use super::{index::group_around, *};
use crate::{
    codec,
    history::History,
    memory::{Disk, MemoryStore},
    store::{Batch, Commit, Fence, PartitionId, Store, Table},
};
use berth_core::{JobRow, JobRowState};
use berth_proto::{reapi::RequestMetadata, store as pb};
use prost::Message;
use std::{ops::ControlFlow, sync::Arc};

const P: PartitionId = PartitionId(3);

/// Job `n` of an instance: every third one never began, and each value of a time is shared by three.
fn job(n: u64, instance: &str) -> JobRow {
    JobRow {
        job: JobId(u128::from(n)),
        instance: InstanceName::from(instance),
        action: Digest { hash: [(n % 2) as u8; 32], size_bytes: 9 + n % 3 },
        do_not_cache: false,
        requirements: Default::default(),
        preferred: None,
        label: "".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        age: n,
        queued_at: Timestamp(n / 3),
        queue_timeout: None,
        execution_timeout: None,
        offers: 1,
        attempts_used: 0,
        operations: vec![OperationRow { operation: OperationId(u128::from(n)), cancelled: None, deleted: false }],
        again: None,
        setbacks: None,
        past: Vec::new(),
        started_at: (!n.is_multiple_of(3)).then_some(Timestamp(100 + n / 5)),
        state: JobRowState::Completed { at: Timestamp(1_000 - n), outcome: Outcome::Cached },
    }
}

fn metadata(n: u64) -> Vec<u8> {
    let texts = ["", "a", "a\0", "a\0b", "b"];
    RequestMetadata { tool_invocation_id: texts[n as usize % texts.len()].into(), ..Default::default() }.encode_to_vec()
}

fn put_rows(row: &JobRow, batch: &mut Batch) {
    batch.put(Table::FinishedJobs, &codec::id_key(row.job.0), |out| codec::encode_job(row, out));
    let operation = pb::Operation {
        job: codec::id(row.job.0),
        instance: row.instance.to_string(),
        request_metadata: metadata(row.job.0 as u64).into(),
        ..Default::default()
    };
    batch.put(Table::Operations, &codec::id_key(row.job.0), |out| operation.encode(out).unwrap());
}

fn filled() -> (Arc<MemoryStore>, Fence, Vec<JobRow>) {
    let store = Arc::new(MemoryStore::open(&Disk::default()));
    let fence = store.acquire(P).unwrap();
    let rows: Vec<_> = (1..40).map(|n| job(n, "main")).chain((40..50).map(|n| job(n, "mai"))).collect();
    let mut batch = Batch::default();
    for row in &rows {
        put_rows(row, &mut batch);
        put_finished(row, &mut batch);
        put_invocation(OperationId(row.job.0), row.job, &row.instance, &metadata(row.job.0 as u64), &mut batch);
    }
    store.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    (store, fence, rows)
}

async fn walked(history: &History, index: Index, order: Order, limit: usize) -> Vec<u128> {
    let instance = InstanceName::from("main");
    let mut walk = Walk { index, range: index.all(&instance), instance, order, after: None };
    let mut seen = Vec::new();
    loop {
        let chunk = history.walk(walk.clone(), limit, Need::default()).await.unwrap();
        seen.extend(chunk.operations.iter().map(|listed| listed.view.operation.0));
        let Some(next) = chunk.next else { return seen };
        walk.after = Some(next);
    }
}

/// A value whose order is that of the index.
fn value(index: Index, row: &JobRow) -> (u64, String) {
    let number = |number: u64| (number, String::new());
    match index {
        Index::Name => number(0),
        Index::Queued => number(row.queued_at.0),
        Index::Started => number(row.started_at.map_or(u64::MAX, |at| at.0)),
        Index::Completed => match row.state {
            JobRowState::Completed { at, .. } => number(at.0),
            _ => unreachable!("all are over"),
        },
        Index::Action => (0, row.action.to_string()),
        Index::Invocation => (0, RequestMetadata::decode(&*metadata(row.job.0 as u64)).unwrap().tool_invocation_id),
    }
}

#[tokio::test]
async fn every_order_is_walked_as_a_sort_would_have_it_whatever_the_chunks() {
    let (store, _, rows) = filled();
    let history = History::new(store, P);
    let indexes = [Index::Name, Index::Queued, Index::Started, Index::Completed, Index::Action, Index::Invocation];
    for index in indexes {
        let mut values: Vec<_> = rows.iter().filter(|row| &*row.instance.0 == "main").collect();
        for order in [Order::Forward, Order::Backward, Order::ForwardNamesBackward, Order::BackwardNamesForward] {
            let (backward, names_backward) = match order {
                Order::Forward => (false, false),
                Order::Backward => (true, true),
                Order::ForwardNamesBackward => (false, true),
                Order::BackwardNamesForward => (true, false),
            };
            values.sort_by(|a, b| {
                let by_value = value(index, a).cmp(&value(index, b));
                let by_name = a.job.cmp(&b.job);
                let by_value = if backward { by_value.reverse() } else { by_value };
                by_value.then(if names_backward { by_name.reverse() } else { by_name })
            });
            let is_walkable = index != Index::Name || backward == names_backward;
            for limit in [1, 2, 3, 4, 7, 100] {
                if is_walkable {
                    let expected: Vec<_> = values.iter().map(|row| row.job.0).collect();
                    assert_eq!(walked(&history, index, order, limit).await, expected, "{index:?} {order:?} {limit}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_group_has_the_operations_of_one_value_and_of_one_instance() {
    let (store, _, rows) = filled();
    let history = History::new(store, P);
    let main = InstanceName::from("main");
    let of = |value: Value<'_>, index: Index| index.group(&main, value);
    let count = async |index, range| history.count(index, range, 1_000).await.unwrap();
    let main_rows = || rows.iter().filter(|row| row.instance == main);
    let started = main_rows().filter(|row| row.started_at.is_none()).count();
    assert_eq!(count(Index::Started, of(Value::Time(None), Index::Started)).await, started);
    let a = main_rows().filter(|row| value(Index::Invocation, row).1 == "a").count();
    assert_eq!(count(Index::Invocation, of(Value::Text("a"), Index::Invocation)).await, a);
    let action = Digest { hash: [1; 32], size_bytes: 10 };
    let same = main_rows().filter(|row| row.action == action).count();
    assert!(same > 0);
    assert_eq!(count(Index::Action, of(Value::Action(&action), Index::Action)).await, same);
    let key = Index::Action.key(&main, Value::Action(&action), OperationId(5));
    assert_eq!(group_around(&key), of(Value::Action(&action), Index::Action));
}

fn all_rows(store: &MemoryStore) -> Vec<(Table, Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    for index in [Index::Queued, Index::Started, Index::Completed, Index::Action, Index::Invocation] {
        let visit = &mut |key: &[u8], value: &[u8]| {
            rows.push((index.table(), key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        };
        store.scan(P, index.table(), &[], visit).unwrap();
    }
    rows
}

#[test]
fn the_orders_of_an_older_store_are_made_once_and_are_the_same() {
    let (store, _, rows) = filled();
    let older = MemoryStore::open(&Disk::default());
    let fence = older.acquire(P).unwrap();
    let mut batch = Batch::default();
    rows.iter().for_each(|row| put_rows(row, &mut batch));
    older.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    ensure(&older, &fence).unwrap();
    assert_eq!(all_rows(&older), all_rows(&store));

    // Made once: what is missing afterwards is not looked for.
    let mut batch = Batch::default();
    batch.delete_range(Table::FinishedByQueued, &[], &[0xff]);
    older.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    ensure(&older, &fence).unwrap();
    assert!(all_rows(&older).iter().all(|(table, ..)| *table != Table::FinishedByQueued));
}

#[test]
fn everything_that_was_written_of_an_operation_is_deleted_with_it() {
    let (store, fence, rows) = filled();
    let mut batch = Batch::default();
    for row in &rows {
        let metadata = metadata(row.job.0 as u64);
        let operation = OperationId(row.job.0);
        let over = handle_of(row, operation).map(|handle| (row, handle));
        delete_entries(&entries_of(operation, &row.instance, &metadata, over), &mut batch);
    }
    store.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    assert_eq!(all_rows(&store), []);
}
