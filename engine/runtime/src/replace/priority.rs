//! An operator gives a job another priority: its rows say so from now on, and policies are asked where it stands.

use std::collections::HashMap;

use berth_core::{Book, JobId, PlaceAsked, Rejection};
use berth_proto::store as pb;
use prost::Message;

use super::ask;
use crate::{
    Engine, EngineError, codec,
    history::{blocking, broken},
    store::{Batch, StoreError, Table},
};

/// What another priority made of a job's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reprioritized {
    /// Its rank before.
    pub before: i64,
    /// Its rank now: the same if the policy makes nothing of priorities.
    pub rank: i64,
    /// Policies could not say: the job keeps its place until they are asked again.
    pub unanswered: bool,
}

impl Engine {
    /// Gives a job that is not over, and each of its operations, another priority. A rank that a policy gave it when it was
    /// queued counts no more: the operator spoke later.
    pub async fn set_priority(&self, job: JobId, priority: i32) -> Result<Reprioritized, EngineError> {
        let look = move |book: &Book| Some((book.place_of(job)?, book.job_view(job)?.rank));
        let (asked, before) = self.read(look).await?.ok_or(Rejection::UnknownJob(job))?;
        let rows = self.rows_with(&asked, priority).await?;
        self.write_rows(Box::new(move |batch: &mut Batch| {
            for (table, id, row) in rows {
                batch.put(table, &codec::id_key(id), |out| out.extend(row));
            }
        }))
        .await?;
        self.history().forget(job);
        let place = ask(self.policy(), self.cohorts(), self.history(), &self.clock, vec![asked]).await?;
        let unanswered = place.items.is_empty();
        self.place(place).await?;
        let rank = self.read(move |book| book.job_view(job).map(|view| view.rank)).await?.unwrap_or(before);
        Ok(Reprioritized { before, rank, unanswered })
    }

    /// The rows of the job and of its operations, with the priority.
    async fn rows_with(&self, asked: &PlaceAsked, priority: i32) -> Result<Vec<(Table, u128, Vec<u8>)>, StoreError> {
        let (store, partition) = (self.history().store().clone(), self.history().partition());
        let job = asked.job.0;
        let operations: Vec<u128> = [job].into_iter().chain(asked.joined.iter().map(|operation| operation.0)).collect();
        blocking(move || {
            let keys: Vec<_> = operations.iter().map(|id| codec::id_key(*id)).collect();
            let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
            let found = store.get(partition, Table::Operations, &keys)?;
            // An operation that was deleted has no row, and gets none.
            let known: HashMap<_, _> = operations.into_iter().zip(found).collect();
            let mut rows = Vec::new();
            for (id, bytes) in known.into_iter().filter_map(|(id, bytes)| Some((id, bytes?))) {
                let row = pb::Operation::decode(bytes).map_err(|error| broken(Table::Operations, &error))?;
                rows.push((Table::Operations, id, pb::Operation { priority, ..row }.encode_to_vec()));
            }
            let body = store.get(partition, Table::Bodies, &[&codec::id_key(job)])?.pop().flatten();
            if let Some(bytes) = body {
                let body = pb::JobBody::decode(bytes).map_err(|error| broken(Table::Bodies, &error))?;
                let body = pb::JobBody { priority, queue_rank: None, ..body };
                rows.push((Table::Bodies, job, body.encode_to_vec()));
            }
            Ok(rows)
        })
        .await
    }
}
