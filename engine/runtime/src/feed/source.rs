//! A partition whose feed is heard: that of executions, or that of a namespace of work. What its consumers keep stands in
//! the same partition.

use std::sync::Arc;

use tokio::sync::watch;

use super::reader::Reader;
use crate::{Engine, EngineError, partition::RowsFn, work::WorkBook};

/// Where events come from. Cheap to clone.
#[derive(Clone)]
pub(super) enum Source {
    /// Jobs, bots and policies.
    Engine(Engine),
    /// Units, workers and locks of a namespace.
    Work(WorkBook, Arc<str>),
}

impl Source {
    pub(super) fn reader(&self) -> Reader {
        match self {
            Self::Engine(engine) => Reader::new(engine.history().store().clone(), engine.history().partition()),
            Self::Work(book, namespace) => Reader::of_work(book, namespace.clone()),
        }
    }

    /// The feed's next position, as it is on disk: changes when events are durable.
    pub(super) fn appended(&self) -> watch::Receiver<u64> {
        match self {
            Self::Engine(engine) => engine.appended(),
            Self::Work(book, _) => book.appended(),
        }
    }

    /// On `Ok` the rows are durable.
    pub(super) async fn write_rows(&self, add: RowsFn) -> Result<(), EngineError> {
        match self {
            Self::Engine(engine) => engine.write_rows(add).await,
            Self::Work(book, _) => book.write_rows(add).await.map_err(|_| EngineError::Stopping),
        }
    }
}
