//! The driver loop: owns the partition, takes what has arrived, hands each batch to the committer, and goes on
//! with the next while that one is syncing.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use berth_core::{Effect, Event, JobId, OperationId, PollId, Rejection, Reply, SessionId, Stage, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    asker::Asked,
    clock::Clock,
    committer::{Committer, Stopped, Work},
    engine::{Observer, Update},
    history::History,
    home::{Home, Leave, Leaving, SubmitReply},
    loading::Loading,
    partition::{Attachment, Input, Partition, Release},
    recover::RecoverError,
    session::{Delivery, PollReply},
    store::{Batch, Fence},
};

/// The most inputs of each kind that one batch takes: what waits behind a sync stays bounded.
const BATCH_MAX: usize = 512;

/// How long a batch may grow while the tasks around the driver have more for it. On a busy core this decides how many
/// jobs share a commit, a sync and a write to each connection; where nothing else is ready to run, a batch goes at once.
/// Longer, and clients wait for the same sync where one half of them could be served while the other waits.
const GATHER_MAX: Duration = Duration::from_millis(2);

/// Rounds of the runtime without anything new after which a batch goes: one in which connections are read, and one in
/// which what they brought is handled.
const QUIET_ROUNDS: u32 = 2;

/// Who gets the reply of an event, and where.
#[derive(Default)]
pub(crate) struct Token {
    pub(crate) caller: Caller,
    pub(crate) home: Option<Home>,
}

#[derive(Default)]
pub(crate) enum Caller {
    #[default]
    Nobody,
    Reply(oneshot::Sender<Result<Reply, Rejection>>),
    /// Wants the updates of its operation as well.
    Submit(OperationId, oneshot::Sender<SubmitReply>),
    /// A call of a bot, which an effect will answer: only a rejection ends it here.
    Poll(SessionId, PollId),
}

/// What handles send to the driver.
pub(crate) enum Command {
    /// For the partition.
    Input(Input<Token>),
    /// A call of a bot that will be answered by an effect.
    Poll {
        /// Whose call.
        session: SessionId,
        /// Which call.
        poll: PollId,
        /// Where the answer goes.
        reply: PollReply,
        /// The event.
        input: Input<Token>,
    },
    /// Somebody watches an operation.
    Watch {
        /// Which one.
        operation: OperationId,
        /// Where the answer goes.
        reply: oneshot::Sender<Option<watch::Receiver<Update>>>,
        /// Where who watches runs.
        home: Option<Home>,
    },
    /// Finish what has arrived, then stop.
    Stop,
}

/// Somebody to be told of an operation.
#[derive(Clone)]
pub(crate) struct Watcher {
    operation: OperationId,
    sender: watch::Sender<Update>,
    home: Option<Home>,
}

pub(crate) struct Driver {
    pub(crate) partition: Partition,
    pub(crate) history: History,
    pub(crate) fence: Fence,
    pub(crate) clock: Clock,
    pub(crate) committer: Committer,
    /// What is handled as it comes.
    pub(crate) prompt: mpsc::Receiver<Command>,
    /// What waits until every job is loaded: it is not even received before.
    pub(crate) patient: mpsc::Receiver<Command>,
    /// Jobs that come after a restart; `None` once they are all there.
    pub(crate) loading: Option<Loading>,
    /// From guards that are dropped: they cannot wait, so this one is not bounded. Each call sends at most two.
    pub(crate) endings: mpsc::UnboundedReceiver<Event>,
    pub(crate) endings_sender: mpsc::UnboundedSender<Event>,
    pub(crate) observer: Arc<dyn Observer>,
    /// The feed's next position, as it is on disk; and what the last batch made of it.
    pub(crate) appended: watch::Sender<u64>,
    pub(crate) feed_told: u64,
    pub(crate) polls: HashMap<(SessionId, PollId), (PollReply, Option<Home>)>,
    pub(crate) watchers: HashMap<JobId, Vec<Watcher>>,
    /// Not bounded: an open question is a job that waits, or a class of them.
    pub(crate) questions: mpsc::UnboundedSender<Asked>,
}

/// What has arrived and was not handled yet.
#[derive(Default)]
struct Arrived {
    prompt: Vec<Command>,
    patient: Vec<Command>,
    endings: Vec<Event>,
    /// Jobs that were loaded.
    chunk: Option<Event>,
}

impl Arrived {
    fn len(&self) -> usize {
        self.prompt.len() + self.patient.len() + self.endings.len()
    }
}

/// Somebody who will watch an operation, and where.
type Watch = (OperationId, oneshot::Sender<Option<watch::Receiver<Update>>>, Option<Home>);

/// Why the driver ends without being told to.
enum Ended {
    CommitterStopped,
    NotLoaded(RecoverError),
}

impl From<Stopped> for Ended {
    fn from(_: Stopped) -> Self {
        Self::CommitterStopped
    }
}

impl From<RecoverError> for Ended {
    fn from(error: RecoverError) -> Self {
        Self::NotLoaded(error)
    }
}

