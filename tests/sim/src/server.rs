//! The process under test: a partition, the queue before the committer, the commit in flight, watchers. It does what the
//! driver does, one decision at a time, and holds every step against the naive model.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::{Arc, Mutex},
};

use berth_core::{
    Answer, Effect, Event, Fact, JobId, LeaseId, OperationId, PollId, Rejection, Reply, SessionId, Settings, Stage,
    Timestamp,
};
use berth_runtime::{
    codec,
    memory::{Disk, InFlight, MemoryStore},
    partition::{Attachment, Input, Partition, Release},
    recover::recover,
    store::{Batch, Change, Commit, Fence, PartitionId, Store},
};
use bytes::Bytes;

use crate::{
    judge::{Checked, Violation, rule},
    naive::Naive,
};

pub(crate) const PARTITION: PartitionId = PartitionId(7);

/// Who waits for the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Nobody,
    Client { operation: OperationId },
    Bot { session: SessionId, poll: PollId },
}

/// Something that arrived.
#[derive(Clone, Debug)]
pub(crate) enum Incoming {
    Event {
        event: Event,
        attachment: Attachment,
        token: Token,
    },
    /// A look at an operation, in turn with the events.
    Look {
        operation: OperationId,
    },
    /// A client watches an operation.
    Watch {
        operation: OperationId,
        watcher: u64,
    },
    /// Retention drops old feed records.
    Trim {
        below: u64,
    },
}

/// Something that may leave when its batch is durable.
#[derive(Debug)]
pub(crate) enum Leave {
    Reply { token: Token, event: Event, result: Result<Reply, Rejection> },
    Answer(Answer),
    Watching { watcher: u64, operation: OperationId, stage: Option<Stage> },
    Update { watcher: u64, stage: Stage },
    Looked { operation: OperationId, stage: Option<Stage> },
}

/// One step that was handled.
pub(crate) struct Work {
    batch: Batch,
    /// Numbers of the inputs, first and last.
    inputs: Option<(u64, u64)>,
    pub(crate) leaves: Vec<Leave>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) records: Vec<(u64, Bytes)>,
    /// Result bytes of jobs that completed, and bodies of jobs that were created.
    pub(crate) bodies: Vec<(JobId, Bytes)>,
    pub(crate) results: Vec<(JobId, Bytes)>,
    /// Of the operations that somebody watches, as they are after the step.
    pub(crate) stages: Vec<(OperationId, Stage)>,
    /// The model after the step, and the feed's next position.
    pub(crate) model: Option<Naive>,
    pub(crate) next_sequence: u64,
}

/// What a commit gave.
pub(crate) enum Finished {
    /// May leave now, in this order.
    Released(Vec<Work>),
    /// The store failed: the process stops.
    Stopped(String),
}

pub(crate) struct Server {
    pub(crate) store: MemoryStore,
    fence: Fence,
    pub(crate) partition: Partition,
    inbox: VecDeque<(u64, Incoming)>,
    arrived: u64,
    released: u64,
    queue: VecDeque<Work>,
    /// Steps that wait for the disk, or only for their turn.
    flight: Option<(Option<InFlight>, Vec<Work>)>,
    watchers: BTreeMap<JobId, Vec<(OperationId, u64)>>,
    /// `None`: only what can be seen from outside is judged.
    model: Option<Naive>,
    next_sequence: u64,
    versions: BTreeMap<SessionId, u64>,
}

impl Server {
    pub(crate) fn start(disk: &Disk, settings: Settings, now: Timestamp) -> Checked<Self> {
        let store = MemoryStore::open(disk);
        let fence = store.acquire(PARTITION).map_err(|error| Violation(format!("cannot acquire: {error}")))?;
        let recovered = recover(&store, PARTITION, settings, now);
        let partition = recovered.map_err(|error| Violation(format!("cannot recover: {error}")))?;
        let next_sequence = store.next_sequence(PARTITION).map_err(|error| Violation(error.to_string()))?;
        Ok(Self {
            store,
            fence,
            partition,
            inbox: VecDeque::new(),
            arrived: 0,
            released: 0,
            queue: VecDeque::new(),
            flight: None,
            watchers: BTreeMap::new(),
            model: None,
            next_sequence,
            versions: BTreeMap::new(),
        })
    }

