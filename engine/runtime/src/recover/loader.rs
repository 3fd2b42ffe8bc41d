//! Reads the rows of all jobs, a bounded chunk at a time, while the partition serves.

use std::ops::ControlFlow;

use berth_core::{Event, JobRow};

use super::RecoverError;
use crate::{
    codec,
    store::{PartitionId, Store, Table},
};

/// Where a partition's jobs are read on. Rows that were restored at once are read again: the book knows them.
#[derive(Debug)]
pub struct Loader {
    partition: PartitionId,
    /// The least key that was not read.
    from: Vec<u8>,
}

impl Loader {
    pub(super) fn new(partition: PartitionId) -> Self {
        Self { partition, from: Vec::new() }
    }

    /// Reads on, and gives an event for each `rows` rows to `take`, until there are no more or `take` says so. Answers
    /// whether that was all.
    pub fn read(
        &mut self,
        store: &dyn Store,
        rows: usize,
        mut take: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<bool, RecoverError> {
        let mut chunk: Vec<JobRow> = Vec::with_capacity(rows);
        let mut next = self.from.clone();
        let mut end = Ok(true);
        store.scan(self.partition, Table::Jobs, &self.from, &mut |key, value| {
            match codec::decode_job(value) {
                Ok(row) => chunk.push(row),
                Err(source) => {
                    end = Err(RecoverError::Row { table: Table::Jobs.name(), source });
                    return ControlFlow::Break(());
                }
            }
            if chunk.len() < rows {
                return ControlFlow::Continue(());
            }
            // The least key that is greater.
            next.clear();
            next.extend_from_slice(key);
            next.push(0);
            let rows = std::mem::replace(&mut chunk, Vec::with_capacity(rows));
            let more = take(Event::JobsLoaded { rows, last: false });
            if more.is_break() {
                end = Ok(false);
            }
            more
        })?;
        self.from = next;
        if matches!(end, Ok(true)) {
            // Nothing is left to stop.
            let _ = take(Event::JobsLoaded { rows: chunk, last: true });
        }
        end
    }
}
