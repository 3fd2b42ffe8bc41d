//! What is durable, and what somebody was told: neither may ever be lost or change. Looks at the store only through its
//! port, as `History` does.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use berth_core::{
    AttemptReason, Book, Event, Fact, JobId, JobRowState, LeaseId, OperationId, Outcome, Rows, SessionId, Settings,
    Stage, Timestamp,
};
use berth_proto::store as pb;
use berth_runtime::{
    codec::{self, CodecError},
    memory::MemoryStore,
    store::{Store, Table},
};
use bytes::Bytes;
use prost::Message;

use crate::{
    judge::{Checked, Violation, rule},
    naive::Naive,
    server::{Leave, PARTITION, Server, Work},
};

/// How many of the newest jobs, operations and feed records a restart is checked for: all of a short run.
const CHECKED: usize = 400;

/// What was promised about an operation.
#[derive(Clone, Debug, Default)]
struct Promise {
    cancelled: bool,
    completed: Option<Outcome>,
}

#[derive(Debug)]
struct Truth {
    outcome: Option<Outcome>,
    body: Bytes,
    result: Option<Bytes>,
}

pub(crate) struct Ledger {
    settings: Settings,
    /// Every durable fact, applied to an empty book.
    applied: Book,
    /// The model as of the newest durable step, if there is one.
    model: Option<Naive>,
    next_sequence: u64,
    records: VecDeque<(u64, Bytes)>,
    /// Where jobs were created (`false`) and completed (`true`).
    turns: BTreeMap<u64, bool>,
    /// Records below are trimmed, perhaps.
    trimmed: u64,
    jobs: BTreeMap<JobId, Truth>,
    order: VecDeque<JobId>,
    promises: BTreeMap<OperationId, Promise>,
    promised: VecDeque<OperationId>,
    ended: BTreeSet<SessionId>,
    /// Attempts that took too long, were evicted, or that an operator ended: their bots may go on for a while, though
    /// somebody else tries again.
    given_up: BTreeSet<LeaseId>,
    /// Whose end a client asked for: nothing is promised of them any more.
    deleted: BTreeSet<OperationId>,
}

impl Ledger {
    pub(crate) fn new(settings: Settings, with_model: bool) -> Self {
        Self {
            applied: Book::new(settings.clone()),
            model: with_model.then(|| Naive::new(settings.clone())),
            settings,
            next_sequence: 1,
            records: VecDeque::new(),
            turns: BTreeMap::new(),
            trimmed: 1,
            jobs: BTreeMap::new(),
            order: VecDeque::new(),
            promises: BTreeMap::new(),
            promised: VecDeque::new(),
            ended: BTreeSet::new(),
            given_up: BTreeSet::new(),
            deleted: BTreeSet::new(),
        }
    }

