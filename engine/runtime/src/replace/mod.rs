//! Jobs that have a place are asked for it again: all of them when other policies become active, single ones when their
//! time comes (the asker's affair). How a policy is asked is in `ask`, what an answer does in `berth-core`.
//!
//! A walk over all jobs goes a page at a time between other batches, and stops when a newer one begins. That there is
//! one to be done is in the store until it is done: a restart begins it anew, and does no harm by that, because only
//! what differs is written.

mod ask;
mod priority;

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use berth_core::{Event, Generation, Place, Timestamp};
use tokio::sync::watch;

pub(crate) use self::ask::ask;
pub use self::priority::Reprioritized;
use crate::{
    Engine, EngineError,
    history::lock,
    partition::Attachment,
    store::{Batch, PartitionId, Store, StoreError, Table},
};

/// Jobs that one step of a walk is about: what a batch takes longer by it is a millisecond or two.
const JOBS_A_STEP: usize = 256;

/// Keys of `Table::Meta` that say that there is a walk to be done; the mark's number in eight bytes follows.
const MARK: &[u8] = b"replacing/";

/// A note in the store that jobs are to be placed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "jobs are placed again only after the next restart, unless it is given to `Engine::replace_all`"]
pub struct ReplacementMark(u64);

/// How far the newest walk is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replacing {
    /// Which set of policies places the jobs: [`Policy::generation`](crate::policy::Policy::generation).
    pub generation: Generation,
    /// Jobs that were asked about.
    pub done: usize,
    /// About as many there are.
    pub total: usize,
    /// Of those that were asked about, the ones that keep their place because nobody could say.
    pub unanswered: usize,
    /// Whether there is more to do.
    pub running: bool,
}

/// The walks of an engine.
pub(crate) struct Replacer {
    state: Mutex<State>,
    progress: watch::Sender<Replacing>,
    marks: AtomicU64,
}

#[derive(Default)]
struct State {
    /// Number of the newest walk.
    newest: u64,
    /// What is to be taken from the store when it is done.
    marks: Vec<ReplacementMark>,
}

impl Replacer {
    pub(crate) fn new(now: Timestamp) -> Self {
        // Other numbers than before a restart.
        let marks = AtomicU64::new(now.0);
        Self { state: Mutex::default(), progress: watch::Sender::default(), marks }
    }

    fn mark(&self) -> ReplacementMark {
        ReplacementMark(self.marks.fetch_add(1, Ordering::Relaxed))
    }

    /// A walk begins, and takes over from those before it. Its number.
    fn begin(&self, marks: impl IntoIterator<Item = ReplacementMark>) -> u64 {
        let mut state = lock(&self.state);
        state.newest += 1;
        state.marks.extend(marks);
        state.newest
    }

    fn is_newest(&self, walk: u64) -> bool {
        lock(&self.state).newest == walk
    }

    /// The walk is done: what it takes from the store. `None`: a newer one takes it.
    fn end(&self, walk: u64) -> Option<Vec<ReplacementMark>> {
        let mut state = lock(&self.state);
        (state.newest == walk).then(|| std::mem::take(&mut state.marks))
    }

    fn tell(&self, walk: u64, progress: Replacing) {
        if self.is_newest(walk) {
            self.progress.send_replace(progress);
        }
    }
}

/// Walks that were to be done when the process before this one ended.
pub(crate) fn unfinished(store: &dyn Store, partition: PartitionId) -> Result<Vec<ReplacementMark>, StoreError> {
    let mut marks = Vec::new();
    store.scan(partition, Table::Meta, MARK, &mut |key, _| {
        let Some(number) = key.strip_prefix(MARK) else { return ControlFlow::Break(()) };
        marks.extend(number.try_into().ok().map(|number| ReplacementMark(u64::from_be_bytes(number))));
        ControlFlow::Continue(())
    })?;
    Ok(marks)
}

impl Engine {
    /// Notes that jobs are to be placed again in the batch that makes other policies active: so that a crash between its
    /// commit and [`Engine::replace_all`], which gets the mark, changes nothing of that.
    pub fn mark_replacement(&self, batch: &mut Batch) -> ReplacementMark {
        let mark = self.replacer.mark();
        batch.put(Table::Meta, &key(mark), |_| {});
        mark
    }

    /// Other policies are active, and [`Policy::generation`](crate::policy::Policy::generation) has risen: jobs are placed
    /// again in the background. When this returns that is durable. A newer call stops what an older one began.
    pub async fn replace_all(&self, mark: Option<ReplacementMark>) -> Result<(), EngineError> {
        let mark = match mark {
            Some(mark) => mark,
            None => {
                let mark = self.replacer.mark();
                self.write_rows(Box::new(move |batch| batch.put(Table::Meta, &key(mark), |_| {}))).await?;
                mark
            }
        };
        self.take_up([mark]);
        Ok(())
    }

    /// How far jobs are placed again.
    pub fn replacing(&self) -> watch::Receiver<Replacing> {
        self.replacer.progress.subscribe()
    }

    /// Begins a walk, if there is one to be done.
    pub(crate) fn take_up(&self, marks: impl IntoIterator<Item = ReplacementMark>) {
        let mut marks = marks.into_iter().peekable();
        if marks.peek().is_none() {
            return;
        }
        let walk = self.replacer.begin(marks);
        let generation = self.policy().generation();
        self.replacer.tell(walk, Replacing { generation, running: true, ..Replacing::default() });
        let engine = self.clone();
        tokio::spawn(async move {
            match engine.walk(walk, generation).await {
                Ok(()) | Err(EngineError::Stopping) => {}
                Err(error) => tracing::error!(%error, "jobs are not placed again before the next restart"),
            }
        });
    }

    async fn walk(&self, walk: u64, generation: Generation) -> Result<(), EngineError> {
        // From now on no older answer counts, and what older policies place is asked about as it comes: so what follows
        // meets all jobs that it must.
        self.place(Place { generation, items: Vec::new() }).await?;
        let counts = self.read(|book| book.counts()).await?;
        let total = counts.queued + counts.executing;
        let mut progress = Replacing { generation, total, running: true, ..Replacing::default() };
        let mut next = Some(0);
        while let Some(from) = next {
            if !self.replacer.is_newest(walk) {
                return Ok(());
            }
            self.replacer.tell(walk, progress);
            let (asked, more) = self.read(move |book| book.places_from(from, JOBS_A_STEP)).await?;
            next = more;
            let jobs = asked.len();
            if jobs > 0 {
                let place = ask(self.policy(), self.cohorts(), self.history(), &self.clock, asked).await?;
                progress.unanswered += jobs - place.items.len();
                self.place(place).await?;
            }
            progress.done += jobs;
            progress.total = progress.total.max(progress.done);
        }
        let Some(marks) = self.replacer.end(walk) else { return Ok(()) };
        let done = move |batch: &mut Batch| marks.into_iter().for_each(|mark| batch.delete(Table::Meta, &key(mark)));
        self.write_rows(Box::new(done)).await?;
        tracing::info!(generation, jobs = progress.done, unanswered = progress.unanswered, "all jobs are placed again");
        self.replacer.tell(walk, Replacing { running: false, total: progress.done, ..progress });
        Ok(())
    }

    async fn place(&self, place: Place) -> Result<(), EngineError> {
        self.event(Event::Place(Box::new(place)), Attachment::default()).await.map(drop)
    }
}

fn key(ReplacementMark(number): ReplacementMark) -> Vec<u8> {
    [MARK, &number.to_be_bytes()].concat()
}
