//! The handle that services use: cheap to clone, waits where the driver is busy, and answers in terms of core.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use berth_core::{
    Asking, Book, Event, InstanceName, JobId, Limit, OpenSession, OperationId, OperationView, PollId, Rejection, Reply,
    SessionId, Settings, Submit, Timestamp, UpdateSession,
};
use berth_proto::store as pb;
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    asker::Asker,
    clock::Clock,
    cohorts::Cohorts,
    committer::Committer,
    driver::{Caller, Command, Driver, Token},
    history::History,
    home,
    loading::Loading,
    operations::{self, entries_of},
    partition::{Attachment, ChangeFn, Input, RowsFn},
    policy::Policy,
    recover::{Limits, RecoverError, recover},
    replace::{Replacer, unfinished},
    session::{Delivery, Waiting},
    store::{PartitionId, Store, StoreError},
    tally::Tally,
};

/// What a watcher of an operation sees.
pub type Update = OperationView;

/// How many commands may wait for the driver; callers wait when it is full.
const INBOX_MAX: usize = 4_096;

/// Why the engine did not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The rules say no.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The engine is stopping: try again, here or elsewhere.
    #[error("the server is stopping")]
    Stopping,
    /// The disk is nearly full: no new work until there is room again.
    #[error("the store has {free_bytes} bytes free, less than its reserve of {reserve_bytes}: no new work is accepted")]
    StoreFull {
        /// Bytes that the disk has left.
        free_bytes: u64,
        /// Bytes that are kept for work that was accepted.
        reserve_bytes: u64,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Hears of jobs that are over, once that is durable.
pub trait Observer: Send + Sync + 'static {
    /// The job is over. Called on the committer's thread: must be quick.
    fn job_completed(&self, job: JobId);
}

/// Nobody listens.
impl Observer for () {
    fn job_completed(&self, _: JobId) {}
}

/// What a partition is started with.
pub struct Options {
    /// The rules' numbers.
    pub settings: Settings,
    /// Tells the time.
    pub clock: Clock,
    /// Hears of finished jobs.
    pub observer: Arc<dyn Observer>,
    /// Below this many free bytes new work is refused.
    pub reserve_bytes: u64,
    /// How much is restored before bots are served.
    pub heads: Limits,
    /// Answers what core asks in the middle of a job's life, and what retention asks.
    pub policy: Arc<dyn Policy>,
    /// Which labels are counted together, for quotas.
    pub cohorts: Arc<Cohorts>,
}

/// A handle on the driver of one partition.
#[derive(Clone)]
pub struct Engine {
    /// What is handled as it comes.
    prompt: mpsc::Sender<Command>,
    /// What waits after a restart until every job is loaded.
    patient: mpsc::Sender<Command>,
    endings: mpsc::UnboundedSender<Event>,
    pub(crate) clock: Clock,
    history: History,
    /// Kept to subscribe to it; the driver alone sends.
    appended: watch::Sender<u64>,
    space: Arc<SpaceGate>,
    polls: Arc<AtomicU64>,
    policy: Arc<dyn Policy>,
    tally: Arc<Tally>,
    cohorts: Arc<Cohorts>,
    pub(crate) replacer: Arc<Replacer>,
}

/// What a submit gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submitted {
    /// The job that the handle names.
    pub job: JobId,
    /// Whether the job was there before.
    pub merged: bool,
}

/// Refuses new work while the disk is nearly full.
#[derive(Debug)]
struct SpaceGate {
    short: AtomicBool,
    free_bytes: AtomicU64,
    reserve_bytes: u64,
}

