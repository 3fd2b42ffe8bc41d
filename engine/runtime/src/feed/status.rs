//! How consumers of the feed stand: for metrics, and for operators.

use std::sync::Arc;

/// What a consumer did since the server started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) events: u64,
    pub(crate) calls: u64,
    pub(crate) failures: u64,
}

/// Whether a consumer goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenerState {
    /// It hears what happens.
    Running,
    /// It failed on an event and stays there.
    Stopped {
        /// The event's position.
        sequence: u64,
        /// What went wrong.
        error: String,
    },
}

/// How a consumer stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerStatus {
    /// The plugin's name, or that of a shadow.
    pub name: Arc<str>,
    /// Whether it goes on.
    pub state: ListenerState,
    /// The position that it hears next.
    pub next: u64,
    /// Events that it has not heard yet.
    pub lag: u64,
    /// Events that it handled since the server started.
    pub events: u64,
    /// Calls since the server started.
    pub calls: u64,
    /// Calls that failed.
    pub failures: u64,
    /// Events that were skipped, in its whole life.
    pub skipped: u64,
    /// Rows of its table.
    pub kv_rows: u64,
    /// Bytes of keys and values of its table.
    pub kv_bytes: u64,
}
