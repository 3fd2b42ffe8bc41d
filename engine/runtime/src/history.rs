//! What the store keeps of jobs beside the book: bodies, results, finished operations. Reads see committed rows.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
};

use berth_core::{JobId, JobRow, OperationId, OperationView, Timestamp};
use berth_proto::store as pb;
use bytes::Bytes;
use prost::Message;

use crate::{
    codec,
    partition::Attachment,
    progress::Progress,
    store::{PartitionId, Store, StoreError, Table},
};

/// Bytes of recent bodies (and as many of results) that are kept in memory, because a job's body is wanted
/// again when a bot takes it, and its result when its clients hear of it.
const RECENT_BYTES_MAX: usize = 64 << 20;

/// Reads rows of one partition. Cheap to clone.
#[derive(Clone)]
pub struct History {
    store: Arc<dyn Store>,
    partition: PartitionId,
    bodies: Arc<Mutex<Recent<pb::JobBody>>>,
    results: Arc<Mutex<Recent<pb::JobResult>>>,
    progress: Arc<Mutex<Progress>>,
}

impl History {
    pub(crate) fn new(store: Arc<dyn Store>, partition: PartitionId) -> Self {
        Self { store, partition, bodies: Default::default(), results: Default::default(), progress: Default::default() }
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The partition that it reads.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// What a job runs.
    pub async fn body(&self, job: JobId) -> Result<Option<Arc<pb::JobBody>>, StoreError> {
        if let Some(body) = lock(&self.bodies).get(job) {
            return Ok(Some(body));
        }
        self.message(Table::Bodies, job).await.map(|body| body.map(Arc::new))
    }

    /// What a job gave.
    pub async fn result(&self, job: JobId) -> Result<Option<Arc<pb::JobResult>>, StoreError> {
        if let Some(result) = lock(&self.results).get(job) {
            return Ok(Some(result));
        }
        self.message(Table::Results, job).await.map(|result| result.map(Arc::new))
    }

    /// What several jobs gave, in the order asked; read at once.
    pub async fn results(&self, jobs: Vec<JobId>) -> Result<Vec<Option<Arc<pb::JobResult>>>, StoreError> {
        let mut results: Vec<_> = {
            let recent = lock(&self.results);
            jobs.iter().map(|job| recent.get(*job)).collect()
        };
        let missing: Vec<usize> = (0..jobs.len()).filter(|at| results[*at].is_none()).collect();
        let keys: Vec<_> = missing.iter().map(|at| codec::id_key(jobs[*at].0)).collect();
        let (store, partition) = (self.store.clone(), self.partition);
        let read = move || {
            let keys: Vec<&[u8]> = keys.iter().map(|key| key.as_slice()).collect();
            store.get(partition, Table::Results, &keys)
        };
        for (at, bytes) in missing.into_iter().zip(blocking(read).await?) {
            let read = |bytes: Bytes| pb::JobResult::decode(bytes).map_err(|error| broken(Table::Results, &error));
            results[at] = bytes.map(read).transpose()?.map(Arc::new);
        }
        Ok(results)
    }

    /// The row of a handle.
    pub async fn operation_row(&self, operation: OperationId) -> Result<Option<pb::Operation>, StoreError> {
        self.message(Table::Operations, JobId(operation.0)).await
    }

    /// An operation that ended, from its rows.
    pub async fn operation(&self, operation: OperationId) -> Result<Option<OperationView>, StoreError> {
        let Some(row) = self.operation_row(operation).await? else { return Ok(None) };
        let job = codec::job_id(row.job).map_err(|error| broken(Table::Operations, &error))?;
        let Some(bytes) = self.get(Table::FinishedJobs, job).await? else { return Ok(None) };
        codec::decode_ended(&bytes, operation).map_err(|error| broken(Table::FinishedJobs, &error))
    }

    /// The row of a job that ended.
    pub async fn finished(&self, job: JobId) -> Result<Option<JobRow>, StoreError> {
        let bytes = self.get(Table::FinishedJobs, job).await?;
        bytes.map(|bytes| codec::decode_job(&bytes).map_err(|error| broken(Table::FinishedJobs, &error))).transpose()
    }

    /// Jobs that ended, the newest first, at most `limit`.
    pub async fn recent(&self, limit: usize) -> Result<Vec<JobRow>, StoreError> {
        let (store, partition) = (self.store.clone(), self.partition);
        blocking(move || {
            let mut newest = VecDeque::with_capacity(limit);
            store.scan(partition, Table::FinishedByTime, &[], &mut |key, _| {
                if newest.len() == limit {
                    newest.pop_front();
                }
                newest.extend(codec::finished_key_job(key).map(|(_, job)| codec::id_key(job.0)));
                std::ops::ControlFlow::Continue(())
            })?;
            let keys: Vec<&[u8]> = newest.iter().rev().map(|key| key.as_slice()).collect();
            let rows = store.get(partition, Table::FinishedJobs, &keys)?;
            rows.into_iter()
                .flatten()
                .map(|bytes| codec::decode_job(&bytes).map_err(|error| broken(Table::FinishedJobs, &error)))
                .collect()
        })
        .await
    }

    /// The bot that has a job says this of its attempt: an encoded ExecutedActionMetadata. Not stored.
    pub fn note_progress(&self, job: JobId, at: Timestamp, said: Bytes) {
        lock(&self.progress).note(job, at, said);
    }

    /// What the bot of a job said of its attempt since that began.
    pub fn progress(&self, job: JobId, began: Timestamp) -> Option<Bytes> {
        lock(&self.progress).since(job, began)
    }

    pub(crate) fn attach_body(&self, job: JobId, body: Arc<pb::JobBody>) -> Attachment {
        let encoded = Bytes::from(body.encode_to_vec());
        let (request_metadata, priority, client) =
            (body.request_metadata.clone(), body.priority, body.client.clone().map(Box::new));
        lock(&self.bodies).insert(job, body, encoded.len());
        Attachment { body: encoded, request_metadata, priority, client, ..Attachment::default() }
    }

    /// The results of jobs, as they are about to be stored.
    pub(crate) fn remember_results(&self, results: Vec<(JobId, Bytes)>) {
        if results.is_empty() {
            return;
        }
        let mut recent = lock(&self.results);
        for (job, encoded) in results {
            let bytes = encoded.len();
            let result = pb::JobResult::decode(encoded).expect("the engine encoded it");
            recent.insert(job, Arc::new(result), bytes);
        }
    }

    /// A body that was attached in vain.
    pub(crate) fn forget(&self, job: JobId) {
        lock(&self.bodies).remove(job);
    }

    async fn message<M: Message + Default + 'static>(&self, table: Table, id: JobId) -> Result<Option<M>, StoreError> {
        let bytes = self.get(table, id).await?;
        bytes.map(|bytes| M::decode(bytes).map_err(|error| broken(table, &error))).transpose()
    }

