//! A bot's call, from its arrival until its answer is with the transport.
//!
//! A bot gets work only while it listens. So two ways to stop listening must reach the core at once: the call
//! ends while it is held, and the call ends after it was answered but before the answer was handed over.

use berth_core::{Answer, Event, PollId, Rejection, SessionId};
use tokio::sync::{mpsc, oneshot};

use crate::engine::EngineError;

/// Where the driver puts the answer.
pub(crate) struct PollReply(oneshot::Sender<Result<Delivery, Rejection>>);

impl PollReply {
    pub(crate) fn answer(self, delivery: Delivery) {
        // If nobody listens, the delivery comes back and is dropped here: that says so to the core.
        drop(self.0.send(Ok(delivery)));
    }

    pub(crate) fn refuse(self, rejection: Rejection) {
        drop(self.0.send(Err(rejection)));
    }
}

/// An answer on its way. Unless it is said to be delivered, dropping it takes back what it offered.
#[derive(Debug)]
pub struct Delivery {
    answer: Answer,
    endings: Option<mpsc::UnboundedSender<Event>>,
}

impl Delivery {
    pub(crate) fn new(answer: Answer, endings: mpsc::UnboundedSender<Event>) -> Self {
        Self { answer, endings: Some(endings) }
    }

    /// What the bot is to be told.
    pub fn answer(&self) -> &Answer {
        &self.answer
    }

    /// The answer is with the transport.
    pub fn delivered(mut self) {
        self.endings = None;
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(endings) = self.endings.take() {
            // The driver may be gone: then a restart will offer the lease anew.
            let _ = endings.send(Event::Undelivered { session: self.answer.session, poll: self.answer.poll });
        }
    }
}

/// A call that waits for its answer. Dropping it tells the core that its bot does not listen any more.
pub(crate) struct Waiting {
    session: SessionId,
    poll: PollId,
    reply: Option<oneshot::Receiver<Result<Delivery, Rejection>>>,
    endings: mpsc::UnboundedSender<Event>,
}

impl Waiting {
    pub(crate) fn new(session: SessionId, poll: PollId, endings: mpsc::UnboundedSender<Event>) -> (PollReply, Self) {
        let (sender, receiver) = oneshot::channel();
        (PollReply(sender), Self { session, poll, reply: Some(receiver), endings })
    }

    /// The answer, or the refusal of the event that came with the call.
    pub(crate) async fn answer(mut self) -> Result<Delivery, EngineError> {
        let reply = self.reply.as_mut().expect("taken only when the answer is there").await;
        self.reply = None;
        Ok(reply.map_err(|_| EngineError::Stopping)??)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(reply) = self.reply.take() {
            // An answer that is there already is dropped with the channel, and speaks for itself.
            drop(reply);
            let _ = self.endings.send(Event::PollEnded { session: self.session, poll: self.poll });
        }
    }
}