impl Driver {
    /// Runs until it is told to stop. An error: jobs could not be loaded to the end.
    pub(crate) async fn run(mut self) -> Result<(), RecoverError> {
        let end = self.serve().await;
        if let Some(loading) = self.loading.take() {
            loading.finish();
        }
        match end {
            // It has said why to whom it concerns.
            Err(Ended::CommitterStopped) => return Ok(()),
            // Held calls end with their senders; the transport says UNAVAILABLE.
            Ok(()) | Err(Ended::NotLoaded(_)) => self.committer.finish(),
        }
        if let Err(Ended::NotLoaded(error)) = end { Err(error) } else { Ok(()) }
    }

    async fn serve(&mut self) -> Result<(), Ended> {
        let mut arrived = Arrived::default();
        let mut stopping = false;
        while !stopping {
            let wake = self.partition.book().next_deadline();
            let is_loading = self.loading.is_some();
            tokio::select! {
                biased;
                _ = self.endings.recv_many(&mut arrived.endings, BATCH_MAX) => {}
                count = self.patient.recv_many(&mut arrived.patient, BATCH_MAX), if !is_loading => stopping = count == 0,
                count = self.prompt.recv_many(&mut arrived.prompt, BATCH_MAX) => stopping = count == 0,
                chunk = next(&mut self.loading), if is_loading => arrived.chunk = Some(chunk?),
                () = sleep_until(&self.clock, wake) => {}
            }
            self.gather(&mut arrived).await;
            let mut inputs = Vec::with_capacity(arrived.len() + 1);
            let mut leaving = Leaving::default();
            let mut watches = Vec::new();
            for command in arrived.prompt.drain(..).chain(arrived.patient.drain(..)) {
                stopping |= self.take(command, &mut inputs, &mut watches);
            }
            while stopping
                && !is_loading
                && let Ok(command) = self.patient.try_recv()
            {
                self.take(command, &mut inputs, &mut watches);
            }
            // After the inputs: a call that is here already cannot end before it began.
            for event in arrived.endings.drain(..) {
                if let Event::PollEnded { session, poll } = &event {
                    self.polls.remove(&(*session, *poll));
                }
                inputs.push(internal(event));
            }
            let is_loaded = self.load(arrived.chunk.take(), &mut inputs)?;
            let batch = self.step(inputs, &mut leaving);
            for (operation, reply, home) in watches {
                let updates = self.watch(operation, home.clone());
                leaving.add(home.as_ref(), Leave::Watch(reply, updates));
            }
            if is_loaded && let Some(loading) = self.loading.take() {
                loading.finish();
                tracing::info!("all jobs are loaded");
            }
            if !batch.is_empty() || !leaving.is_empty() {
                self.committer.push(Work { fence: self.fence, batch, leaving }).await?;
            }
        }
        Ok(())
    }

