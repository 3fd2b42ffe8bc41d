//! The process under test: a partition, the queue before the committer, the commit in flight, watchers. It does what the
//! driver does, one decision at a time, and holds every step against the naive model.

mod check;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    ops::ControlFlow,
    sync::{Arc, Mutex},
};

use berth_core::{
    Answer, Effect, Event, Fact, InstanceName, JobId, LeaseId, OperationId, PollId, Pools, Question, Rejection, Reply,
    SessionId, Settings, Stage, Timestamp,
};
use berth_runtime::{
    codec,
    feed::Pending,
    memory::{Disk, InFlight, MemoryStore},
    partition::{Attachment, Input, Partition, Release},
    recover::{Limits, Loader, RecoverError, recover},
    store::{Batch, Change, Commit, Fence, PartitionId, Store},
};
use bytes::Bytes;

use self::check::Told;
use crate::{
    judge::{Checked, Violation, rule},
    naive::{Naive, choice::Whim},
};

pub(crate) const PARTITION: PartitionId = PartitionId(7);

/// Who waits for the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Nobody,
    Client { operation: OperationId },
    Bot { session: SessionId, poll: PollId },
    Walk { walk: u64 },
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
    /// What a consumer of the feed wrote.
    Keep {
        rows: Pending,
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
    Kept,
    Ask(Question),
}

/// One step that was handled.
pub(crate) struct Work {
    batch: Batch,
    /// Numbers of the inputs, first and last.
    inputs: Option<(u64, u64)>,
    pub(crate) leaves: Vec<Leave>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) records: Vec<(u64, Bytes)>,
    /// Results as they are stored from now on, the newest last, and bodies of jobs that were created.
    pub(crate) bodies: Vec<(JobId, Bytes)>,
    pub(crate) results: Vec<(JobId, Option<Bytes>)>,
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
    pub(crate) store: Arc<MemoryStore>,
    fence: Fence,
    pub(crate) partition: Partition,
    inbox: VecDeque<Incoming>,
    /// Reads the jobs that are not restored at once, until there are no more.
    loader: Option<Loader>,
    /// What it has read, and the partition does not have.
    ahead: VecDeque<Event>,
    taken: u64,
    released: u64,
    queue: VecDeque<Work>,
    /// Steps that wait for the disk, or only for their turn.
    flight: Option<(Option<InFlight>, Vec<Work>)>,
    watchers: BTreeMap<JobId, Vec<(OperationId, u64)>>,
    /// `None`: only what can be seen from outside is judged.
    model: Option<Naive>,
    next_sequence: u64,
    versions: BTreeMap<SessionId, u64>,
    /// Instances where a policy says what fits.
    judged: BTreeSet<InstanceName>,
    /// Which instances share their bots.
    pools: Pools,
}

