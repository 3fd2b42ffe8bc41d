//! The handle that doors use: cheap to clone; calls are handled in the order in which they were begun.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use berth_core::{
    Chooser, Timestamp,
    work::{Assignment, Book, GetWork, Outputs, Rules, UpdateUnit, WorkerId},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{
    driver::{Command, Driver},
    partition::{Ask, Call, Steps, Waiter},
    recover,
};
use crate::{
    clock::Clock,
    committer::Committer,
    home,
    partition::{ReleaseFn, RowsFn},
    recover::RecoverError,
    store::{PartitionId, Store},
};

/// How many calls may wait for the driver; callers wait when it is full.
const INBOX_MAX: usize = 4_096;

/// What a namespace is started with.
pub struct WorkOptions {
    /// Tells the time.
    pub clock: Clock,
    /// The rules' numbers and switches.
    pub rules: Rules,
    /// Reads what finished units hand on.
    pub outputs: Arc<dyn Outputs>,
    /// Chooses among work specs; `None`: the built-in rule does.
    pub chooser: Option<Box<dyn Chooser>>,
    /// The name under which the chooser is asked.
    pub namespace: String,
    /// Whether locks survive a restart.
    pub locks_durable: bool,
    /// How often old units are archived without anybody asking for it; `None`: never.
    pub archive_every: Option<Duration>,
    /// Whether what happens is told in the event feed.
    pub feed: bool,
}

impl WorkOptions {
    /// The real clock, the default rules, no chaining, durable locks, no archiving on its own, and a feed.
    pub fn new() -> Self {
        Self {
            clock: Clock::system(),
            rules: Rules::default(),
            outputs: Arc::new(()),
            chooser: None,
            namespace: String::new(),
            locks_durable: true,
            archive_every: None,
            feed: true,
        }
    }
}

impl Default for WorkOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The server is stopping, or has lost its store: try again, here or elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server is stopping")]
pub struct Stopping;

/// A handle on the driver of one namespace.
#[derive(Clone)]
pub struct WorkBook {
    inbox: mpsc::Sender<Command>,
    clock: Clock,
    changes: watch::Receiver<u64>,
    appended: watch::Receiver<u64>,
    store: Arc<dyn Store>,
    partition: PartitionId,
    connections: Arc<AtomicU64>,
}

impl WorkBook {
    /// Recovers the namespace and starts its driver on the current tokio runtime. The handle returned with it waits for
    /// the end of the driver.
    pub fn start(
        store: &Arc<dyn Store>,
        committer: Committer,
        partition: PartitionId,
        options: WorkOptions,
    ) -> Result<(Self, JoinHandle<()>), RecoverError> {
        let WorkOptions { clock, rules, outputs, chooser, namespace, locks_durable, archive_every, feed } = options;
        let fence = store.acquire(partition)?;
        let mut recovered = recover(&**store, partition, rules, outputs, locks_durable, clock.now())?;
        if let Some(chooser) = chooser {
            recovered.set_chooser(chooser, namespace);
        }
        let feed_told = store.next_sequence(partition)?;
        if feed {
            recovered.tell_from(feed_told);
        }
        // Greater than any before: of another process too, unless its clock was ahead, and then its rows tell.
        let first_connection = clock.now().0.max(recovered.book().connections_end());
        let (inbox, commands) = mpsc::channel(INBOX_MAX);
        let ((changes, changed), (appended, grown)) = (watch::channel(0), watch::channel(feed_told));
        let driver = Driver {
            partition: recovered,
            fence,
            clock: clock.clone(),
            committer,
            commands,
            archive_every,
            changes,
            appended,
            feed_told,
        };
        let driver = tokio::spawn(driver.run());
        let connections = Arc::new(AtomicU64::new(first_connection));
        let book =
            Self { inbox, clock, changes: changed, appended: grown, store: store.clone(), partition, connections };
        Ok((book, driver))
    }

    /// Begins a call. It is handled after all that were begun before, and the reply comes when everything that it did and
    /// saw is durable. The closure runs on the driver's task: it should do nothing but talk to the book.
    pub async fn begin<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<Pending<T>, Stopping> {
        let (sender, receiver) = oneshot::channel();
        let call: Call = Box::new(move |book: &mut Book| -> ReleaseFn {
            let answer = ask(book);
            // Who asked may be gone: what was asked is done all the same.
            Box::new(move || drop(sender.send(answer)))
        });
        self.inbox.send(Command::Ask { ask: Ask::Call(call), home: home::here() }).await.map_err(|_| Stopping)?;
        Ok(Pending(receiver))
    }

