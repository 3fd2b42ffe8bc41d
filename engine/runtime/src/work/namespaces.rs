//! Namespaces: each has a book, a driver and a partition of its own, so that what one does is nothing to the others.
//!
//! The first is the operator's, and always there. Others come when somebody writes to them, up to a bound, and stay until
//! somebody deletes them. Which of them is in which partition stands in a partition that has nothing else: the directory.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use tokio::{
    runtime::Handle,
    sync::{Mutex, mpsc, oneshot, watch},
    task::JoinHandle,
};

use super::{Stopping, WorkBook, WorkOptions};
use crate::{
    codec::CodecError,
    committer::{Committer, Work},
    home::{Leave, Leaving},
    recover::RecoverError,
    store::{Batch, Commit, Fence, PartitionId, Store, StoreError, Table},
};

/// The directory, and where namespaces begin that come by themselves. A number is never used again: what a deletion that
/// was cut short may leave is nobody's.
const DIRECTORY: PartitionId = PartitionId(2);
const OTHERS: u32 = 16;

/// A row of the directory: the number of the partition, big endian, and whether it is being deleted.
const KEY: &[u8] = b"namespace/";
const LIVES: u8 = 0;
const DELETED: u8 = 1;

/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// All rows of a namespace.
const TABLES: [Table; 7] = [
    Table::WorkSpecs,
    Table::WorkUnits,
    Table::WorkStates,
    Table::Workers,
    Table::WorkLocks,
    Table::WorkReceipts,
    Table::PluginData,
];

/// What a namespace of this name is started with.
pub type OptionsOf = Box<dyn Fn(&str) -> WorkOptions + Send + Sync>;

/// Why there is no such namespace, or why it stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    /// There are as many as the operator allows.
    #[error("there are {0} namespaces already, and no more are allowed")]
    TooMany(usize),
    /// A name is 1 to 128 letters, digits and any of `-_./`.
    #[error("{0:?} is no name of a namespace: 1 to 128 letters, digits and any of -_./ are expected")]
    BadName(String),
    /// The operator's namespace is always there.
    #[error("namespace {0:?} is that of the configuration, and is not deleted: delete its specs")]
    First(String),
    /// The rows of the namespace cannot be read or written.
    #[error("namespace cannot be opened: {0}")]
    Store(String),
    /// The server is stopping.
    #[error(transparent)]
    Stopping(#[from] Stopping),
}

/// A handle on all namespaces of a server.
#[derive(Clone)]
pub struct Namespaces(Arc<Inner>);

struct Inner {
    store: Arc<dyn Store>,
    /// Where drivers run.
    runtime: Handle,
    options: OptionsOf,
    first: String,
    most: usize,
    /// Looked at by every call; changed with `directory` locked.
    books: RwLock<BTreeMap<String, WorkBook>>,
    /// Grows when one comes or goes.
    changes: watch::Sender<u64>,
    directory: Mutex<Directory>,
}