impl Server {
    pub(crate) fn start(disk: &Disk, settings: Settings, now: Timestamp, limits: Limits) -> Checked<Self> {
        let store = Arc::new(MemoryStore::open(disk));
        let fence = store.acquire(PARTITION).map_err(|error| Violation(format!("cannot acquire: {error}")))?;
        let pools = settings.pools.clone();
        let recovered = recover(&*store, PARTITION, settings, now, limits);
        let (mut partition, loader) = recovered.map_err(|error| Violation(format!("cannot recover: {error}")))?;
        partition.set_chooser(Box::new(Whim));
        let next_sequence = store.next_sequence(PARTITION).map_err(|error| Violation(error.to_string()))?;
        Ok(Self {
            store,
            fence,
            partition,
            pools,
            inbox: VecDeque::new(),
            loader,
            ahead: VecDeque::new(),
            taken: 0,
            released: 0,
            queue: VecDeque::new(),
            flight: None,
            watchers: BTreeMap::new(),
            model: None,
            next_sequence,
            versions: BTreeMap::new(),
            judged: BTreeSet::new(),
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
        self.inbox.push_back(incoming);
    }

    /// How much has arrived that may be handled now.
    pub(crate) fn waiting(&self) -> usize {
        self.inbox.iter().filter(|incoming| self.is_prompt(incoming)).count()
    }

    pub(crate) fn is_loading(&self) -> bool {
        self.partition.book().loading().is_some()
    }

    /// As in the driver: what needs every job waits until they are loaded.
    fn is_prompt(&self, incoming: &Incoming) -> bool {
        let needs_every_job = match incoming {
            Incoming::Event { event, .. } => event.needs_every_job(),
            Incoming::Look { .. } | Incoming::Watch { .. } | Incoming::Trim { .. } | Incoming::Keep { .. } => true,
        };
        !(self.is_loading() && needs_every_job)
    }

    /// Reads some jobs from the store. They may grow old before they are taken in. An error: the process stops.
    pub(crate) fn read_ahead(&mut self, rows: usize) -> Result<(), RecoverError> {
        let Some(loader) = &mut self.loader else { return Ok(()) };
        let ahead = &mut self.ahead;
        let read = loader.read(&*self.store, rows, |event| {
            ahead.push_back(event);
            ControlFlow::Break(())
        });
        if read? {
            self.loader = None;
        }
        Ok(())
    }

    /// Hands jobs that were read to the partition.
    pub(crate) fn load(&mut self) {
        if let Some(event) = self.ahead.pop_front() {
            self.arrive(Incoming::Event { event, attachment: Attachment::default(), token: Token::Nobody });
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        !self.is_loading() && self.inbox.is_empty() && self.queue.is_empty() && self.flight.is_none()
    }

    pub(crate) fn to_commit(&self) -> usize {
        if self.flight.is_some() { 0 } else { self.queue.len() }
    }

    pub(crate) fn is_committing(&self) -> bool {
        self.flight.is_some()
    }

    /// Handles up to `count` inputs as one batch, and checks what the partition made of them.
    pub(crate) fn step(&mut self, now: Timestamp, count: usize) -> Checked<u64> {
        let was_loading = self.is_loading();
        let (mut taken, mut held) = (Vec::new(), VecDeque::new());
        for incoming in std::mem::take(&mut self.inbox) {
            if taken.len() < count && self.is_prompt(&incoming) {
                self.taken += 1;
                taken.push((self.taken, incoming));
            } else {
                held.push_back(incoming);
            }
        }
        self.inbox = held;
        let inputs = taken.first().zip(taken.last()).map(|((first, _), (last, _))| (*first, *last));
        let marks = Arc::new(Mutex::new(Vec::new()));
        let looks = Arc::new(Mutex::new(VecDeque::new()));
        let mut kept = 0;
        let (mut given, mut watches, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for (number, incoming) in taken {
            match incoming {
                Incoming::Event { event, attachment, token } => {
                    self.note_judged(&event);
                    events.push(Told::Event { event: event.clone(), attachment: attachment.clone(), token });
                    given.push(Input::Event { event, attachment, token: number });
                    given.push(mark(&marks));
                }
                Incoming::Look { operation } => {
                    events.push(Told::Look { operation });
                    let looks = looks.clone();
                    given.push(Input::Read(Box::new(move |book| {
                        let stage = book.operation(operation).map(|view| view.stage);
                        Some(Box::new(move || looks.lock().expect("nobody panics with it").push_back(stage)))
                    })));
                }
                Incoming::Watch { operation, watcher } => watches.push((operation, watcher)),
                Incoming::Keep { rows } => {
                    given.push(Input::Rows(Box::new(move |batch| rows.write(batch))));
                    kept += 1;
                }
                Incoming::Trim { below } => {
                    given.push(Input::Rows(Box::new(move |batch| batch.trim_feed(below))));
                }
            }
        }
        let output = self.partition.step(now, given);
        let marks = marks.lock().expect("nobody panics with it").clone();
        let facts = self.facts(&output.batch, &marks)?;
        let mut work = self.check(now, inputs, events, facts, output.batch, output.releases, &looks)?;
        work.leaves.extend((0..kept).map(|_| Leave::Kept));
        let hash = digest(&work.batch);
        self.queue.push_back(work);
        self.watch(watches)?;
        if let Some(model) = self.model.as_ref().filter(|_| was_loading && !self.is_loading()) {
            let rows = self.partition.book().rows();
            rule!(rows == model.rows(), "everything is loaded\n  {rows:?}\n  not {:?}", model.rows());
        }
        Ok(hash)
    }

    fn note_judged(&mut self, event: &Event) {
        if let Event::Asking { instance, asking } = event {
            if asking.matching.is_some() {
                self.judged.insert(instance.clone());
            } else {
                self.judged.remove(instance);
            }
        }
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
        self.inbox.drain(..).collect()
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

/// Notes where in the batch the changes of an event end.
fn mark(marks: &Arc<Mutex<Vec<usize>>>) -> Input<u64> {
    let marks = marks.clone();
    Input::Rows(Box::new(move |batch| marks.lock().expect("nobody panics with it").push(batch.changes().len())))
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
