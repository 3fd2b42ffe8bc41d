//! The driver loop: owns the partition, takes what has arrived, hands each batch to the committer, and goes on
//! with the next while that one is syncing.

use std::{collections::HashMap, sync::Arc};

use berth_core::{Effect, JobId, OperationId, PollId, Rejection, Reply, SessionId, Stage, Timestamp};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    clock::Clock,
    committer::{Committer, Work},
    engine::{Observer, Update},
    partition::{Attachment, Input, Partition, Release},
    session::{Delivery, PollReply},
    store::Fence,
};

/// The most inputs that one batch takes: what waits behind a sync stays bounded.
const BATCH_MAX: usize = 512;

/// Who gets the reply of an event.
#[derive(Default)]
pub(crate) struct Token {
    pub(crate) reply: Option<oneshot::Sender<Result<Reply, Rejection>>>,
    /// The call that the event came with: a rejection ends it.
    pub(crate) poll: Option<(SessionId, PollId)>,
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
    Watch { operation: OperationId, reply: oneshot::Sender<Option<watch::Receiver<Update>>> },
    /// Finish what has arrived, then stop.
    Stop,
}

pub(crate) struct Driver {
    pub(crate) partition: Partition,
    pub(crate) fence: Fence,
    pub(crate) clock: Clock,
    pub(crate) committer: Committer,
    pub(crate) inbox: mpsc::Receiver<Command>,
    /// From guards that are dropped: they cannot wait, so this one is not bounded. Each call sends at most two.
    pub(crate) endings: mpsc::UnboundedReceiver<berth_core::Event>,
    pub(crate) endings_sender: mpsc::UnboundedSender<berth_core::Event>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) polls: HashMap<(SessionId, PollId), PollReply>,
    pub(crate) watchers: HashMap<JobId, Vec<(OperationId, watch::Sender<Update>)>>,
}

impl Driver {
    pub(crate) async fn run(mut self) {
        let mut commands = Vec::with_capacity(BATCH_MAX);
        let mut endings = Vec::new();
        let mut stopping = false;
        while !stopping {
            let wake = self.partition.book().next_deadline();
            tokio::select! {
                biased;
                _ = self.endings.recv_many(&mut endings, BATCH_MAX) => {}
                count = self.inbox.recv_many(&mut commands, BATCH_MAX) => stopping = count == 0,
                () = sleep_until(&self.clock, wake) => {}
            }
            // Whatever else is there by now goes into the same batch.
            while commands.len() < BATCH_MAX
                && let Ok(more) = self.inbox.try_recv()
            {
                commands.push(more);
            }
            let mut inputs = Vec::with_capacity(commands.len() + endings.len());
            let mut watches = Vec::new();
            for command in commands.drain(..) {
                match command {
                    Command::Input(input) => inputs.push(input),
                    Command::Poll { session, poll, reply, input } => {
                        self.polls.insert((session, poll), reply);
                        inputs.push(input);
                    }
                    Command::Watch { operation, reply } => watches.push((operation, reply)),
                    Command::Stop => stopping = true,
                }
            }
            // After the inputs: a call that is here already cannot end before it began.
            for event in endings.drain(..) {
                if let berth_core::Event::PollEnded { session, poll } = &event {
                    self.polls.remove(&(*session, *poll));
                }
                inputs.push(Input::Event { event, attachment: Attachment::default(), token: Token::default() });
            }
            if self.step(inputs, watches).await.is_err() {
                return;
            }
        }
        // Held calls end with their senders; the transport says UNAVAILABLE.
        self.committer.finish();
    }

    async fn step(
        &mut self,
        inputs: Vec<Input<Token>>,
        watches: Vec<(OperationId, oneshot::Sender<Option<watch::Receiver<Update>>>)>,
    ) -> Result<(), crate::committer::Stopped> {
        let output = self.partition.step(self.clock.now(), inputs);
        let mut leaving: Vec<Box<dyn FnOnce() + Send>> = Vec::with_capacity(output.releases.len() + watches.len());
        for release in output.releases {
            match release {
                Release::Reply { token, result } => {
                    if let (Err(_), Some(poll)) = (&result, token.poll) {
                        self.polls.remove(&poll);
                    }
                    // The caller may be gone: what was asked is done all the same.
                    leaving.extend(token.reply.map(|reply| boxed(move || drop(reply.send(result)))));
                }
                Release::Effect(effect) => self.effect(effect, &mut leaving),
                Release::Run(run) => leaving.push(run),
            }
        }
        for (operation, reply) in watches {
            let receiver = self.watch(operation);
            leaving.push(boxed(move || drop(reply.send(receiver))));
        }
        if output.batch.is_empty() && leaving.is_empty() {
            return Ok(());
        }
        let release = Box::new(move || leaving.into_iter().for_each(|leave| leave()));
        self.committer.push(Work { fence: self.fence, batch: output.batch, release }).await
    }

    fn effect(&mut self, effect: Effect, leaving: &mut Vec<Box<dyn FnOnce() + Send>>) {
        match effect {
            Effect::JobChanged { job } => self.job_changed(job, leaving),
            Effect::OperationCancelled { operation, job } => {
                let Some(update) = self.update(operation) else { return };
                for (watched, sender) in self.watchers.get(&job).into_iter().flatten() {
                    if *watched == operation {
                        let (sender, update) = (sender.clone(), update.clone());
                        leaving.push(boxed(move || drop(sender.send_replace(update))));
                    }
                }
            }
            Effect::Answer(answer) => {
                let Some(reply) = self.polls.remove(&(answer.session, answer.poll)) else { return };
                let endings = self.endings_sender.clone();
                leaving.push(boxed(move || reply.answer(Delivery::new(answer, endings))));
            }
        }
    }

    /// What watchers hear is the job as it is at the end of the batch: all of it is durable when they do.
    fn job_changed(&mut self, job: JobId, leaving: &mut Vec<Box<dyn FnOnce() + Send>>) {
        let completed = self.partition.book().job_view(job).is_some_and(|job| matches!(job.stage, Stage::Completed(_)));
        if completed {
            let observer = self.observer.clone();
            leaving.push(boxed(move || observer.job_completed(job)));
        }
        let watchers = if completed { self.watchers.remove(&job) } else { self.watchers.get(&job).cloned() };
        for (operation, sender) in watchers.into_iter().flatten() {
            if let Some(update) = self.update(operation) {
                leaving.push(boxed(move || drop(sender.send_replace(update))));
            }
        }
    }

    fn watch(&mut self, operation: OperationId) -> Option<watch::Receiver<Update>> {
        let update = self.update(operation)?;
        let job = update.job;
        let (sender, receiver) = watch::channel(update);
        let watchers = self.watchers.entry(job).or_default();
        watchers.retain(|(_, sender)| !sender.is_closed());
        if !matches!(receiver.borrow().stage, Stage::Completed(_)) {
            watchers.push((operation, sender));
        } else if watchers.is_empty() {
            self.watchers.remove(&job);
        }
        Some(receiver)
    }

    fn update(&self, operation: OperationId) -> Option<Update> {
        self.partition.book().operation(operation)
    }
}

fn boxed(run: impl FnOnce() + Send + 'static) -> Box<dyn FnOnce() + Send> {
    Box::new(run)
}

async fn sleep_until(clock: &Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.now())).await,
        None => std::future::pending().await,
    }
}
