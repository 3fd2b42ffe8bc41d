//! Where the answers of a commit go: to the threads whose tasks wait for them, one message a thread.
//!
//! Waking a task of another thread costs a system call, and on a busy core the woken task runs, and writes its one
//! answer to its connection, before the next one is woken. So all that a commit releases for a thread travels
//! together, and a task of that thread wakes all who wait: they run before the connections that they answer on, and
//! each connection then writes once.
//!
//! A thread becomes a home by [`settle`]; commands that are sent from there carry its address. For all others the
//! committer's thread does it.

use std::{cell::RefCell, sync::Arc};

use berth_core::{JobId, Rejection, Reply};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    engine::{Observer, Update},
    partition::ReleaseFn,
    session::{Delivery, PollReply},
};

thread_local! {
    static HERE: RefCell<Option<Home>> = const { RefCell::new(None) };
}

/// The address of a thread that takes what commits release for its tasks.
#[derive(Clone)]
pub(crate) struct Home(mpsc::UnboundedSender<Vec<Leave>>);

/// Makes this thread a home. To be called within a runtime whose tasks all run on this thread; ends with that runtime.
pub fn settle() {
    // Not bounded: what waits here was bounded by the driver's inbox.
    let (sender, mut released) = mpsc::unbounded_channel::<Vec<Leave>>();
    tokio::spawn(async move {
        while let Some(leaving) = released.recv().await {
            leaving.into_iter().for_each(Leave::go);
        }
    });
    HERE.set(Some(Home(sender)));
}

/// The home of what runs here.
pub(crate) fn here() -> Option<Home> {
    HERE.with_borrow(Option::clone)
}

/// Something that may leave once its batch is durable. Whoever waited for it may be gone: what was asked is done all
/// the same.
pub(crate) enum Leave {
    /// The reply to an event.
    Reply(oneshot::Sender<Result<Reply, Rejection>>, Result<Reply, Rejection>),
    /// The reply to a submit, with what is to be told of its operation.
    Submitted(oneshot::Sender<SubmitReply>, SubmitReply),
    /// The refusal of a bot's call.
    Refusal(PollReply, Rejection),
    /// The answer to a bot's call.
    Answer(PollReply, Delivery),
    /// News for a watcher.
    News(watch::Sender<Update>, Update),
    /// The first that a watcher sees.
    Watch(oneshot::Sender<Option<watch::Receiver<Update>>>, Option<watch::Receiver<Update>>),
    /// A job that is over.
    Completed(Arc<dyn Observer>, JobId),
    /// What a read saw.
    Run(ReleaseFn),
}

/// What a submit is answered: the reply, and the updates of the operation, which is there if it was accepted.
pub(crate) type SubmitReply = Result<(Reply, Option<watch::Receiver<Update>>), Rejection>;

impl Leave {
    fn go(self) {
        match self {
            Self::Reply(to, reply) => drop(to.send(reply)),
            Self::Submitted(to, reply) => drop(to.send(reply)),
            Self::Refusal(to, rejection) => to.refuse(rejection),
            Self::Answer(to, delivery) => to.answer(delivery),
            Self::News(to, update) => drop(to.send_replace(update)),
            Self::Watch(to, updates) => drop(to.send(updates)),
            Self::Completed(observer, job) => observer.job_completed(job),
            Self::Run(run) => run(),
        }
    }
}

/// All that one batch releases, by home. Within a home the order stays.
#[derive(Default)]
pub(crate) struct Leaving {
    /// A few threads at most: searched.
    homes: Vec<(Home, Vec<Leave>)>,
    elsewhere: Vec<Leave>,
}

impl Leaving {
    pub(crate) fn is_empty(&self) -> bool {
        self.homes.is_empty() && self.elsewhere.is_empty()
    }

    pub(crate) fn add(&mut self, home: Option<&Home>, leave: Leave) {
        let Some(home) = home else { return self.elsewhere.push(leave) };
        match self.homes.iter_mut().find(|(known, _)| known.0.same_channel(&home.0)) {
            Some((_, leaving)) => leaving.push(leave),
            None => self.homes.push((home.clone(), vec![leave])),
        }
    }

    /// The batch is durable.
    pub(crate) fn go(self) {
        for (home, leaving) in self.homes {
            if let Err(ended) = home.0.send(leaving) {
                // Its runtime has ended, and most who waited with it.
                ended.0.into_iter().for_each(Leave::go);
            }
        }
        self.elsewhere.into_iter().for_each(Leave::go);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply() -> (Leave, oneshot::Receiver<Result<Reply, Rejection>>) {
        let (sender, receiver) = oneshot::channel();
        (Leave::Reply(sender, Ok(Reply::Done)), receiver)
    }

    #[test]
    fn what_leaves_for_a_thread_is_handed_over_there_and_in_order() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            settle();
            let mut leaving = Leaving::default();
            let (sender, receiver) = watch::channel(0);
            for number in 1..=3 {
                let sender = sender.clone();
                let run = move || assert_eq!(sender.send_replace(number), number - 1);
                leaving.add(here().as_ref(), Leave::Run(Box::new(run)));
            }
            let (last, done) = reply();
            leaving.add(here().as_ref(), last);
            std::thread::spawn(move || leaving.go()).join().unwrap();
            // Nothing happens but by a task of this thread.
            assert_eq!(*receiver.borrow(), 0);
            assert_eq!(done.await.unwrap(), Ok(Reply::Done));
            assert_eq!(*receiver.borrow(), 3);
        });
    }

    #[test]
    fn what_leaves_for_a_thread_that_has_ended_does_not_get_lost() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let home = runtime.block_on(async {
            settle();
            here()
        });
        drop(runtime);
        let (leave, mut done) = reply();
        let mut leaving = Leaving::default();
        leaving.add(home.as_ref(), leave);
        leaving.go();
        assert_eq!(done.try_recv().unwrap(), Ok(Reply::Done));
    }
}