    async fn get(&self, table: Table, id: JobId) -> Result<Option<Bytes>, StoreError> {
        let (store, partition) = (self.store.clone(), self.partition);
        blocking(move || Ok(store.get(partition, table, &[&codec::id_key(id.0)])?.pop().flatten())).await
    }
}

pub(crate) async fn blocking<R: Send + 'static>(
    read: impl FnOnce() -> Result<R, StoreError> + Send + 'static,
) -> Result<R, StoreError> {
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result,
        Err(stopped) => Err(StoreError::Failed(format!("a read did not finish: {stopped}"))),
    }
}

pub(crate) fn broken(table: Table, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Failed(format!("a row of table `{}` cannot be read: {error}", table.name()))
}

/// What is in these is whole after every statement, so that a panic elsewhere leaves it usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Recently written messages, bounded by bytes; the oldest go first.
#[derive(Debug)]
struct Recent<M> {
    by_job: HashMap<JobId, (Arc<M>, usize)>,
    order: VecDeque<JobId>,
    bytes: usize,
}

impl<M> Default for Recent<M> {
    fn default() -> Self {
        Self { by_job: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }
}

impl<M> Recent<M> {
    fn get(&self, job: JobId) -> Option<Arc<M>> {
        self.by_job.get(&job).map(|(message, _)| message.clone())
    }

    fn insert(&mut self, job: JobId, message: Arc<M>, bytes: usize) {
        self.remove(job);
        self.by_job.insert(job, (message, bytes));
        self.order.push_back(job);
        self.bytes += bytes;
        while self.bytes > RECENT_BYTES_MAX || self.order.len() > 2 * self.by_job.len() + 64 {
            let Some(oldest) = self.order.pop_front() else { return };
            self.remove(oldest);
        }
    }

    fn remove(&mut self, job: JobId) {
        if let Some((_, bytes)) = self.by_job.remove(&job) {
            self.bytes -= bytes;
        }
    }
}