impl Engine {
    /// Recovers the partition and starts its driver on the current tokio runtime. The handle returned with it
    /// waits for the end of the driver. Bots are served from now on; clients as soon as every job is loaded.
    pub fn start(
        store: Arc<dyn Store>,
        committer: Committer,
        partition: PartitionId,
        options: Options,
    ) -> Result<(Self, tokio::task::JoinHandle<Result<(), RecoverError>>), RecoverError> {
        let fence = store.acquire(partition)?;
        operations::ensure(&*store, &fence)?;
        let now = options.clock.now();
        let (mut recovered, loader) = recover(&*store, partition, options.settings, now, options.heads)?;
        if let Some(chooser) = options.policy.clone().choosing() {
            recovered.set_chooser(chooser);
        }
        let loading = loader.map(|loader| Loading::start(loader, store.clone())).transpose()?;
        let (prompt, prompt_inbox) = mpsc::channel(INBOX_MAX);
        let (patient, patient_inbox) = mpsc::channel(INBOX_MAX);
        let (endings, endings_inbox) = mpsc::unbounded_channel();
        let unfinished = unfinished(&*store, partition)?;
        let history = History::new(store, partition);
        let (feed_told, tally) = (recovered.next_sequence(), recovered.tally());
        let appended = watch::Sender::new(feed_told);
        let (questions, asked) = mpsc::unbounded_channel();
        let asker = Asker {
            policy: options.policy.clone(),
            cohorts: options.cohorts.clone(),
            history: history.clone(),
            clock: options.clock.clone(),
            prompt: prompt.downgrade(),
        };
        tokio::spawn(asker.run(asked));
        let driver = Driver {
            partition: recovered,
            history: history.clone(),
            fence,
            clock: options.clock.clone(),
            committer,
            prompt: prompt_inbox,
            patient: patient_inbox,
            loading,
            endings: endings_inbox,
            endings_sender: endings.clone(),
            observer: options.observer,
            feed_told,
            appended: appended.clone(),
            polls: Default::default(),
            watchers: Default::default(),
            questions,
        };
        let driver = tokio::spawn(driver.run());
        let space = SpaceGate {
            short: AtomicBool::new(false),
            free_bytes: AtomicU64::new(u64::MAX),
            reserve_bytes: options.reserve_bytes,
        };
        let engine = Self {
            prompt,
            patient,
            endings,
            clock: options.clock,
            history,
            appended,
            space: Arc::new(space),
            // Calls of a session that outlives a restart get new numbers.
            polls: Arc::new(AtomicU64::new(1)),
            policy: options.policy,
            tally,
            cohorts: options.cohorts,
            replacer: Arc::new(Replacer::new(now)),
        };
        engine.look_at_space()?;
        engine.take_up(unfinished);
        Ok((engine, driver))
    }

