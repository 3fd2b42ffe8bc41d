//! One consumer of one partition's feed, without its loop: reads events, asks, and says what is to be committed.
//!
//! What a call wrote to the plugin's table and the note that its events were handled are one commit; what is in memory
//! moves on when that is durable. So a crash anywhere leaves both or neither, and the table sees each event once.
//! Synchronous and deterministic: the real loop and the simulation run this same code.

use std::{sync::Arc, time::Duration};

use berth_core::mutant::{Mutant, broken};
use berth_proto::store as pb;
use bytes::Bytes;

use super::{
    reader::{Page, Reader},
    rows::{self, Kept},
    status::{Counts, ListenerState},
};
use crate::{
    plugins::{
        events::{ConsumerError, EVENTS_MAX, EventsConsumer},
        kv::{KvLimits, KvSnapshot, KvTransaction},
    },
    store::{Batch, StoreError},
};

/// How often a single event is tried before it counts as failed.
const TRIES: u32 = 3;

/// After how long a stopped consumer is asked again: doubles from the first to the last.
const AGAIN_FIRST: Duration = Duration::from_secs(1);
const AGAIN_LAST: Duration = Duration::from_secs(60);

/// The longest reason that is kept of a skipped event.
const WHY_BYTES_MAX: usize = 1_024;

/// What becomes of a consumer that fails on an event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFault {
    /// It stays where it is, with an alarm, and is asked again from time to time.
    #[default]
    Stop,
    /// It goes on behind the event, and that is recorded.
    Skip,
}

/// Where a consumer begins that never listened before.
#[derive(Clone, Debug, Default)]
pub enum Begin {
    /// With the next event.
    #[default]
    Now,
    /// With the oldest event that is kept.
    Oldest,
    /// With the table and at the place of another name, as they are committed.
    CopyOf(Arc<str>),
}

/// A consumer's place and table.
pub struct Follower {
    name: Arc<str>,
    reader: Reader,
    limits: KvLimits,
    on_fault: OnFault,
    /// As committed.
    cursor: pb::PluginCursor,
    /// As committed.
    table: KvSnapshot,
    /// To be committed before anything else: the place of one that never listened before.
    first: Option<Pending>,
    /// The most events of the next call: halved by a failure, doubled by a success.
    batch_max: usize,
    /// Failures in a row on the one event that is next.
    tries: u32,
    counts: Counts,
    state: ListenerState,
}

/// What is to be committed, as rows that are no feed events. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pending(Arc<Written>);

#[derive(Debug)]
struct Written {
    name: Arc<str>,
    cursor: pb::PluginCursor,
    writes: Vec<(Arc<str>, Option<Bytes>)>,
    table: KvSnapshot,
    events: u64,
}

/// What is to be done next.
#[derive(Debug)]
pub enum Turn {
    /// There is nothing to hear: wait for the feed to grow.
    Idle,
    /// Commit this, then tell [`Follower::committed`].
    Commit(Pending),
    /// It failed, and is asked again at once.
    Again,
    /// It failed for good: ask again after this time, or when another version is active.
    Stopped(Duration),
}

impl Follower {
    /// Goes on where the name was, or begins.
    pub fn open(
        reader: Reader,
        name: impl Into<Arc<str>>,
        begin: &Begin,
        limits: KvLimits,
        on_fault: OnFault,
    ) -> Result<Self, StoreError> {
        let name = name.into();
        let kept = rows::load(&**reader.store(), reader.partition(), &name)?;
        let mut first = None;
        let (cursor, table) = match kept {
            Kept { cursor: Some(cursor), table } => (cursor, table),
            // Rows without a place: a table that was kept while its plugin did not listen.
            Kept { cursor: None, table } => {
                let begun = begun(&reader, begin, table)?;
                first = Some(Pending(Arc::new(Written {
                    name: name.clone(),
                    cursor: begun.0.clone(),
                    writes: begun.1.entries().map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
                    table: begun.1.clone(),
                    events: 0,
                })));
                begun
            }
        };
        Ok(Self {
            name,
            reader,
            limits,
            on_fault,
            cursor,
            table,
            first,
            batch_max: EVENTS_MAX,
            tries: 0,
            counts: Counts::default(),
            state: ListenerState::Running,
        })
    }

    /// Its table, as committed.
    pub fn table(&self) -> &KvSnapshot {
        &self.table
    }

    /// The position that it hears next, as committed.
    pub fn next(&self) -> u64 {
        self.cursor.next
    }

    /// Events that were skipped, in its whole life.
    pub fn skipped(&self) -> u64 {
        self.cursor.skipped
    }

    /// What it did in this life.
    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// How it stands.
    pub(crate) fn state(&self) -> &ListenerState {
        &self.state
    }

