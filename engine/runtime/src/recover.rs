//! Start-up: rows of incomplete work into a book. Does not grow with history, and serves before all of it is read.
//!
//! Sessions, drains, pauses, leases and leased jobs are restored at once. One pass over the other jobs ([`heads`]) reads only
//! what decides their order; those that go first are restored, the rest is read by the [`Loader`] while bots are served.
//! What that means for the rules is said in `berth-core`, `execution/load.rs`.

mod heads;
mod loader;

use std::ops::ControlFlow;

use berth_core::{
    Book, Rows, Settings, Timestamp,
    mutant::{Mutant, broken},
};

use self::heads::Heads;
pub use self::{heads::Limits, loader::Loader};
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

/// Reads as much of a partition's incomplete work as it takes to serve bots. The loader reads the rest; `None`: that
/// was all.
pub fn recover(
    store: &dyn Store,
    partition: PartitionId,
    settings: Settings,
    now: Timestamp,
    limits: Limits,
) -> Result<(Partition, Option<Loader>), RecoverError> {
    let mut leases = read(store, partition, Table::Leases, codec::decode_lease)?;
    if broken(Mutant::LeasedNotFirst) {
        leases.clear();
    }
    let sessions = read(store, partition, Table::Sessions, codec::decode_session)?;
    let drains = read(store, partition, Table::Drains, codec::decode_drain)?;
    let pauses = read(store, partition, Table::Pauses, codec::decode_pause)?;
    let quarantines = read(store, partition, Table::Quarantines, codec::decode_quarantine)?;
    let cool_downs = read(store, partition, Table::CoolDowns, codec::decode_cool_down)?;
    let set_limits = read(store, partition, Table::Limits, codec::decode_limit)?;
    let sequence = if broken(Mutant::SequenceRestarts) { 1 } else { store.next_sequence(partition)? };
    let mut heads = Heads::new(limits, leases.iter().map(|row| row.lease.job));
    scan(store, partition, Table::Jobs, |key, value| heads.look(key, value))?;
    let (jobs, hidden) = heads.finish().map_err(|source| RecoverError::Row { table: Table::Jobs.name(), source })?;
    let rows = Rows { jobs, leases, sessions, drains, pauses, quarantines, cool_downs, limits: set_limits };
    Ok(match hidden {
        None => (Partition::new(Book::restore(settings, now, rows), sequence), None),
        Some(hidden) => {
            let book = Book::restore_partly(settings, now, rows, hidden);
            (Partition::new(book, sequence), Some(Loader::new(partition)))
        }
    })
}

fn read<R>(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    decode: impl Fn(&[u8]) -> Result<R, CodecError>,
) -> Result<Vec<R>, RecoverError> {
    let mut rows = Vec::new();
    scan(store, partition, table, |_, value| {
        rows.push(decode(value)?);
        Ok(())
    })?;
    Ok(rows)
}

/// Visits a whole table, up to the first row that cannot be read.
fn scan(
    store: &dyn Store,
    partition: PartitionId,
    table: Table,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), CodecError>,
) -> Result<(), RecoverError> {
    let mut unreadable = None;
    store.scan(partition, table, &[], &mut |key, value| match visit(key, value) {
        Ok(()) => ControlFlow::Continue(()),
        Err(source) => {
            unreadable = Some(RecoverError::Row { table: table.name(), source });
            ControlFlow::Break(())
        }
    })?;
    unreadable.map_or(Ok(()), Err)
}