    /// The engine's time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The feed's next position, as it is on disk: changes when events are durable.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.appended.subscribe()
    }

    /// What is counted of jobs since the process began.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What is stored of jobs: bodies, results, finished operations.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Asks for an action. On `Ok` it is durable; with it come the updates of the operation, as from [`Engine::watch`].
    pub async fn submit(
        &self,
        submit: Submit,
        body: Arc<pb::JobBody>,
    ) -> Result<(Submitted, watch::Receiver<Update>), EngineError> {
        self.space.check()?;
        let (operation, job) = (submit.operation, JobId(submit.operation.0));
        let attachment = self.history.attach_body(job, body);
        match self.send_submit(operation, Event::Submit(Box::new(submit)), attachment).await? {
            (Reply::Submitted { job: other, merged }, updates) => {
                if merged {
                    self.history.forget(job);
                }
                Ok((Submitted { job: other, merged }, updates))
            }
            (Reply::Done, _) => unreachable!("a submit is answered by its job"),
        }
    }

    /// Records an operation that the action cache answered.
    pub async fn submit_cached(
        &self,
        submit: Submit,
        body: Arc<pb::JobBody>,
        result: pb::JobResult,
    ) -> Result<watch::Receiver<Update>, EngineError> {
        self.space.check()?;
        let (operation, job) = (submit.operation, JobId(submit.operation.0));
        let mut attachment = self.history.attach_body(job, body);
        let lease = berth_core::LeaseId { job, attempt: 0 };
        attachment.results.push((lease, result.encode_to_vec().into()));
        let (_, updates) = self.send_submit(operation, Event::SubmitCached(Box::new(submit)), attachment).await?;
        Ok(updates)
    }

    /// Cancels an operation.
    pub async fn cancel(&self, operation: OperationId) -> Result<(), EngineError> {
        match self.event(Event::Cancel { operation }, Attachment::default()).await {
            // What ended long ago cannot be cancelled any more, and need not be.
            Err(EngineError::Rejected(Rejection::UnknownOperation(_)))
                if self.history.operation(operation).await?.is_some() =>
            {
                Ok(())
            }
            other => other.map(drop),
        }
    }

    /// Forgets a finished operation.
    pub async fn delete(&self, operation: OperationId) -> Result<(), EngineError> {
        let known = self.operation(operation).await?.ok_or(Rejection::UnknownOperation(operation))?;
        let row = self.history.operation_row(operation).await?.unwrap_or_default();
        let finished = self.history.finished(known.job).await?;
        let over = finished.as_ref().and_then(|row| Some((row, operations::handle_of(row, operation)?)));
        let entries = entries_of(operation, &known.instance, &row.request_metadata, over);
        let attachment = Attachment { entries, ..Attachment::default() };
        self.event(Event::Delete { operation, job: known.job }, attachment).await.map(drop)
    }

    /// An operation as it is now, however long ago it ended.
    pub async fn operation(&self, operation: OperationId) -> Result<Option<OperationView>, EngineError> {
        match self.read(move |book| book.operation(operation)).await? {
            Some(view) => Ok(Some(view)),
            None => Ok(self.history.operation(operation).await?),
        }
    }

    /// Watches an operation: what it is now, and each change from then on, without a gap. The newest state
    /// replaces one that was not looked at yet. `None`: there is no such operation.
    pub async fn watch(&self, operation: OperationId) -> Result<Option<watch::Receiver<Update>>, EngineError> {
        let (reply, answer) = oneshot::channel();
        self.send_patient(Command::Watch { operation, reply, home: home::here() }).await?;
        if let Some(receiver) = answer.await.map_err(|_| EngineError::Stopping)? {
            return Ok(Some(receiver));
        }
        let finished = self.history.operation(operation).await?;
        Ok(finished.map(|view| watch::channel(view).1))
    }

    /// Opens a bot's session; the answer comes when there is work, or when the call was held long enough.
    pub async fn open_session(&self, open: impl FnOnce(PollId) -> OpenSession) -> Result<Delivery, EngineError> {
        let poll = self.next_poll();
        let open = open(poll);
        let session = open.session;
        self.poll(session, poll, Event::OpenSession(Box::new(open)), Attachment::default()).await
    }

    /// Takes a bot's report; `results` are the encoded results of leases that it completes.
    pub async fn update_session(
        &self,
        update: impl FnOnce(PollId) -> UpdateSession,
        results: Vec<(berth_core::LeaseId, pb::JobResult)>,
    ) -> Result<Delivery, EngineError> {
        let poll = self.next_poll();
        let update = update(poll);
        let session = update.session;
        let results = results.into_iter().map(|(lease, result)| (lease, result.encode_to_vec().into())).collect();
        let attachment = Attachment { results, ..Attachment::default() };
        self.poll(session, poll, Event::UpdateSession(Box::new(update)), attachment).await
    }

    /// Drains a bot, or ends the drain.
    pub async fn drain(
        &self,
        instance: berth_core::InstanceName,
        bot_id: Arc<str>,
        on: bool,
    ) -> Result<(), EngineError> {
        self.event(Event::Drain { instance, bot_id, on }, Attachment::default()).await.map(drop)
    }

    /// Pauses the jobs of an instance, or those of it with a label, or ends that.
    pub async fn pause(&self, instance: InstanceName, label: Option<Arc<str>>, on: bool) -> Result<(), EngineError> {
        self.event(Event::Pause { instance, label, on }, Attachment::default()).await.map(drop)
    }

    /// Takes a job from its bot: it waits again at its old place. `counts`: as a lost attempt.
    pub async fn requeue(&self, job: JobId, counts: bool) -> Result<(), EngineError> {
        self.event(Event::Requeue { job, counts }, Attachment::default()).await.map(drop)
    }

    /// Ends a bot's session at once; its jobs wait again, and that was no attempt of theirs.
    pub async fn kick(&self, session: SessionId) -> Result<(), EngineError> {
        self.event(Event::Kick { session }, Attachment::default()).await?;
        // Very many leases end some at a time.
        while self.peek(move |book| book.session_view(session).is_some()).await? {
            match self.event(Event::Kick { session }, Attachment::default()).await {
                Ok(_) => {}
                Err(EngineError::Rejected(Rejection::UnknownSession(_))) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends the quarantine of a bot.
    pub async fn release(&self, instance: InstanceName, bot_id: Arc<str>) -> Result<(), EngineError> {
        self.event(Event::Release { instance, bot_id }, Attachment::default()).await.map(drop)
    }

    /// Sets the numbers of a counter, or lets those of its jobs hold again. On `Ok` that is durable, and holds.
    pub async fn set_limit(
        &self,
        instance: InstanceName,
        counter: Arc<str>,
        limit: Option<Arc<Limit>>,
    ) -> Result<(), EngineError> {
        self.event(Event::SetLimit { instance, counter, limit }, Attachment::default()).await.map(drop)
    }

    /// Tells core which questions of these instances somebody answers: at the start, and whenever the policies change.
    pub async fn learn_asks(&self, instances: &[InstanceName]) -> Result<(), EngineError> {
        for instance in instances {
            let asks = self.policy.asks(&instance.0);
            let matching = asks.matching.then(|| self.policy.generation());
            let asking =
                Asking { attempts: asks.attempt, unmatched: asks.unmatched, matching, choosing: asks.choosing };
            let event = Event::Asking { instance: instance.clone(), asking };
            self.event(event, Attachment::default()).await?;
        }
        Ok(())
    }

    /// Which labels are counted together, for quotas.
    pub fn cohorts(&self) -> &Arc<Cohorts> {
        &self.cohorts
    }

    /// Who answers questions of policy in the middle of a job's life.
    pub fn policy(&self) -> &Arc<dyn Policy> {
        &self.policy
    }

    /// Looks at the book. What is seen is committed by the time it is answered. Waits until every job is loaded.
    pub async fn read<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Book) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        let (look, answer) = committed(look);
        self.send_patient(look).await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// The same at once, also while jobs are being loaded: sessions, drains, leased jobs and counts are complete, other
    /// jobs may be missing.
    pub async fn read_promptly<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Book) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        let (look, answer) = committed(look);
        self.send(look).await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// Looks at the book as it is now, which may be ahead of the disk: for decisions that go into a later event,
    /// never for what a client or a bot is told. As prompt as `read_promptly`.
    pub async fn peek<R: Send + 'static>(
        &self,
        look: impl FnOnce(&Book) -> R + Send + 'static,
    ) -> Result<R, EngineError> {
        let (reply, answer) = oneshot::channel();
        let look = Box::new(move |book: &Book| {
            // The caller may be gone.
            drop(reply.send(look(book)));
            None
        });
        self.send(Command::Input(Input::Read(look))).await?;
        answer.await.map_err(|_| EngineError::Stopping)
    }

    /// Commits rows that are not the book's, in their turn. On `Ok` they are durable.
    pub async fn write_rows(&self, add: RowsFn) -> Result<(), EngineError> {
        self.send_patient(Command::Input(Input::Rows(add))).await?;
        // Answered when everything before it is durable.
        self.read(|_| ()).await
    }

    /// Other policies come into force, between two steps: what the engine does before it is of the old ones, what it does
    /// after it of the new ones, and an answer of the old ones that comes later counts no more. Who adds rows commits them
    /// together with the events that tell of it. On `Ok` all of that is durable.
    pub async fn change_policies(&self, change: ChangeFn) -> Result<(), EngineError> {
        let (reply, answer) = oneshot::channel();
        let token = Token { caller: Caller::Reply(reply), home: home::here() };
        self.send(Command::Input(Input::Policies { change, token })).await?;
        answer.await.map_err(|_| EngineError::Stopping)??;
        Ok(())
    }

    /// Looks at the disk: below the reserve new work is refused, until there is room again.
    pub fn look_at_space(&self) -> Result<(), StoreError> {
        let free = self.history.store().space()?.free_bytes;
        self.space.free_bytes.store(free, Ordering::Relaxed);
        self.space.short.store(free < self.space.reserve_bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Whether new work is accepted now: not while the disk is nearly full.
    pub fn takes_work(&self) -> Result<(), EngineError> {
        self.space.check()
    }

    /// Stops the driver once everything that has arrived is durable.
    pub async fn stop(&self) {
        // An error: it has stopped already.
        let _ = self.prompt.send(Command::Stop).await;
    }

    async fn poll(
        &self,
        session: SessionId,
        poll: PollId,
        event: Event,
        attachment: Attachment,
    ) -> Result<Delivery, EngineError> {
        let (reply, answer) = Waiting::new(session, poll, self.endings.clone());
        let token = Token { caller: Caller::Poll(session, poll), home: home::here() };
        let input = Input::Event { event, attachment, token };
        self.send(Command::Poll { session, poll, reply, input }).await?;
        answer.answer().await
    }

    pub(crate) async fn event(&self, event: Event, attachment: Attachment) -> Result<Reply, EngineError> {
        let (reply, answer) = oneshot::channel();
        let token = Token { caller: Caller::Reply(reply), home: home::here() };
        let patient = event.needs_every_job();
        let command = Command::Input(Input::Event { event, attachment, token });
        if patient {
            self.send_patient(command).await?
        } else {
            self.send(command).await?
        }
        Ok(answer.await.map_err(|_| EngineError::Stopping)??)
    }

    async fn send_submit(
        &self,
        operation: OperationId,
        event: Event,
        attachment: Attachment,
    ) -> Result<(Reply, watch::Receiver<Update>), EngineError> {
        let (reply, answer) = oneshot::channel();
        let token = Token { caller: Caller::Submit(operation, reply), home: home::here() };
        self.send_patient(Command::Input(Input::Event { event, attachment, token })).await?;
        let (reply, updates) = answer.await.map_err(|_| EngineError::Stopping)??;
        // An operation whose job the book forgot in the same batch: it is in the store.
        match updates {
            Some(updates) => Ok((reply, updates)),
            None => match self.watch(operation).await? {
                Some(updates) => Ok((reply, updates)),
                None => Err(Rejection::UnknownOperation(operation).into()),
            },
        }
    }

    async fn send(&self, command: Command) -> Result<(), EngineError> {
        self.prompt.send(command).await.map_err(|_| EngineError::Stopping)
    }

    async fn send_patient(&self, command: Command) -> Result<(), EngineError> {
        self.patient.send(command).await.map_err(|_| EngineError::Stopping)
    }

    fn next_poll(&self) -> PollId {
        PollId(self.polls.fetch_add(1, Ordering::Relaxed))
    }
}

/// A look at the book whose answer leaves once what was seen is durable.
fn committed<R: Send + 'static>(look: impl FnOnce(&Book) -> R + Send + 'static) -> (Command, oneshot::Receiver<R>) {
    let (reply, answer) = oneshot::channel();
    let look = Box::new(move |book: &Book| {
        let seen = look(book);
        Some(Box::new(move || drop(reply.send(seen))) as crate::partition::ReleaseFn)
    });
    (Command::Input(Input::Read(look)), answer)
}

impl SpaceGate {
    fn check(&self) -> Result<(), EngineError> {
        if self.short.load(Ordering::Relaxed) {
            let free_bytes = self.free_bytes.load(Ordering::Relaxed);
            return Err(EngineError::StoreFull { free_bytes, reserve_bytes: self.reserve_bytes });
        }
        Ok(())
    }
}