    /// Reads events and has the consumer handle them. Nothing may be asked between a `Commit` and
    /// [`committed`](Self::committed).
    pub fn turn(&mut self, consumer: &dyn EventsConsumer) -> Result<Turn, StoreError> {
        if let Some(first) = &self.first {
            return Ok(Turn::Commit(first.clone()));
        }
        let page = self.reader.page(self.cursor.next, self.batch_max)?;
        if page.events.is_empty() {
            return Ok(Turn::Idle);
        }
        let mut kv = KvTransaction::new(self.table.clone(), self.limits);
        self.counts.calls += 1;
        match consumer.on_events(&mut kv, &page.events) {
            Ok(()) => {
                self.tries = 0;
                self.batch_max = (self.batch_max * 2).min(EVENTS_MAX);
                self.state = ListenerState::Running;
                let pending = self.pending(&kv, page);
                if broken(Mutant::TableAheadOfDisk) {
                    self.table = pending.0.table.clone();
                }
                if broken(Mutant::CursorBeforeKv) {
                    self.first = Some(pending.clone());
                    return Ok(Turn::Commit(pending.without_rows()));
                }
                Ok(Turn::Commit(pending))
            }
            Err(error) => {
                if broken(Mutant::FailedCallKept) {
                    self.table = kv.outcome();
                }
                Ok(self.failed(&error, page))
            }
        }
    }

    /// What was to be committed is durable.
    pub fn committed(&mut self, pending: &Pending) {
        let written = &*pending.0;
        if self.first.as_ref().is_some_and(|first| Arc::ptr_eq(&first.0, &pending.0)) {
            self.first = None;
        }
        self.counts.events += written.events;
        self.table = written.table.clone();
        if !broken(Mutant::EventsHandledTwice) {
            self.cursor = written.cursor.clone();
        }
    }

    fn pending(&self, kv: &KvTransaction, page: Page) -> Pending {
        let cursor = pb::PluginCursor { next: page.next, ..self.cursor.clone() };
        Pending(Arc::new(Written {
            name: self.name.clone(),
            cursor,
            writes: kv.writes().map(|(key, value)| (key.clone(), value.cloned())).collect(),
            table: kv.outcome(),
            events: page.events.len() as u64,
        }))
    }

    /// Nothing of what the call wrote is kept. The event that it fails on is found by halving.
    fn failed(&mut self, error: &ConsumerError, page: Page) -> Turn {
        self.counts.failures += 1;
        if page.events.len() > 1 {
            self.batch_max = page.events.len() / 2;
            return Turn::Again;
        }
        self.tries += 1;
        if self.tries < TRIES {
            return Turn::Again;
        }
        let sequence = self.cursor.next;
        match self.on_fault {
            OnFault::Skip => {
                tracing::error!(plugin = &*self.name, sequence, %error, "an event is skipped: the plugin failed on it");
                self.tries = 0;
                let mut why = error.to_string();
                why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
                let cursor = pb::PluginCursor {
                    next: page.next,
                    skipped: self.cursor.skipped + 1,
                    skipped_last: sequence,
                    skipped_why: why,
                };
                let (name, table) = (self.name.clone(), self.table.clone());
                Turn::Commit(Pending(Arc::new(Written { name, cursor, writes: Vec::new(), table, events: 1 })))
            }
            OnFault::Stop => {
                if !matches!(self.state, ListenerState::Stopped { .. }) {
                    tracing::error!(plugin = &*self.name, sequence, %error, "a plugin hears no more events: it failed");
                }
                self.state = ListenerState::Stopped { sequence, error: error.to_string() };
                let doublings = (self.tries - TRIES).min(16);
                Turn::Stopped((AGAIN_FIRST * (1 << doublings)).min(AGAIN_LAST))
            }
        }
    }
}

impl Pending {
    /// The place alone: for a rule that is broken on purpose.
    fn without_rows(&self) -> Self {
        let Written { name, cursor, table, events, .. } = &*self.0;
        let (name, cursor, table) = (name.clone(), cursor.clone(), table.clone());
        Self(Arc::new(Written { name, cursor, writes: Vec::new(), table, events: *events }))
    }

    /// Adds the rows to a batch.
    pub fn write(&self, batch: &mut Batch) {
        let written = &*self.0;
        for (key, value) in &written.writes {
            rows::put_entry(&written.name, key, value.as_ref(), batch);
        }
        if !broken(Mutant::KvWithoutCursor) {
            rows::put_cursor(&written.name, &written.cursor, batch);
        }
    }
}

/// Place and table of one that never listened before.
fn begun(reader: &Reader, begin: &Begin, table: KvSnapshot) -> Result<(pb::PluginCursor, KvSnapshot), StoreError> {
    let (store, partition) = (reader.store(), reader.partition());
    let at = |next| pb::PluginCursor { next, ..Default::default() };
    match begin {
        Begin::Oldest => {
            let oldest = store.feed(partition, 0, 1)?;
            let next = oldest.first().map_or_else(|| store.next_sequence(partition), |(first, _)| Ok(*first))?;
            Ok((at(next), table))
        }
        Begin::Now => Ok((at(store.next_sequence(partition)?), table)),
        Begin::CopyOf(name) => {
            let kept = rows::load(&**store, partition, name)?;
            let cursor = kept.cursor.map_or_else(|| store.next_sequence(partition).map(at), Ok)?;
            Ok((cursor, kept.table))
        }
    }
}
