//! The handle that doors use: cheap to clone; calls are handled in the order in which they were begun.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use berth_core::{
    Chooser, Timestamp,
    work::{Book, Outputs, Rules},
};
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    driver::{Command, Driver},
    recover,
};
use crate::{
    clock::Clock,
    committer::Committer,
    home,
    partition::ReleaseFn,
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
}

impl WorkOptions {
    /// The real clock, the default rules, no chaining, durable locks, no archiving on its own.
    pub fn new() -> Self {
        Self {
            clock: Clock::system(),
            rules: Rules::default(),
            outputs: Arc::new(()),
            chooser: None,
            namespace: String::new(),
            locks_durable: true,
            archive_every: None,
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
        let WorkOptions { clock, rules, outputs, chooser, namespace, locks_durable, archive_every } = options;
        let fence = store.acquire(partition)?;
        let mut recovered = recover(&**store, partition, rules, outputs, locks_durable, clock.now())?;
        if let Some(chooser) = chooser {
            recovered.set_chooser(chooser, namespace);
        }
        let (inbox, commands) = mpsc::channel(INBOX_MAX);
        let driver = Driver { partition: recovered, fence, clock: clock.clone(), committer, commands, archive_every };
        let driver = tokio::spawn(driver.run());
        Ok((Self { inbox, clock }, driver))
    }

    /// Begins a call. It is handled after all that were begun before, and the reply comes when everything that it did and
    /// saw is durable. The closure runs on the driver's task: it should do nothing but talk to the book.
    pub async fn begin<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<Pending<T>, Stopping> {
        let (sender, receiver) = oneshot::channel();
        let call = Box::new(move |book: &mut Book| -> ReleaseFn {
            let answer = ask(book);
            // Who asked may be gone: what was asked is done all the same.
            Box::new(move || drop(sender.send(answer)))
        });
        self.inbox.send(Command::Call { call, home: home::here() }).await.map_err(|_| Stopping)?;
        Ok(Pending(receiver))
    }

    /// Begins a call and waits for the reply.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Book) -> T + Send + 'static,
    ) -> Result<T, Stopping> {
        self.begin(ask).await?.await
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

/// The reply to a call that was begun.
pub struct Pending<T>(oneshot::Receiver<T>);

impl<T> Future for Pending<T> {
    type Output = Result<T, Stopping>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(context).map_err(|_| Stopping)
    }
}
