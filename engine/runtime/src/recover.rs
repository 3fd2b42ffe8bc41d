//! Start-up: rows of incomplete work into a book. Does not grow with history.

use std::{ops::ControlFlow, sync::mpsc, thread};

use berth_core::{
    Book, JobRow, Rows, Settings, Timestamp,
    mutant::{Mutant, broken},
};

use crate::{
    codec::{self, CodecError},
    partition::Partition,
    store::{PartitionId, Store, StoreError, Table},
};

/// Job rows that travel together, and how many such bundles may wait: the reader stays a little ahead.
const CHUNK_ROWS: usize = 512;
const CHUNKS_MAX: usize = 8;

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
        jobs: Vec::new(),
        leases: read(store, partition, Table::Leases, codec::decode_lease)?,
        sessions: read(store, partition, Table::Sessions, codec::decode_session)?,
        drains: read(store, partition, Table::Drains, codec::decode_drain)?,
    };
    let sequence = if broken(Mutant::SequenceRestarts) { 1 } else { store.next_sequence(partition)? };
    // The long table has a reader of its own, one thread so that the order stays that of the keys.
    let book = thread::scope(|scope| {
        let (chunks, arriving) = mpsc::sync_channel(CHUNKS_MAX);
        scope.spawn(move || read_jobs(store, partition, &chunks));
        Book::restore_from(settings, now, rows, arriving.into_iter().flatten())
    })?;
    Ok(Partition::new(book, sequence))
}

/// Rows on their way from the reader to the book.
type Chunk = Vec<Result<JobRow, RecoverError>>;

/// Reads job rows and hands them on; the last one says why, if they cannot be read to the end.
fn read_jobs(store: &dyn Store, partition: PartitionId, chunks: &mpsc::SyncSender<Chunk>) {
    let mut chunk = Chunk::with_capacity(CHUNK_ROWS);
    let scanned = store.scan(partition, Table::Jobs, &[], &mut |_, value| {
        let row = codec::decode_job(value).map_err(|source| RecoverError::Row { table: Table::Jobs.name(), source });
        let broken = row.is_err();
        chunk.push(row);
        if broken {
            return ControlFlow::Break(());
        }
        if chunk.len() < CHUNK_ROWS {
            return ControlFlow::Continue(());
        }
        // Nobody listens any more: the book met a row that cannot be read.
        match chunks.send(std::mem::replace(&mut chunk, Chunk::with_capacity(CHUNK_ROWS))) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    });
    chunk.extend(scanned.err().map(|error| Err(error.into())));
    // As above.
    let _ = chunks.send(chunk);
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