    /// Whatever else is there goes into the same batch, and so does what the tasks around us are about to send.
    async fn gather(&mut self, arrived: &mut Arrived) {
        let mut began = None;
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS {
            let before = arrived.len();
            // What is prompt is looked for last and handled first: who asks after a bot's call was taken sees the call.
            if self.loading.is_none() {
                more(&mut self.patient, &mut arrived.patient);
            }
            more(&mut self.prompt, &mut arrived.prompt);
            while arrived.endings.len() < BATCH_MAX
                && let Ok(more) = self.endings.try_recv()
            {
                arrived.endings.push(more);
            }
            let now = arrived.len();
            quiet = if now == before { quiet + 1 } else { 0 };
            let is_over = now >= BATCH_MAX || began.get_or_insert_with(Instant::now).elapsed() >= GATHER_MAX;
            if is_over {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Answers whether it is time to stop.
    fn take(&mut self, command: Command, inputs: &mut Vec<Input<Token>>, watches: &mut Vec<Watch>) -> bool {
        match command {
            Command::Input(input) => inputs.push(input),
            Command::Poll { session, poll, reply, input } => {
                let home = match &input {
                    Input::Event { token, .. } | Input::Policies { token, .. } => token.home.clone(),
                    Input::Read(_) | Input::Rows(_) => None,
                };
                self.polls.insert((session, poll), (reply, home));
                inputs.push(input);
            }
            Command::Watch { operation, reply, home } => watches.push((operation, reply, home)),
            Command::Stop => return true,
        }
        false
    }

    /// One chunk of jobs a batch, so that both go on however much there is of the other. Answers whether it was the
    /// last.
    fn load(&mut self, chunk: Option<Event>, inputs: &mut Vec<Input<Token>>) -> Result<bool, RecoverError> {
        let Some(loading) = &mut self.loading else { return Ok(false) };
        loading.log(self.partition.book().loading().unwrap_or(0));
        let Some(chunk) = chunk.map(Ok).or_else(|| loading.try_next()).transpose()? else { return Ok(false) };
        let last = matches!(chunk, Event::JobsLoaded { last: true, .. });
        inputs.push(internal(chunk));
        Ok(last)
    }

    fn step(&mut self, inputs: Vec<Input<Token>>, leaving: &mut Leaving) -> Batch {
        let mut output = self.partition.step(self.clock.now(), inputs);
        output.releases.extend(self.tell_of_feed());
        self.history.remember_results(output.results);
        let mut submitted = Vec::new();
        for release in output.releases {
            match release {
                Release::Reply { token: Token { caller, home }, result } => match (caller, result) {
                    (Caller::Nobody, _) | (Caller::Poll(..), Ok(_)) => {}
                    (Caller::Reply(reply), result) => leaving.add(home.as_ref(), Leave::Reply(reply, result)),
                    (Caller::Submit(operation, reply), Ok(accepted)) => {
                        submitted.push((operation, reply, accepted, home));
                    }
                    (Caller::Submit(_, reply), Err(rejection)) => {
                        leaving.add(home.as_ref(), Leave::Submitted(reply, Err(rejection)));
                    }
                    (Caller::Poll(session, poll), Err(rejection)) => {
                        if let Some((reply, home)) = self.polls.remove(&(session, poll)) {
                            leaving.add(home.as_ref(), Leave::Refusal(reply, rejection));
                        }
                    }
                },
                Release::Effect(effect) => self.effect(effect, leaving),
                Release::Run(run) => leaving.add(None, Leave::Run(run)),
            }
        }
        // Behind the effects: what is seen first is the job as it is at the end of the batch, and nothing is told twice.
        for (operation, reply, accepted, home) in submitted {
            let updates = self.watch(operation, home.clone());
            leaving.add(home.as_ref(), Leave::Submitted(reply, Ok((accepted, updates))));
        }
        output.batch
    }

    /// Wakes who reads the feed, once what was appended is durable.
    fn tell_of_feed<T>(&mut self) -> Option<Release<T>> {
        let next = self.partition.next_sequence();
        if next == std::mem::replace(&mut self.feed_told, next) {
            return None;
        }
        let appended = self.appended.clone();
        let tell = move || {
            appended.send_replace(next);
        };
        Some(Release::Run(Box::new(tell)))
    }

    fn effect(&mut self, effect: Effect, leaving: &mut Leaving) {
        match effect {
            Effect::JobChanged { job } => self.job_changed(job, leaving),
            Effect::OperationCancelled { operation, job } => {
                let Some(update) = self.update(operation) else { return };
                for watcher in self.watchers.get(&job).into_iter().flatten() {
                    if watcher.operation == operation {
                        leaving.add(watcher.home.as_ref(), Leave::News(watcher.sender.clone(), update.clone()));
                    }
                }
            }
            Effect::Answer(answer) => {
                let Some((reply, home)) = self.polls.remove(&(answer.session, answer.poll)) else { return };
                let delivery = Delivery::new(answer, self.endings_sender.clone());
                leaving.add(home.as_ref(), Leave::Answer(reply, delivery));
            }
            Effect::Ask(question) => {
                let questions = self.questions.clone();
                let ask = move || drop(questions.send((Instant::now(), question)));
                leaving.add(None, Leave::Run(Box::new(ask)));
            }
        }
    }

    /// What watchers hear is the job as it is at the end of the batch: all of it is durable when they do.
    fn job_changed(&mut self, job: JobId, leaving: &mut Leaving) {
        let completed = matches!(self.partition.book().job_stage(job), Some(Stage::Completed(_)));
        if completed {
            leaving.add(None, Leave::Completed(self.observer.clone(), job));
        }
        let watchers = if completed { self.watchers.remove(&job) } else { self.watchers.get(&job).cloned() };
        for Watcher { operation, sender, home } in watchers.into_iter().flatten() {
            if let Some(update) = self.update(operation) {
                leaving.add(home.as_ref(), Leave::News(sender, update));
            }
        }
    }

    fn watch(&mut self, operation: OperationId, home: Option<Home>) -> Option<watch::Receiver<Update>> {
        let update = self.update(operation)?;
        let job = update.job;
        let (sender, receiver) = watch::channel(update);
        let watchers = self.watchers.entry(job).or_default();
        watchers.retain(|watcher| !watcher.sender.is_closed());
        if !matches!(receiver.borrow().stage, Stage::Completed(_)) {
            watchers.push(Watcher { operation, sender, home });
        } else if watchers.is_empty() {
            self.watchers.remove(&job);
        }
        Some(receiver)
    }

    fn update(&self, operation: OperationId) -> Option<Update> {
        self.partition.book().operation(operation)
    }
}

/// Takes what is there already.
fn more(from: &mut mpsc::Receiver<Command>, into: &mut Vec<Command>) {
    while into.len() < BATCH_MAX
        && let Ok(command) = from.try_recv()
    {
        into.push(command);
    }
}

/// An event that nobody waits for.
fn internal(event: Event) -> Input<Token> {
    Input::Event { event, attachment: Attachment::default(), token: Token::default() }
}

async fn next(loading: &mut Option<Loading>) -> Result<Event, RecoverError> {
    match loading {
        Some(loading) => loading.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(clock: &Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.now())).await,
        None => std::future::pending().await,
    }
}