    /// Begins a call and waits for the reply.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        self.begin(ask).await?.await
    }

    /// Begins something that takes long: called again and again, with other calls in between, until it answers. What it
    /// did in between is seen, and stays if the server stops before it is over.
    pub async fn begin_steps<T: Send + 'static>(
        &self,
        mut step: impl FnMut(&mut Book) -> Option<T> + Send + 'static,
    ) -> Result<Pending<T>, Stopping> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let steps: Steps = Box::new(move |book: &mut Book| -> Option<ReleaseFn> {
            let answer = step(book)?;
            let sender = sender.take();
            Some(Box::new(move || drop(sender.map(|sender| sender.send(answer)))))
        });
        self.inbox.send(Command::Ask { ask: Ask::Steps(steps), home: None }).await.map_err(|_| Stopping)?;
        Ok(Pending(receiver))
    }

    /// Waits until there is work for this worker. Whoever drops the call while it waits gets nothing; what was handed out
    /// to a call that is gone by then is given back.
    pub async fn wait_for_work(&self, ask: GetWork) -> Result<Vec<Assignment>, Stopping> {
        let (sender, receiver) = oneshot::channel();
        let mut sender = Some(sender);
        let inbox = self.inbox.downgrade();
        let waiter: Waiter = Box::new(move |book: &mut Book| -> Option<ReleaseFn> {
            if sender.as_ref().is_none_or(oneshot::Sender::is_closed) {
                return Some(Box::new(|| {}));
            }
            let units = book.get_work(&ask);
            if units.is_empty() {
                return None;
            }
            if let Some(call) = ask.call {
                // The client may be gone without a word: who asks again is known from now on.
                book.connection_ended(call.connection, false);
            }
            let (sender, worker, inbox) = (sender.take()?, ask.worker.clone(), inbox.clone());
            Some(Box::new(move || {
                if let (Err(units), Some(inbox)) = (sender.send(units), inbox.upgrade()) {
                    // Where the driver is busy, they come back when their leases end.
                    let _ = inbox.try_send(Command::Ask { ask: Ask::Call(give_back(worker, units)), home: None });
                }
            }))
        });
        self.inbox.send(Command::Ask { ask: Ask::Wait(waiter), home: None }).await.map_err(|_| Stopping)?;
        receiver.await.map_err(|_| Stopping)
    }

    /// Grows when something has changed and that is durable. Ends with the driver.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    /// The feed's next position, as it is on disk: changes when events are durable. Ends with the driver.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.clone()
    }

    /// Where its rows and its feed are.
    pub fn store(&self) -> (&Arc<dyn Store>, PartitionId) {
        (&self.store, self.partition)
    }

    /// Adds rows that are not the book's to a batch. On `Ok` they are durable.
    pub async fn write_rows(&self, add: RowsFn) -> Result<(), Stopping> {
        self.inbox.send(Command::Ask { ask: Ask::Rows(add), home: None }).await.map_err(|_| Stopping)?;
        // Answered when everything before it is durable.
        self.ask(|_| ()).await
    }

    /// A number for a connection: for [`CallId`].
    ///
    /// [`CallId`]: berth_core::work::CallId
    pub fn connection(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed)
    }

    /// The time by the engine's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Lets the driver finish what has arrived, and end. Later calls are answered [`Stopping`].
    pub async fn stop(&self) {
        // An error: it has ended already.
        let _ = self.inbox.send(Command::Stop).await;
    }
}

/// Units of a worker that never heard of them.
fn give_back(worker: WorkerId, units: Vec<Assignment>) -> Call {
    Box::new(move |book: &mut Book| {
        for Assignment { spec, key, .. } in units {
            let update = UpdateUnit { lease_s: Some(0.0), worker: Some(worker.clone()), ..UpdateUnit::default() };
            // An error: the unit or its spec is gone, or somebody else has it.
            let _ = book.update_unit(&spec, &key, update);
        }
        Box::new(|| {})
    })
}

/// The reply to a call that was begun.
pub struct Pending<T>(oneshot::Receiver<T>);

impl<T> Future for Pending<T> {
    type Output = Result<T, Stopping>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| Stopping)
    }
}