impl Inner {
    // A panic of whoever held them leaves them whole: each change is one insertion or removal.
    fn books(&self) -> RwLockReadGuard<'_, BTreeMap<String, WorkBook>> {
        self.books.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn books_mut(&self) -> RwLockWriteGuard<'_, BTreeMap<String, WorkBook>> {
        self.books.write().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Directory {
    fence: Fence,
    next: u32,
    /// None once the server stops.
    committer: Option<Committer>,
    open: BTreeMap<String, Opened>,
    /// The namespaces of drivers that panicked.
    ended: mpsc::UnboundedSender<String>,
}

struct Opened {
    partition: PartitionId,
    /// Ends when the driver has.
    driver: JoinHandle<()>,
}

impl Namespaces {
    /// Recovers every namespace, and starts their drivers on the current runtime. The first is in the partition that is
    /// named with it. What is returned beside the handle tells the namespaces of drivers that panicked.
    pub fn open(
        store: &Arc<dyn Store>,
        committer: Committer,
        first: (&str, PartitionId),
        most: usize,
        options: OptionsOf,
    ) -> Result<(Self, mpsc::UnboundedReceiver<String>), RecoverError> {
        let fence = store.acquire(DIRECTORY)?;
        let rows = read(&**store)?;
        let (ended, told) = mpsc::unbounded_channel();
        let next = last(&**store)?;
        let directory = Directory { fence, next, committer: Some(committer), open: BTreeMap::new(), ended };
        let inner = Inner {
            store: store.clone(),
            runtime: Handle::current(),
            options,
            first: first.0.to_owned(),
            most,
            books: RwLock::default(),
            changes: watch::Sender::new(0),
            directory: Mutex::new(directory),
        };
        let namespaces = Self(Arc::new(inner));
        {
            let mut directory = namespaces.0.directory.try_lock().expect("nobody else has it yet");
            namespaces.start(&mut directory, first.0, first.1)?;
            for (name, (number, state)) in rows {
                let partition = PartitionId(number);
                if state == LIVES {
                    namespaces.start(&mut directory, &name, partition)?;
                    continue;
                }
                // A deletion was cut short.
                let fence = store.acquire(partition)?;
                let forget = forgotten(&name);
                let commits = [Commit { fence, batch: wiped() }, Commit { fence: directory.fence, batch: forget }];
                store.commit(&commits).into_iter().collect::<Result<Vec<()>, StoreError>>()?;
            }
        }
        Ok((namespaces, told))
    }

    /// The book of a namespace, if there is one.
    pub fn get(&self, name: &str) -> Option<WorkBook> {
        self.0.books().get(name).cloned()
    }

    /// The book of a namespace, which is made if there is none yet.
    pub async fn get_or_make(&self, name: &str) -> Result<WorkBook, NamespaceError> {
        if let Some(book) = self.get(name) {
            return Ok(book);
        }
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(fits) {
            return Err(NamespaceError::BadName(name.to_owned()));
        }
        let mut directory = self.0.directory.lock().await;
        if let Some(book) = self.get(name) {
            return Ok(book);
        }
        if directory.open.len() >= self.0.most {
            return Err(NamespaceError::TooMany(self.0.most));
        }
        let number = directory.next;
        directory.next += 1;
        // Before its rows: what is in no directory would never be found again.
        let mut batch = Batch::default();
        batch.put(Table::Meta, &key(name), |out| row(number, LIVES, out));
        batch.put(Table::Meta, LAST, |out| out.extend(directory.next.to_be_bytes()));
        directory.commit(directory.fence, batch).await?;
        self.start(&mut directory, name, PartitionId(number)).map_err(|error| NamespaceError::Store(error.to_string()))
    }

    /// Deletes a namespace with everything in it; whoever waits for its work is told that it stops. `false`: there is none.
    pub async fn delete(&self, name: &str) -> Result<bool, NamespaceError> {
        if name == self.0.first {
            return Err(NamespaceError::First(name.to_owned()));
        }
        let mut directory = self.0.directory.lock().await;
        let Some(book) = self.0.books_mut().remove(name) else {
            return Ok(false);
        };
        self.0.changes.send_modify(|number| *number += 1);
        let Opened { partition, driver } = directory.open.remove(name).expect("a book that is open has a driver");
        book.stop().await;
        // It cannot fail: a panic of the driver is told of elsewhere.
        let _ = driver.await;
        let mut batch = Batch::default();
        batch.put(Table::Meta, &key(name), |out| row(partition.0, DELETED, out));
        directory.commit(directory.fence, batch).await?;
        let fence = self.0.store.acquire(partition).map_err(|error| NamespaceError::Store(error.to_string()))?;
        directory.commit(fence, wiped()).await?;
        directory.commit(directory.fence, forgotten(name)).await?;
        Ok(true)
    }

    /// Every namespace with its book, by name.
    pub fn all(&self) -> Vec<(String, WorkBook)> {
        let books = self.0.books();
        books.iter().map(|(name, book)| (name.clone(), book.clone())).collect()
    }

    /// Grows when a namespace comes or goes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.0.changes.subscribe()
    }

