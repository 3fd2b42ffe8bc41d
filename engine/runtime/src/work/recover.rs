//! Start-up: the rows of a namespace into a book.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc};

use berth_core::{
    Timestamp,
    work::{Outputs, Restoring, Rules, UnitRow, UnitStanding},
};
use bytes::Bytes;

use super::{codec, partition::WorkPartition};
use crate::{
    codec::CodecError,
    recover::RecoverError,
    store::{PartitionId, Store, Table},
};

/// Units that are read at a time: their two rows stand in two tables, and those of a chunk are brought together.
const UNITS_A_CHUNK: usize = 4_096;

/// Reads a namespace. With `locks_durable` off, locks that were kept before are dropped.
pub fn recover(
    store: &dyn Store,
    partition: PartitionId,
    rules: Rules,
    outputs: Arc<dyn Outputs>,
    locks_durable: bool,
    now: Timestamp,
) -> Result<WorkPartition, RecoverError> {
    let mut restoring = Restoring::new(rules, outputs, now);
    scan(store, partition, Table::WorkSpecs, &[], |key, value| {
        restoring.spec(codec::decode_spec(key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut from = Some(Vec::new());
    while let Some(start) = from {
        from = units(store, partition, &start, &mut restoring)?;
    }
    scan(store, partition, Table::Workers, &[], |key, value| {
        restoring.worker(codec::decode_worker(key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    if locks_durable {
        scan(store, partition, Table::WorkLocks, &[], |_, value| {
            restoring.lock(codec::decode_lock(value)?);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    scan(store, partition, Table::WorkReceipts, &[], |key, value| {
        restoring.receipt(&codec::decode_receipt(key, value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(WorkPartition::new(restoring.finish(), locks_durable))
}

/// A chunk of units; answers where the next begins.
fn units(
    store: &dyn Store,
    partition: PartitionId,
    start: &[u8],
    restoring: &mut Restoring,
) -> Result<Option<Vec<u8>>, RecoverError> {
    let mut bodies = Vec::with_capacity(UNITS_A_CHUNK);
    scan(store, partition, Table::WorkUnits, start, |key, value| {
        bodies.push((Bytes::copy_from_slice(key), codec::decode_body(value)?));
        Ok(if bodies.len() < UNITS_A_CHUNK { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let Some((last, _)) = bodies.last() else { return Ok(None) };
    let mut next = last.to_vec();
    next.push(0);
    let mut standings: BTreeMap<Bytes, UnitStanding> = BTreeMap::new();
    scan(store, partition, Table::WorkStates, start, |key, value| {
        if key >= &next[..] {
            return Ok(ControlFlow::Break(()));
        }
        standings.insert(Bytes::copy_from_slice(key), codec::decode_standing(value)?);
        Ok(ControlFlow::Continue(()))
    })?;
    let more = bodies.len() == UNITS_A_CHUNK;
    for (key, body) in bodies {
        let standing = standings.remove(&key);
        let (spec, key) = codec::read_unit_key(&key).map_err(|source| unreadable(Table::WorkUnits, source))?;
        if !restoring.unit(spec, key, UnitRow { body, standing }) {
            return Err(unreadable(Table::WorkUnits, CodecError::Field("spec")));
        }
    }
    Ok(more.then_some(next))
}

fn scan(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    from: &[u8],
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, CodecError>,
) -> Result<(), RecoverError> {
    let mut bad = None;
    store.scan(partition, table, from, &mut |key, value| {
        visit(key, value).unwrap_or_else(|source| {
            bad = Some(unreadable(table, source));
            ControlFlow::Break(())
        })
    })?;
    bad.map_or(Ok(()), Err)
}

fn unreadable(table: Table, source: CodecError) -> RecoverError {
    RecoverError::Row { table: table.name(), source }
}
