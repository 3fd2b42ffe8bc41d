//! The jobs that recovery left for later, on their way to the driver: read and decoded on a thread of their own, taken
//! in by the driver a chunk a batch.

use std::{
    ops::ControlFlow,
    sync::Arc,
    thread::{self, JoinHandle},
};

use berth_core::Event;
use tokio::sync::mpsc;

use crate::{
    recover::{Loader, RecoverError},
    store::{Store, StoreError},
};

/// Rows in a chunk: what a batch may take longer while jobs are loaded is a millisecond.
const CHUNK_ROWS: usize = 512;

/// Chunks that may wait for the driver; the reader waits when there are as many.
const CHUNKS_MAX: usize = 8;

/// Progress is logged whenever about so many jobs were loaded.
const LOG_EVERY: usize = 250_000;

/// The reader's thread and what it reads.
pub(crate) struct Loading {
    chunks: mpsc::Receiver<Result<Event, RecoverError>>,
    thread: JoinHandle<()>,
    logged: usize,
}

impl Loading {
    pub(crate) fn start(mut loader: Loader, store: Arc<dyn Store>) -> Result<Self, RecoverError> {
        let (sender, chunks) = mpsc::channel(CHUNKS_MAX);
        let read = move || {
            let take = |event| match sender.blocking_send(Ok(event)) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            };
            if let Err(error) = loader.read(&*store, CHUNK_ROWS, take) {
                // If nobody listens, the server is stopping.
                let _ = sender.blocking_send(Err(error));
            }
        };
        let thread = thread::Builder::new().name("loader".into()).spawn(read);
        let thread = thread.map_err(|error| StoreError::Failed(format!("no thread to load jobs: {error}")))?;
        Ok(Self { chunks, thread, logged: usize::MAX })
    }

    /// The next chunk.
    pub(crate) async fn next(&mut self) -> Result<Event, RecoverError> {
        match self.chunks.recv().await {
            Some(chunk) => chunk,
            None => Err(StoreError::Failed("the thread that loads jobs has died".into()).into()),
        }
    }

    /// The next chunk, if it is there.
    pub(crate) fn try_next(&mut self) -> Option<Result<Event, RecoverError>> {
        self.chunks.try_recv().ok()
    }

    /// Tells an operator how it goes.
    pub(crate) fn log(&mut self, left: usize) {
        if left.saturating_add(LOG_EVERY) <= self.logged {
            self.logged = left;
            tracing::info!(left, "bots are served; clients wait until all jobs are loaded");
        }
    }

    /// Ends the reader, at its end or before.
    pub(crate) fn finish(self) {
        let Self { chunks, thread, .. } = self;
        drop(chunks);
        // A panic of the thread has been printed by then.
        let _ = thread.join();
    }
}