    /// What the process should know after a start.
    pub(crate) fn expect(&mut self, model: Option<Naive>) {
        self.model = model;
    }

    pub(crate) fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    pub(crate) fn arrive(&mut self, incoming: Incoming) {
        self.arrived += 1;
        self.inbox.push_back((self.arrived, incoming));
    }

    pub(crate) fn waiting(&self) -> usize {
        self.inbox.len()
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.inbox.is_empty() && self.queue.is_empty() && self.flight.is_none()
    }

    pub(crate) fn to_commit(&self) -> usize {
        if self.flight.is_some() { 0 } else { self.queue.len() }
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.flight.is_some()
    }

    /// Handles up to `count` inputs as one batch, and checks what the partition made of them.
    pub(crate) fn step(&mut self, now: Timestamp, count: usize) -> Checked<u64> {
        let taken: Vec<_> = self.inbox.drain(..count.min(self.inbox.len())).collect();
        let inputs = taken.first().zip(taken.last()).map(|((first, _), (last, _))| (*first, *last));
        let marks = Arc::new(Mutex::new(Vec::new()));
        let looks = Arc::new(Mutex::new(VecDeque::new()));
        let (mut given, mut watches, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (number, incoming) in taken {
            match incoming {
                Incoming::Event { event, attachment, token } => {
                    events.push(Told::Event { event: event.clone(), attachment: attachment.clone(), token });
                    given.push(Input::Event { event, attachment, token: number });
                    given.push(mark(&marks));
                }
                Incoming::Look { operation } => {
                    events.push(Told::Look { operation });
                    let looks = looks.clone();
                    given.push(Input::Read(Box::new(move |book| {
                        let stage = book.operation(operation).map(|view| view.stage);
                        Box::new(move || looks.lock().expect("nobody panics with it").push_back(stage))
                    })));
                }
                Incoming::Watch { operation, watcher } => watches.push((operation, watcher)),
                Incoming::Trim { below } => {
                    given.push(Input::Rows(Box::new(move |batch| batch.trim_feed(below))));
                }
            }
        }
        let output = self.partition.step(now, given);
        let marks = marks.lock().expect("nobody panics with it").clone();
        let facts = self.facts(&output.batch, &marks)?;
        let work = self.check(now, inputs, events, facts, output.batch, output.releases, &looks)?;
        let hash = digest(&work.batch);
        self.queue.push_back(work);
        self.watch(watches)?;
        Ok(hash)
    }

    /// The facts of each event, and of the tick after the last.
    fn facts(&mut self, batch: &Batch, marks: &[usize]) -> Checked<Facts> {
        let mut facts = Facts { by_event: vec![Vec::new(); marks.len() + 1], records: Vec::new() };
        for (position, change) in batch.changes().iter().enumerate() {
            if let Change::Feed { sequence, record } = change {
                rule!(
                    *sequence == self.next_sequence,
                    "the feed is dense: {} was due, not {sequence}",
                    self.next_sequence
                );
                self.next_sequence += 1;
                let bytes = batch.bytes(record);
                let (_, fact) =
                    codec::decode_feed(bytes).map_err(|error| Violation(format!("a feed record: {error}")))?;
                let event = marks.iter().position(|mark| position < *mark).unwrap_or(marks.len());
                facts.by_event[event].push(fact);
                facts.records.push((*sequence, Bytes::copy_from_slice(bytes)));
            }
        }
        Ok(facts)
    }

    #[allow(clippy::too_many_arguments)]
    fn check(
        &mut self,
        now: Timestamp,
        inputs: Option<(u64, u64)>,
        events: Vec<Told>,
        facts: Facts,
        batch: Batch,
        releases: Vec<Release<u64>>,
        looks: &Mutex<VecDeque<Option<Stage>>>,
    ) -> Checked<Work> {
        let before = self.stages();
        let mut releases = releases.into_iter().peekable();
        let mut by_event = facts.by_event.iter();
        let (mut leaves, mut bodies, mut results) = (Vec::new(), Vec::new(), Vec::new());
        let mut changed = BTreeSet::new();
        let mut last_number = 0;
        let mut answers = Vec::new();
        for told in events {
            let (event, attachment, token) = match told {
                Told::Event { event, attachment, token } => (event, attachment, token),
                Told::Look { operation } => {
                    let Some(Release::Run(run)) = releases.next() else {
                        return Err(Violation("a read is released in its turn".into()));
                    };
                    run();
                    let seen = looks.lock().expect("nobody panics with it").pop_front();
                    let seen = seen.expect("it just ran");
                    if let Some(model) = &self.model {
                        let stage = model.stage(operation);
                        rule!(seen == stage, "a read of {operation:?} saw {seen:?}, not {stage:?}");
                    }
                    leaves.push(Leave::Looked { operation, stage: seen });
                    continue;
                }
            };
            let seen = by_event.next().expect("each event has its facts");
            let Some(Release::Reply { token: number, result }) = releases.next() else {
                return Err(Violation(format!("{event:?} has no reply in its turn")));
            };
            rule!(number > last_number, "replies leave in the order of their inputs");
            last_number = number;
            let mut early = Vec::new();
            if let Some(model) = &mut self.model {
                let (facts, reply, answers) = match model.handle(now, &event, seen) {
                    Ok(expected) => (expected.facts, Ok(expected.reply), expected.answers),
                    Err(rejection) => (Vec::new(), Err(rejection), Vec::new()),
                };
                rule!(*seen == facts, "{event:?}\n  made     {seen:?}\n  not      {facts:?}");
                rule!(result == reply, "{event:?} was answered by {result:?}, not {reply:?}");
                early = answers;
            }
            for fact in seen {
                match fact {
                    Fact::JobCreated(created) => bodies.push((created.job, attachment.body.clone())),
                    Fact::JobCompleted { job, .. } => {
                        let row = self.partition.book().job_row(*job).expect("it just ended");
                        let lease = LeaseId { job: *job, attempt: row.offers };
                        let result = attachment.results.iter().find(|(of, _)| *of == lease);
                        results.extend(result.map(|(_, bytes)| (*job, bytes.clone())));
                    }
                    _ => {}
                }
            }
            leaves.push(Leave::Reply { token, event, result });
            answers = self.effects(&mut releases, &mut changed, &mut leaves);
            if self.model.is_some() {
                let first: Vec<_> = answers.iter().take(early.len()).cloned().map(unversioned).collect();
                rule!(first == early, "answers within an event: {first:?}, not {early:?}");
                answers.drain(..early.len());
                let more = releases.peek().is_some();
                rule!(!more || answers.is_empty(), "answers leave at the end of the batch, not {answers:?}");
            }
        }
        if inputs.is_none() || releases.peek().is_some() {
            answers.extend(self.effects(&mut releases, &mut changed, &mut leaves));
        }
        if let Some(model) = &mut self.model {
            let seen = facts.by_event.last().expect("the tick has its facts");
            let tick = model.handle(now, &Event::Tick, seen).expect("time is never refused");
            rule!(*seen == tick.facts, "deadlines at {now:?}\n  made     {seen:?}\n  not      {:?}", tick.facts);
            let mut expected = model.finish_batch(now);
            let mut given: Vec<_> = answers.into_iter().map(unversioned).collect();
            given.sort_by_key(|answer| (answer.session, answer.poll));
            expected.sort_by_key(|answer| (answer.session, answer.poll));
            rule!(given == expected, "answers at the end of the batch: {given:?}\n  not {expected:?}");
            let (deadline, due) = (self.partition.book().next_deadline(), model.next_deadline());
            rule!(due.is_none() || (deadline.is_some() && deadline <= due), "{deadline:?} is set, but {due:?} is due");
        }
        self.work_conserving()?;
        let stages = self.stages();
        self.tell_watchers(&before, &stages, &changed, &mut leaves)?;
        Ok(Work {
            batch,
            inputs,
            leaves,
            facts: facts.by_event.into_iter().flatten().collect(),
            records: facts.records,
            bodies,
            results,
            stages,
            model: self.model.clone(),
            next_sequence: self.next_sequence,
        })
    }

    /// Takes the effects up to the next reply; answers come back apart.
    fn effects(
        &mut self,
        releases: &mut std::iter::Peekable<std::vec::IntoIter<Release<u64>>>,
        changed: &mut BTreeSet<(JobId, Option<OperationId>)>,
        leaves: &mut Vec<Leave>,
    ) -> Vec<Answer> {
        let mut answers = Vec::new();
        while let Some(Release::Effect(effect)) = releases.next_if(|release| matches!(release, Release::Effect(_))) {
            match effect {
                Effect::JobChanged { job } => drop(changed.insert((job, None))),
                Effect::OperationCancelled { operation, job } => drop(changed.insert((job, Some(operation)))),
                Effect::Answer(answer) => {
                    answers.push(answer.clone());
                    leaves.push(Leave::Answer(answer));
                }
            }
        }
        answers
    }

    /// No job waits while a bot that fits it asks.
    fn work_conserving(&self) -> Checked {
        let book = self.partition.book();
        let asking: Vec<_> = book.sessions().into_iter().filter(|session| session.asking).collect();
        if asking.is_empty() || book.counts().queued == 0 {
            return Ok(());
        }
        for job in book.jobs(usize::MAX).into_iter().filter(|job| job.stage == Stage::Queued) {
            let fitting = asking.iter().find(|session| {
                let row = book.session_row(session.session);
                row.is_some_and(|row| row.instance == job.instance)
                    && session.capabilities.iter().any(|set| set.contains_all(&job.requirements))
            });
            rule!(fitting.is_none(), "{:?} waits though {:?} asks", job.job, fitting.map(|session| session.session));
        }
        Ok(())
    }

    /// As the driver does: watchers hear the state at the end of the batch. Whoever sees a change must be told.
    fn tell_watchers(
        &mut self,
        before: &[(OperationId, Stage)],
        after: &[(OperationId, Stage)],
        changed: &BTreeSet<(JobId, Option<OperationId>)>,
        leaves: &mut Vec<Leave>,
    ) -> Checked {
        let book = self.partition.book();
        for (job, watchers) in &self.watchers {
            for (operation, watcher) in watchers {
                let told = changed.contains(&(*job, None)) || changed.contains(&(*job, Some(*operation)));
                let stage = |of: &[(OperationId, Stage)]| {
                    of.iter().find(|(known, _)| known == operation).map(|(_, stage)| stage.clone())
                };
                let (was, is) = (stage(before), stage(after));
                rule!(was == is || told, "{operation:?} went from {was:?} to {is:?} and nobody was told");
                if told && let Some(view) = book.operation(*operation) {
                    leaves.push(Leave::Update { watcher: *watcher, stage: view.stage });
                }
            }
        }
        self.watchers.retain(|job, _| book.job_view(*job).is_some_and(|job| !matches!(job.stage, Stage::Completed(_))));
        Ok(())
    }

    /// Of what is watched.
    fn stages(&self) -> Vec<(OperationId, Stage)> {
        let watched: BTreeSet<_> = self.watchers.values().flatten().map(|(operation, _)| *operation).collect();
        let stage = |operation| self.partition.book().operation(operation).map(|view| (operation, view.stage));
        watched.into_iter().filter_map(stage).collect()
    }

    /// Subscribes, and reads, at the end of the batch.
    fn watch(&mut self, watches: Vec<(OperationId, u64)>) -> Checked {
        let last = self.queue.back_mut().expect("the step was just queued");
        for (operation, watcher) in watches {
            let view = self.partition.book().operation(operation);
            let stage = view.as_ref().map(|view| view.stage.clone());
            if let Some(stage) = &stage {
                last.stages.push((operation, stage.clone()));
            }
            if let Some(view) = view.filter(|view| !matches!(view.stage, Stage::Completed(_))) {
                self.watchers.entry(view.job).or_default().push((operation, watcher));
            }
            last.leaves.push(Leave::Watching { watcher, operation, stage });
        }
        Ok(())
    }

    /// Hands what is queued to the store: written, not synced.
    pub(crate) fn begin_commit(&mut self, count: usize) {
        let mut works: Vec<_> = self.queue.drain(..count.min(self.queue.len())).collect();
        let batches = works.iter_mut().map(|work| std::mem::take(&mut work.batch)).filter(|batch| !batch.is_empty());
        let group: Vec<_> = batches.map(|batch| Commit { fence: self.fence, batch }).collect();
        let flight = (!group.is_empty()).then(|| self.store.begin_commit(&group));
        self.flight = Some((flight, works));
    }

    /// Syncs it. What waited for that may leave.
    pub(crate) fn finish_commit(&mut self) -> Checked<Finished> {
        let (flight, works) = self.flight.take().expect("a commit is in flight");
        let results = flight.map(|flight| self.store.finish_commit(flight));
        if let Some(error) = results.into_iter().flatten().find_map(Result::err) {
            // The disk may have them all the same.
            works.into_iter().rev().for_each(|work| self.queue.push_front(work));
            return Ok(Finished::Stopped(error.to_string()));
        }
        self.release(works).map(Finished::Released)
    }

    /// Nothing leaves out of order, or before it is durable.
    pub(crate) fn release(&mut self, works: Vec<Work>) -> Checked<Vec<Work>> {
        for work in &works {
            if let Some((first, last)) = work.inputs {
                rule!(first > self.released, "input {first} is released after {}", self.released);
                self.released = last;
            }
            let durable = self.store.next_sequence(PARTITION).map_err(|error| Violation(error.to_string()))?;
            rule!(work.next_sequence <= durable, "released up to {} with {durable} durable", work.next_sequence);
            for leave in &work.leaves {
                if let Leave::Answer(answer) = leave {
                    let before = self.versions.insert(answer.session, answer.version).unwrap_or(0);
                    rule!(before <= answer.version, "versions of {:?} grow", answer.session);
                }
            }
        }
        Ok(works)
    }

    /// What had arrived and was not handled.
    pub(crate) fn take_inbox(&mut self) -> Vec<Incoming> {
        self.inbox.drain(..).map(|(_, incoming)| incoming).collect()
    }

    /// The process dies. What it had handled but not released: recovery may have kept a prefix of it.
    pub(crate) fn die(self) -> Vec<Work> {
        let begun = self.flight.into_iter().flat_map(|(_, works)| works);
        begun.chain(self.queue).collect()
    }

    /// Breaks the rule on purpose: lets everything handled so far leave at once.
    #[cfg(feature = "mutants")]
    pub(crate) fn release_early(&mut self) -> Checked<Vec<Work>> {
        let works = self.queue.iter_mut().map(|work| Work {
            batch: Batch::default(),
            inputs: work.inputs.take(),
            leaves: std::mem::take(&mut work.leaves),
            facts: Vec::new(),
            records: Vec::new(),
            bodies: Vec::new(),
            results: Vec::new(),
            stages: work.stages.clone(),
            model: None,
            next_sequence: work.next_sequence,
        });
        let works = works.collect();
        self.release(works)
    }
}

enum Told {
    Event { event: Event, attachment: Attachment, token: Token },
    Look { operation: OperationId },
}

struct Facts {
    by_event: Vec<Vec<Fact>>,
    records: Vec<(u64, Bytes)>,
}

/// Notes where in the batch the changes of an event end.
fn mark(marks: &Arc<Mutex<Vec<usize>>>) -> Input<u64> {
    let marks = marks.clone();
    Input::Rows(Box::new(move |batch| marks.lock().expect("nobody panics with it").push(batch.changes().len())))
}

fn unversioned(answer: Answer) -> Answer {
    Answer { version: 0, ..answer }
}

/// Of everything that the batch would write.
fn digest(batch: &Batch) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    };
    for change in batch.changes() {
        match change {
            Change::Put { table, key, value } => {
                add(&[*table as u8]);
                add(batch.bytes(key));
                add(batch.bytes(value));
            }
            Change::Delete { table, key } => {
                add(&[*table as u8, 1]);
                add(batch.bytes(key));
            }
            Change::DeleteRange { from, to, .. } => {
                add(batch.bytes(from));
                add(batch.bytes(to));
            }
            Change::Feed { record, .. } => add(batch.bytes(record)),
            Change::TrimFeed { below } => add(&below.to_le_bytes()),
        }
    }
    hash
}
