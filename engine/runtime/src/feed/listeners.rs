//! The loops of consumers on a running engine, one a name: woken by commits, off the driver, one call at a time.
//!
//! A loop reads, asks, has the driver commit rows in their turn, and goes on when they are durable. It holds nothing
//! up: the driver never waits for a consumer, and a consumer that is too slow is told of a gap one day.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::{Mutex as TurnMutex, watch},
    task::JoinHandle,
};

use super::{
    follower::{Begin, Follower, OnFault, Turn},
    rows,
    source::Source,
    stats::{self, Stats, StatsNow},
    status::{Counts, ListenerState, ListenerStatus},
};
use crate::{
    Engine, EngineError,
    history::lock,
    plugins::{
        Desk,
        events::EventsConsumer,
        kv::{KvLimits, KvSnapshot},
        stats::StatsView,
    },
    work::WorkBook,
};

/// How a consumer listens.
#[derive(Clone, Debug, Default)]
pub struct ListenOptions {
    /// Where it begins if its name never listened before.
    pub begin: Begin,
    /// Bounds of its table.
    pub limits: KvLimits,
    /// What becomes of it when it fails.
    pub on_fault: OnFault,
}

/// Consumers of one partition's feed. Shared by all who load plugins, show them, or serve their imports.
pub struct Listeners {
    source: Source,
    /// How long a loop lets events gather before it asks, where fewer are there than a call takes: a call and a commit
    /// for every single event would be felt by everybody else.
    linger: Duration,
    /// Committed tables of all names that were asked for. Never held over anything slow.
    tables: Mutex<HashMap<Arc<str>, Arc<Shown>>>,
    /// Running loops. Held while one is exchanged, so that a name never has two.
    loops: TurnMutex<HashMap<Arc<str>, Running>>,
    stats: Mutex<Option<Arc<Stats>>>,
}

/// What others may see of a consumer: as committed.
#[derive(Debug, Default)]
struct Shown(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    table: KvSnapshot,
    /// `None`: no loop runs under the name.
    listener: Option<Listening>,
}

#[derive(Clone, Debug)]
struct Listening {
    next: u64,
    skipped: u64,
    counts: Counts,
    state: ListenerState,
}

struct Running {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Listeners {
    /// Nobody listens yet.
    pub fn new(engine: Engine, linger: Duration) -> Self {
        Self::of(Source::Engine(engine), linger)
    }

    /// The same for the feed of a namespace of work.
    pub fn of_work(book: WorkBook, namespace: &str, linger: Duration) -> Self {
        Self::of(Source::Work(book, namespace.into()), linger)
    }

    fn of(source: Source, linger: Duration) -> Self {
        Self { source, linger, tables: Mutex::default(), loops: TurnMutex::default(), stats: Mutex::default() }
    }

    /// Lets a consumer listen under a name. One that listened under it before is stopped first, after the call that it
    /// is in; place and table stay, for they are the name's.
    pub async fn listen(
        &self,
        name: &str,
        consumer: Arc<dyn EventsConsumer>,
        options: ListenOptions,
    ) -> Result<(), EngineError> {
        let name: Arc<str> = name.into();
        let mut loops = self.loops.lock().await;
        if let Some(running) = loops.remove(&name) {
            running.end().await;
        }
        let reader = self.source.reader();
        let reader = if &*name == stats::NAME { reader.without_results() } else { reader };
        let opened = {
            let name = name.clone();
            let open = move || Follower::open(reader, name, &options.begin, options.limits, options.on_fault);
            tokio::task::spawn_blocking(open).await.map_err(|_| EngineError::Stopping)??
        };
        let shown = lock(&self.tables).entry(name.clone()).or_default().clone();
        shown.show(&opened);
        let (stop, stopped) = watch::channel(false);
        let the_loop = Loop { follower: opened, consumer, source: self.source.clone(), shown, linger: self.linger };
        loops.insert(name, Running { stop, task: tokio::spawn(the_loop.run(stopped)) });
        Ok(())
    }

    /// Ends listening under a name. Place and table stay.
    pub async fn silence(&self, name: &str) {
        if let Some(running) = self.loops.lock().await.remove(name) {
            running.end().await;
        }
        if let Some(shown) = lock(&self.tables).get(name) {
            lock(&shown.0).listener = None;
        }
    }

    /// Ends listening under a name, and forgets place and table.
    pub async fn forget(&self, name: &str) -> Result<(), EngineError> {
        self.silence(name).await;
        let owned = name.to_owned();
        self.source.write_rows(Box::new(move |batch| rows::delete_all(&owned, batch))).await?;
        lock(&self.tables).remove(name);
        Ok(())
    }

    /// Ends all listening, for a shutdown: what was handled is durable, the rest is heard after the next start.
    pub async fn close(&self) {
        let loops = std::mem::take(&mut *self.loops.lock().await);
        for running in loops.into_values() {
            running.end().await;
        }
    }

    /// Keeps the engine's own statistics from now on: of jobs, there are none of work. Counts begin with what is in the
    /// book.
    pub async fn keep_stats(&self) -> Result<(), EngineError> {
        let Source::Engine(engine) = &self.source else { return Ok(()) };
        let stats = Arc::new(Stats::begin(engine).await?);
        *lock(&self.stats) = Some(stats.clone());
        let options = ListenOptions { limits: stats::LIMITS, on_fault: OnFault::Skip, ..ListenOptions::default() };
        self.listen(stats::NAME, stats, options).await
    }