    /// A step is durable: by its release, or because recovery found it.
    pub(crate) fn durable(&mut self, work: &Work) -> Checked {
        let requeued = |job: JobId| {
            let is_it = |event: &Event| matches!(event, Event::Requeue { job: requeued, .. } if *requeued == job);
            work.leaves.iter().any(|leave| matches!(leave, Leave::Reply { event, .. } if is_it(event)))
        };
        for fact in &work.facts {
            self.applied.apply(fact);
            match fact {
                Fact::JobCreated(created) => {
                    let body = work.bodies.iter().find(|(job, _)| *job == created.job);
                    let body = body.map(|(_, body)| body.clone()).unwrap_or_default();
                    let truth = Truth { outcome: None, body, result: None };
                    rule!(self.jobs.insert(created.job, truth).is_none(), "{:?} is created twice", created.job);
                    self.order.push_back(created.job);
                }
                Fact::JobCompleted { job, outcome, .. } => {
                    let truth =
                        self.jobs.get_mut(job).ok_or_else(|| Violation(format!("{job:?} was never created")))?;
                    rule!(truth.outcome.is_none(), "{job:?} is completed twice");
                    truth.outcome = Some(*outcome);
                }
                Fact::JobRefused { job, .. } => {
                    let truth =
                        self.jobs.get_mut(job).ok_or_else(|| Violation(format!("{job:?} was never created")))?;
                    rule!(truth.outcome.is_none(), "{job:?} is completed twice");
                    truth.outcome = Some(Outcome::Refused);
                }
                Fact::AttemptFailed(failed) if failed.failed.reason == AttemptReason::Timeout => {
                    self.given_up.insert(failed.lease);
                }
                // By an operator: the bot learns it later.
                Fact::LeaseRequeued { lease, .. } => drop(self.given_up.insert(*lease)),
                Fact::AttemptLost { lease, .. } if requeued(lease.job) => drop(self.given_up.insert(*lease)),
                Fact::AttemptFailed(failed) if requeued(failed.lease.job) => {
                    self.given_up.insert(failed.lease);
                }
                Fact::LeaseEvicted(evicted) => drop(self.given_up.insert(evicted.lease)),
                Fact::OperationDeleted { operation, .. } => drop(self.deleted.insert(*operation)),
                Fact::SessionClosed { session, .. } => drop(self.ended.insert(*session)),
                _ => {}
            }
        }
        for (job, result) in &work.results {
            let truth = self.jobs.get_mut(job).ok_or_else(|| Violation(format!("{job:?} was never created")))?;
            truth.result = result.clone();
        }
        while self.order.len() > 4 * CHECKED {
            let oldest = self.order.pop_front().expect("it is long");
            if self.jobs.get(&oldest).is_some_and(|truth| truth.outcome.is_some()) {
                self.jobs.remove(&oldest);
            } else {
                self.order.push_back(oldest);
            }
        }
        for (fact, (sequence, _)) in work.facts.iter().zip(&work.records) {
            match fact {
                Fact::JobCreated(_) => drop(self.turns.insert(*sequence, false)),
                Fact::JobCompleted { .. } | Fact::JobRefused { .. } => drop(self.turns.insert(*sequence, true)),
                _ => {}
            }
        }
        self.records.extend(work.records.iter().cloned());
        while self.records.len() > 4 * CHECKED {
            self.records.pop_front();
        }
        self.model = work.model.clone();
        self.next_sequence = work.next_sequence;
        Ok(())
    }