    /// Lets every driver finish what has arrived, and waits until that is durable.
    pub async fn stop(&self) {
        let mut directory = self.0.directory.lock().await;
        let Some(committer) = directory.committer.take() else { return };
        for (_, book) in self.all() {
            book.stop().await;
        }
        for (_, Opened { driver, .. }) in std::mem::take(&mut directory.open) {
            let _ = driver.await;
        }
        committer.finish();
    }

    fn start(&self, directory: &mut Directory, name: &str, partition: PartitionId) -> Result<WorkBook, RecoverError> {
        let committer = directory.committer.clone().ok_or(StoreError::Failed("the server is stopping".into()))?;
        let _there = self.0.runtime.enter();
        let (book, driver) = WorkBook::start(&self.0.store, committer, partition, (self.0.options)(name))?;
        let (ended, told) = (directory.ended.clone(), name.to_owned());
        let driver = tokio::spawn(async move {
            // Otherwise it was told to end, or the store failed, and everybody knows.
            if driver.await.is_err() {
                let _ = ended.send(told);
            }
        });
        directory.open.insert(name.to_owned(), Opened { partition, driver });
        self.0.books_mut().insert(name.to_owned(), book.clone());
        self.0.changes.send_modify(|number| *number += 1);
        Ok(book)
    }
}

impl Directory {
    async fn commit(&self, fence: Fence, batch: Batch) -> Result<(), NamespaceError> {
        let committer = self.committer.as_ref().ok_or(Stopping)?;
        let (done, durable) = oneshot::channel::<()>();
        let mut leaving = Leaving::default();
        // Nobody waits any more: it is done all the same.
        leaving.add(None, Leave::Run(Box::new(move || _ = done.send(()))));
        committer.push(Work { fence, batch, leaving }).await.map_err(|_| Stopping)?;
        Ok(durable.await.map_err(|_| Stopping)?)
    }
}

/// The row that says which number is next.
const LAST: &[u8] = b"next";

fn key(name: &str) -> Vec<u8> {
    [KEY, name.as_bytes()].concat()
}

fn row(number: u32, state: u8, out: &mut Vec<u8>) {
    out.extend(number.to_be_bytes());
    out.push(state);
}

/// By name: number of the partition, and state.
fn read(store: &dyn Store) -> Result<BTreeMap<String, (u32, u8)>, RecoverError> {
    let mut rows = Some(BTreeMap::new());
    store.scan(DIRECTORY, Table::Meta, KEY, &mut |key, value| {
        let Some(name) = key.strip_prefix(KEY) else { return ControlFlow::Break(()) };
        let read = || {
            let (number, state) = value.split_first_chunk::<4>()?;
            let (name, [state @ (LIVES | DELETED)]) = (String::from_utf8(name.to_vec()).ok()?, state) else {
                return None;
            };
            Some((name, (u32::from_be_bytes(*number), *state)))
        };
        match (read(), &mut rows) {
            (Some((name, row)), Some(rows)) => _ = rows.insert(name, row),
            (None, _) | (_, None) => rows = None,
        }
        ControlFlow::Continue(())
    })?;
    rows.ok_or(RecoverError::Row { table: Table::Meta.name(), source: CodecError::Field("namespace") })
}

fn last(store: &dyn Store) -> Result<u32, StoreError> {
    let row = store.get(DIRECTORY, Table::Meta, &[LAST])?.pop().flatten();
    Ok(row.and_then(|bytes| Some(u32::from_be_bytes(bytes[..].try_into().ok()?))).unwrap_or(OTHERS))
}

/// Deletes all rows of a namespace.
fn wiped() -> Batch {
    // Longer than any name that is worth the wait: what begins with more of the last byte is left, and is nobody's.
    let end = [0xff; 4096];
    let mut batch = Batch::default();
    TABLES.into_iter().for_each(|table| batch.delete_range(table, &[], &end));
    batch.trim_feed(u64::MAX);
    batch
}

fn forgotten(name: &str) -> Batch {
    let mut batch = Batch::default();
    batch.delete(Table::Meta, &key(name));
    batch
}