    /// How consumers stand, in order of their names.
    pub fn status(&self) -> Vec<ListenerStatus> {
        let end = *self.source.appended().borrow();
        let status = |(name, shown): (&Arc<str>, &Arc<Shown>)| {
            let seen = lock(&shown.0);
            let Listening { next, skipped, counts, state } = seen.listener.clone()?;
            Some(ListenerStatus {
                name: name.clone(),
                state,
                next,
                lag: end.saturating_sub(next),
                events: counts.events,
                calls: counts.calls,
                failures: counts.failures,
                skipped,
                kv_rows: seen.table.rows() as u64,
                kv_bytes: seen.table.bytes() as u64,
            })
        };
        let mut all: Vec<_> = lock(&self.tables).iter().filter_map(status).collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// What a name has kept. Read from the store the first time, if nobody listens under it.
    pub fn table(&self, name: &str) -> KvSnapshot {
        if let Some(shown) = lock(&self.tables).get(name) {
            return lock(&shown.0).table.clone();
        }
        let reader = self.source.reader();
        match rows::load(&**reader.store(), reader.partition(), name) {
            Ok(kept) => {
                // Somebody may have begun to listen meanwhile: then that one's is newer.
                let mut tables = lock(&self.tables);
                let shown = tables
                    .entry(name.into())
                    .or_insert_with(|| Arc::new(Shown(Mutex::new(Seen { table: kept.table, listener: None }))));
                lock(&shown.0).table.clone()
            }
            Err(error) => {
                tracing::error!(plugin = name, %error, "a plugin's table cannot be read");
                KvSnapshot::default()
            }
        }
    }
}

impl Desk for Listeners {
    fn kv(&self, _: &str, plugin: &str) -> KvSnapshot {
        self.table(plugin)
    }

    fn stats(&self, _: &str) -> Arc<dyn StatsView> {
        Arc::new(StatsNow { stats: lock(&self.stats).clone(), table: self.table(stats::NAME) })
    }
}

impl Running {
    async fn end(self) {
        // An error: the loop has ended by itself.
        let _ = self.stop.send(true);
        // Nor is there anything to do if it panicked: that was printed.
        let _ = self.task.await;
    }
}

impl Shown {
    /// The loop is over, and nobody told it to end.
    fn ended(&self, error: &dyn std::fmt::Display) {
        if let Some(listening) = &mut lock(&self.0).listener {
            listening.state = ListenerState::Stopped { sequence: listening.next, error: error.to_string() };
        }
    }

    fn show(&self, follower: &Follower) {
        let listening = Listening {
            next: follower.next(),
            skipped: follower.skipped(),
            counts: follower.counts(),
            state: follower.state().clone(),
        };
        *lock(&self.0) = Seen { table: follower.table().clone(), listener: Some(listening) };
    }
}

struct Loop {
    follower: Follower,
    consumer: Arc<dyn EventsConsumer>,
    source: Source,
    shown: Arc<Shown>,
    linger: Duration,
}

impl Loop {
    /// Until it is told to stop, or the engine stops.
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        let mut appended = self.source.appended();
        // A panic takes the rest of the loop with it.
        let shown = self.shown.clone();
        while !*stopped.borrow_and_update() {
            appended.borrow_and_update();
            let (back, turn) = match tokio::task::spawn_blocking(move || self.turn()).await {
                Ok(turn) => turn,
                Err(error) => {
                    tracing::error!(%error, "a consumer of the feed panicked and hears no more");
                    shown.ended(&error);
                    return;
                }
            };
            self = back;
            // Before it waits: that it stopped is what somebody wants to see.
            self.shown.show(&self.follower);
            let more = async |appended: &mut watch::Receiver<u64>, linger| {
                let grown = appended.changed().await.is_ok();
                tokio::time::sleep(linger).await;
                grown
            };
            let goes_on = match turn {
                Ok(Turn::Commit(pending)) => {
                    let rows = pending.clone();
                    let durable = self.source.write_rows(Box::new(move |batch| rows.write(batch))).await;
                    if durable.is_ok() {
                        self.follower.committed(&pending);
                        self.shown.show(&self.follower);
                    }
                    durable.is_ok()
                }
                Ok(Turn::Again) => true,
                Ok(Turn::Idle) => tokio::select! {
                    grown = more(&mut appended, self.linger) => grown,
                    _ = stopped.changed() => true,
                },
                Ok(Turn::Stopped(after)) => tokio::select! {
                    () = tokio::time::sleep(after) => true,
                    _ = stopped.changed() => true,
                },
                Err(error) => {
                    tracing::error!(%error, "the feed cannot be read: its consumer hears no more");
                    shown.ended(&error);
                    false
                }
            };
            if !goes_on {
                return;
            }
        }
    }

    fn turn(mut self) -> (Self, Result<Turn, crate::store::StoreError>) {
        let turn = self.follower.turn(&*self.consumer);
        (self, turn)
    }
}
