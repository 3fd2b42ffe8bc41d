//! Group commit: one thread for all partitions of the process. It takes whatever has queued up while the last
//! sync ran, makes it durable with one sync, and lets go what waited for that, in order.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio::sync::mpsc;

use crate::{
    home::Leaving,
    store::{Batch, Commit, Fence, Store, StoreError},
};

/// The most batches that share a sync. More would only make the first of them wait.
const GROUP_MAX: usize = 64;

/// How many batches may wait: when it is full the driver waits, its inbox fills, and callers wait in turn.
const QUEUE_MAX: usize = 8;

/// A batch and what may leave when it is durable.
pub(crate) struct Work {
    pub(crate) fence: Fence,
    pub(crate) batch: Batch,
    pub(crate) leaving: Leaving,
}

/// What to do when the store fails. It must not return to business: memory is ahead of the disk.
pub type OnFailure = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// A handle on the thread. The thread ends when all handles are gone and its queue is empty.
#[derive(Clone)]
pub struct Committer {
    queue: mpsc::Sender<Work>,
    thread: Arc<std::sync::Mutex<Option<JoinHandle<()>>>>,
    counters: Arc<Counters>,
}

/// For metrics; keeps no thread alive. Counted by the thread after each sync.
#[derive(Debug, Default)]
pub struct Counters {
    syncs: AtomicU64,
    bytes: AtomicU64,
    nanos: AtomicU64,
}

impl Counters {
    /// Group commits so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Relaxed)
    }

    /// Bytes of keys, rows and feed records that they carried.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Time that they took, waiting for the disk included.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Relaxed))
    }
}

impl Committer {
    /// Starts the thread.
    pub fn start(store: Arc<dyn Store>, on_failure: OnFailure) -> std::io::Result<Self> {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let counters = Arc::new(Counters::default());
        let thread = thread::Builder::new().name("committer".into()).spawn({
            let counters = counters.clone();
            move || run(&*store, inbox, &on_failure, &counters)
        })?;
        Ok(Self { queue, thread: Arc::new(std::sync::Mutex::new(Some(thread))), counters })
    }

    /// What it has done so far.
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Queues a batch; waits while the queue is full. An error: the thread has stopped because the store failed.
    pub(crate) async fn push(&self, work: Work) -> Result<(), Stopped> {
        self.queue.send(work).await.map_err(|_| Stopped)
    }

    /// Ends this handle; the last one waits until everything queued is durable.
    pub fn finish(self) {
        let Self { queue, thread, counters: _ } = self;
        drop(queue);
        if let Some(thread) = Arc::into_inner(thread).and_then(|t| t.into_inner().ok().flatten()) {
            // A panic of the thread has been printed by then, and its callers were told that it stopped.
            let _ = thread.join();
        }
    }
}

/// The committer has stopped.
#[derive(Debug)]
pub(crate) struct Stopped;

fn run(store: &dyn Store, mut inbox: mpsc::Receiver<Work>, on_failure: &OnFailure, counters: &Counters) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    loop {
        let Some(first) = inbox.blocking_recv() else { return };
        group.push(first);
        while group.len() < GROUP_MAX
            && let Ok(more) = inbox.try_recv()
        {
            group.push(more);
        }
        let (mut commits, mut leaving) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for work in group.drain(..) {
            if !work.batch.is_empty() {
                commits.push(Commit { fence: work.fence, batch: work.batch });
            }
            leaving.push(work.leaving);
        }
        let results = if commits.is_empty() { Vec::new() } else { commit(store, &commits, counters) };
        // A partition that lost its fence must stop as well: another owner answers for it now.
        if let Some(error) = results.into_iter().find_map(Result::err) {
            on_failure(&error);
            return;
        }
        leaving.into_iter().for_each(Leaving::go);
    }
}

fn commit(store: &dyn Store, commits: &[Commit], counters: &Counters) -> Vec<Result<(), StoreError>> {
    let start = Instant::now();
    let results = store.commit(commits);
    counters.syncs.fetch_add(1, Relaxed);
    let bytes: usize = commits.iter().map(|commit| commit.batch.size_bytes()).sum();
    counters.bytes.fetch_add(bytes as u64, Relaxed);
    counters.nanos.fetch_add(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX), Relaxed);
    results
}