    /// What a step wrote can be read back once it is durable.
    pub(crate) fn check_rows(&self, store: &MemoryStore, work: &Work) -> Checked {
        for fact in &work.facts {
            match fact {
                Fact::JobCreated(created) => self.check_job(store, created.job)?,
                Fact::JobCompleted { job, .. } | Fact::JobRefused { job, .. } => self.check_job(store, *job)?,
                Fact::AttemptFailed(failed) => self.check_job(store, failed.lease.job)?,
                Fact::AttemptDecided(decided) => self.check_job(store, decided.job)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// How many jobs were created and completed by events below a position, without those that were missed. Only what
    /// was trimmed may be missed.
    pub(crate) fn tally(&self, next: u64, missed: &[std::ops::Range<u64>]) -> Checked<(u64, u64)> {
        for gap in missed {
            rule!(gap.start < gap.end && gap.end <= self.trimmed, "events {gap:?} are there, and were not heard");
        }
        let heard = self.turns.range(..next).filter(|(sequence, _)| !missed.iter().any(|gap| gap.contains(sequence)));
        let (completed, created): (Vec<_>, Vec<_>) = heard.partition(|(_, completed)| **completed);
        Ok((created.len() as u64, completed.len() as u64))
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether the session's end is durable.
    pub(crate) fn has_ended(&self, session: SessionId) -> bool {
        self.ended.contains(&session)
    }

    /// Whether the attempt ended because it took too long, by an operator, or gave way to another job.
    pub(crate) fn given_up(&self, lease: LeaseId) -> bool {
        self.given_up.contains(&lease)
    }

    pub(crate) fn trim(&mut self, below: u64) {
        self.trimmed = self.trimmed.max(below);
    }

    pub(crate) fn acknowledged(&mut self, operation: OperationId) {
        self.promises.insert(operation, Promise::default());
        self.promised.push_back(operation);
        if self.promised.len() > 4 * CHECKED
            && let Some(oldest) = self.promised.pop_front()
        {
            self.promises.remove(&oldest);
        }
    }

    pub(crate) fn cancel_acknowledged(&mut self, operation: OperationId) {
        if let Some(promise) = self.promises.get_mut(&operation) {
            promise.cancelled = true;
        }
    }

    /// A client saw the stage. What is completed stays as it is.
    pub(crate) fn seen(&mut self, operation: OperationId, stage: &Stage) -> Checked {
        let Some(promise) = self.promises.get_mut(&operation) else { return Ok(()) };
        match (promise.completed, stage) {
            (None, Stage::Completed(outcome)) => promise.completed = Some(*outcome),
            (Some(before), Stage::Completed(outcome)) => {
                rule!(before == *outcome, "{operation:?} ended as {before:?}, and then as {outcome:?}");
            }
            (Some(before), stage) => rule!(false, "{operation:?} ended as {before:?} and is {stage:?} again"),
            (None, _) => {}
        }
        Ok(())
    }

    /// Operations that somebody was promised, the newest of them.
    pub(crate) fn promised(&self) -> Vec<OperationId> {
        self.promised
            .iter()
            .rev()
            .filter(|id| self.promises.contains_key(id) && !self.deleted.contains(id))
            .take(CHECKED)
            .copied()
            .collect()
    }

    /// Which of the steps that were not released did the disk keep? A prefix of them. Then everything that is durable
    /// must be what the process has now.
    pub(crate) fn restarted(&mut self, server: &mut Server, unreleased: Vec<Work>, now: Timestamp) -> Checked {
        let found = server.next_sequence();
        rule!(found >= self.next_sequence, "durable up to {}, found up to {found} only", self.next_sequence);
        for work in unreleased {
            if self.next_sequence < found && work.next_sequence <= found {
                self.durable(&work)?;
            }
        }
        rule!(self.next_sequence == found, "recovery found half a step: {} or {found}", self.next_sequence);
        let book = server.partition.book();
        let (rows, left) = (book.rows(), book.loading());
        let known: BTreeSet<_> = rows.jobs.iter().map(|row| row.job).collect();
        if let Some(model) = &mut self.model {
            model.restart(now);
            if left.is_some() {
                model.hide_all_but(&known);
            }
            rule!(rows == model.loaded_rows(), "recovered\n  {rows:?}\n  not {:?}", model.loaded_rows());
        }
        let mut applied = self.applied.rows();
        let hidden = applied.jobs.extract_if(.., |row| !known.contains(&row.job)).count();
        rule!(left.unwrap_or(0) == hidden, "{left:?} jobs are to be loaded, not {hidden}");
        rule!(rows == applied, "recovered\n  {rows:?}\n  but the facts say {applied:?}");
        server.expect(self.model.clone());
        let book = server.partition.book();
        self.check_disk(&server.store, left.is_none().then_some(book), now)?;
        for operation in self.promised() {
            let stage = self.look(server, operation)?;
            let Some(stage) = stage else {
                return Err(Violation(format!("{operation:?} was acknowledged and is lost")));
            };
            let cancelled = self.promises[&operation].cancelled;
            rule!(!cancelled || matches!(stage, Stage::Completed(_)), "the cancel of {operation:?} is lost");
            self.seen(operation, &stage)?;
        }
        Ok(())
    }

    /// What a restart would find now is what the process knows now. Only while nothing is in flight; and of the book
    /// only if everything is loaded.
    pub(crate) fn check_disk(&self, store: &MemoryStore, book: Option<&Book>, now: Timestamp) -> Checked {
        let read = Rows {
            jobs: read(store, Table::Jobs, codec::decode_job)?,
            leases: read(store, Table::Leases, codec::decode_lease)?,
            sessions: read(store, Table::Sessions, codec::decode_session)?,
            drains: read(store, Table::Drains, codec::decode_drain)?,
            pauses: read(store, Table::Pauses, codec::decode_pause)?,
            quarantines: read(store, Table::Quarantines, codec::decode_quarantine)?,
            cool_downs: read(store, Table::CoolDowns, codec::decode_cool_down)?,
            limits: read(store, Table::Limits, codec::decode_limit)?,
        };
        let restored = Book::restore(self.settings.clone(), now, read).rows();
        if let Some(book) = book {
            rule!(restored == book.rows(), "the rows on disk\n  {restored:?}\n  are not {:?}", book.rows());
        }
        rule!(restored == self.applied.rows(), "the rows on disk are not what the facts say");
        for job in self.order.iter().rev().take(CHECKED) {
            self.check_job(store, *job)?;
        }
        let first = self.records.iter().rev().nth(CHECKED).or(self.records.front()).map_or(1, |(first, _)| *first);
        let from = first.max(self.trimmed);
        let feed = store.feed(PARTITION, from, usize::MAX).map_err(|error| Violation(error.to_string()))?;
        let expected: Vec<_> = self.records.iter().filter(|(sequence, _)| *sequence >= from).cloned().collect();
        rule!(feed == expected, "the feed from {from} on is not what was written");
        Ok(())
    }

    fn check_job(&self, store: &MemoryStore, job: JobId) -> Checked {
        let Some(truth) = self.jobs.get(&job) else { return Ok(()) };
        let get = |table| {
            let found = store.get(PARTITION, table, &[&codec::id_key(job.0)]);
            found.map(|mut rows| rows.pop().flatten()).map_err(|error| Violation(error.to_string()))
        };
        rule!(get(Table::Bodies)?.as_ref() == Some(&truth.body), "the body of {job:?} changed");
        rule!(get(Table::Results)? == truth.result, "the result of {job:?} changed");
        let finished = get(Table::FinishedJobs)?;
        let outcome = finished.map(|bytes| codec::decode_job(&bytes).map(|row| row.state)).transpose();
        let outcome = match outcome.map_err(|error| Violation(error.to_string()))? {
            Some(JobRowState::Completed { outcome, .. }) => Some(outcome),
            Some(state) => return Err(Violation(format!("{job:?} is among the finished, and {state:?}"))),
            None => None,
        };
        rule!(outcome == truth.outcome, "{job:?} ended as {:?}, stored is {outcome:?}", truth.outcome);
        rule!(get(Table::Jobs)?.is_some() == outcome.is_none(), "{job:?} is in one table of jobs");
        Ok(())
    }

    /// The operation as `Engine::operation` would find it: in the book, else in the rows. While jobs are loaded that
    /// one waits, and the rows say already what it will answer.
    pub(crate) fn look(&self, server: &Server, operation: OperationId) -> Checked<Option<Stage>> {
        if let Some(view) = server.partition.book().operation(operation) {
            return Ok(Some(view.stage));
        }
        let get = |table, id: u128| {
            let found = server.store.get(PARTITION, table, &[&codec::id_key(id)]);
            found.map(|mut rows| rows.pop().flatten()).map_err(|error| Violation(error.to_string()))
        };
        let Some(row) = get(Table::Operations, operation.0)? else { return Ok(None) };
        let row = pb::Operation::decode(row).map_err(|error| Violation(error.to_string()))?;
        let id = row.job.ok_or_else(|| Violation(format!("the row of {operation:?} names no job")))?;
        let job = u128::from(id.high) << 64 | u128::from(id.low);
        let (finished, loading) = (get(Table::FinishedJobs, job)?, server.is_loading());
        let hidden = if finished.is_none() && loading { get(Table::Jobs, job)? } else { None };
        let Some(row) = finished.or(hidden) else { return Ok(None) };
        let row = codec::decode_job(&row).map_err(|error| Violation(error.to_string()))?;
        let handle = row.operations.iter().find(|handle| handle.operation == operation);
        Ok(handle.and_then(|handle| match (handle.cancelled, row.state) {
            (Some(_), _) => Some(Stage::Completed(Outcome::Cancelled)),
            (None, JobRowState::Completed { outcome, .. }) => Some(Stage::Completed(outcome)),
            (None, JobRowState::Queued | JobRowState::Deciding | JobRowState::Delayed { .. }) if loading => {
                Some(Stage::Queued)
            }
            (None, JobRowState::Queued | JobRowState::Leased | JobRowState::Deciding | JobRowState::Delayed { .. }) => {
                None
            }
        }))
    }
}

fn read<R>(store: &MemoryStore, table: Table, decode: impl Fn(&[u8]) -> Result<R, CodecError>) -> Checked<Vec<R>> {
    let mut rows = Vec::new();
    let scanned = store.scan(PARTITION, table, &[], &mut |_, value| {
        rows.push(decode(value));
        std::ops::ControlFlow::Continue(())
    });
    scanned.map_err(|error| Violation(error.to_string()))?;
    rows.into_iter().collect::<Result<_, _>>().map_err(|error| Violation(error.to_string()))
}
