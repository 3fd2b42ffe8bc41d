//! The driver loop of a namespace: takes what has arrived, hands each batch to the committer, and goes on with the next
//! while that one is syncing.

use std::time::{Duration, Instant};

use berth_core::{
    Timestamp,
    work::{Book, STEP_MAX},
};
use tokio::sync::{mpsc, watch};

use super::partition::{Ask, WorkPartition};
use crate::{
    clock::Clock,
    committer::{Committer, Work},
    home::{Home, Leave, Leaving},
    partition::ReleaseFn,
    store::Fence,
};

/// The most calls that one batch takes: what waits behind a sync stays bounded.
const BATCH_MAX: usize = 512;

/// How long a batch may grow while the tasks around the driver have more for it, and after how many rounds of the runtime
/// without anything new it goes. As in the driver of executions.
const GATHER_MAX: Duration = Duration::from_millis(2);
const QUIET_ROUNDS: u32 = 2;

/// What handles send to the driver.
pub(super) enum Command {
    /// For the book.
    Ask {
        ask: Ask,
        /// Where who asks runs.
        home: Option<Home>,
    },
    /// Finish what has arrived, then stop.
    Stop,
}

pub(super) struct Driver {
    pub(super) partition: WorkPartition,
    pub(super) fence: Fence,
    pub(super) clock: Clock,
    pub(super) committer: Committer,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) archive_every: Option<Duration>,
    /// Grows with each batch that changed something, once it is durable.
    pub(super) changes: watch::Sender<u64>,
    /// The feed's next position, as it is on disk; and what the last batch made of it.
    pub(super) appended: watch::Sender<u64>,
    pub(super) feed_told: u64,
}

impl Driver {
    pub(super) async fn run(mut self) {
        let mut arrived = Vec::new();
        let mut archive_at = self.next_archive();
        let mut stopping = false;
        while !stopping {
            let due = [self.partition.book().next_deadline(), archive_at].into_iter().flatten().min();
            tokio::select! {
                biased;
                count = self.commands.recv_many(&mut arrived, BATCH_MAX) => stopping = count == 0,
                () = std::future::ready(()), if self.partition.has_begun() => {}
                () = sleep_until(&self.clock, due) => {}
            }
            self.gather(&mut arrived).await;
            let (mut asked, mut homes) = (Vec::with_capacity(arrived.len()), Vec::with_capacity(arrived.len()));
            for command in arrived.drain(..) {
                match command {
                    Command::Ask { ask, home } => {
                        if matches!(ask, Ask::Call(_)) {
                            homes.push(home);
                        }
                        asked.push(ask);
                    }
                    Command::Stop => stopping = true,
                }
            }
            if archive_at.is_some_and(|at| at <= self.clock.now()) {
                archive_at = None;
                asked.push(archive());
            }
            if !self.step(asked, homes).await {
                // The committer has said why to whom it concerns.
                return;
            }
            if archive_at.is_none() {
                archive_at = self.next_archive();
            }
        }
        let Self { partition, committer, .. } = self;
        committer.finish();
        // It may be that of a namespace that was deleted, while others go on.
        tokio::task::spawn_blocking(move || drop(partition));
    }

    /// Whatever else is there goes into the same batch, and so does what the tasks around us are about to send.
    async fn gather(&mut self, arrived: &mut Vec<Command>) {
        let began = Instant::now();
        let mut quiet = 0;
        while quiet < QUIET_ROUNDS && arrived.len() < BATCH_MAX && began.elapsed() < GATHER_MAX {
            let before = arrived.len();
            while arrived.len() < BATCH_MAX
                && let Ok(command) = self.commands.try_recv()
            {
                arrived.push(command);
            }
            quiet = if arrived.len() == before { quiet + 1 } else { 0 };
            tokio::task::yield_now().await;
        }
    }

    /// Answers whether it goes on.
    async fn step(&mut self, asked: Vec<Ask>, homes: Vec<Option<Home>>) -> bool {
        let turn = self.partition.step(self.clock.now(), asked);
        if let Some(discarded) = self.partition.take_discarded() {
            // A million units are not dropped while others wait.
            tokio::task::spawn_blocking(move || drop(discarded));
        }
        let mut leaving = Leaving::default();
        for (release, home) in turn.releases.into_iter().zip(&homes) {
            leaving.add(home.as_ref(), Leave::Run(release));
        }
        for release in turn.served {
            leaving.add(None, Leave::Run(release));
        }
        if !turn.batch.is_empty() {
            let (changes, appended) = (self.changes.clone(), self.appended.clone());
            let next = self.partition.next_sequence().filter(|next| *next > self.feed_told);
            self.feed_told = next.unwrap_or(self.feed_told);
            leaving.add(
                None,
                Leave::Run(Box::new(move || {
                    changes.send_modify(|number| *number += 1);
                    next.into_iter().for_each(|next| _ = appended.send_replace(next));
                })),
            );
        }
        if turn.batch.is_empty() && leaving.is_empty() {
            return true;
        }
        self.committer.push(Work { fence: self.fence, batch: turn.batch, leaving }).await.is_ok()
    }

    fn next_archive(&self) -> Option<Timestamp> {
        Some(self.clock.now().after(self.archive_every?))
    }
}

/// All that is too old or too much, step by step.
fn archive() -> Ask {
    Ask::Steps(Box::new(|book: &mut Book| -> Option<ReleaseFn> {
        if book.archive(None, STEP_MAX) { None } else { Some(Box::new(|| {})) }
    }))
}

async fn sleep_until(clock: &Clock, at: Option<Timestamp>) {
    match at {
        Some(at) => tokio::time::sleep(at.since(clock.now())).await,
        None => std::future::pending().await,
    }
}
