//! Start-up: rows of incomplete work into a book. Does not grow with history.

use std::ops::ControlFlow;

use berth_core::{
    Book, Rows, Settings, Timestamp,
    mutant::{Mutant, broken},
};

use crate::{
    codec::{self, CodecError},
    partition::Partition,
    store::{PartitionId, Store, StoreError, Table},
};

/// Why a partition could not be recovered.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row cannot be read: it was written by a newer version, or the disk lied.
    #[error("a row of table `{table}` cannot be read: {source}")]
    Row {
        /// Which table.
        table: &'static str,
        /// What is wrong.
        source: CodecError,
    },
}

/// Reads a partition's incomplete work and goes on from there.
pub fn recover(
    store: &dyn Store,
    partition: PartitionId,
    settings: Settings,
    now: Timestamp,
) -> Result<Partition, RecoverError> {
    let rows = Rows {
        jobs: read(store, partition, Table::Jobs, codec::decode_job)?,
        leases: read(store, partition, Table::Leases, codec::decode_lease)?,
        sessions: read(store, partition, Table::Sessions, codec::decode_session)?,
        drains: read(store, partition, Table::Drains, codec::decode_drain)?,
    };
    let sequence = if broken(Mutant::SequenceRestarts) { 1 } else { store.next_sequence(partition)? };
    Ok(Partition::new(Book::restore(settings, now, rows), sequence))
}

fn read<R>(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    decode: impl Fn(&[u8]) -> Result<R, CodecError>,
) -> Result<Vec<R>, RecoverError> {
    let mut rows = Vec::new();
    let mut broken = None;
    store.scan(partition, table, &[], &mut |_, value| match decode(value) {
        Ok(row) => {
            rows.push(row);
            ControlFlow::Continue(())
        }
        Err(source) => {
            broken = Some(RecoverError::Row { table: table.name(), source });
            ControlFlow::Break(())
        }
    })?;
    match broken {
        Some(error) => Err(error),
        None => Ok(rows),
    }
}
