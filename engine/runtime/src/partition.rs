//! One partition's driver without its loop: inputs in, one batch of rows and feed records out, with what may
//! leave once the batch is durable. Synchronous and deterministic: the real driver and the simulation run
//! this same code.

use std::{collections::BTreeSet, sync::Arc};

use berth_core::{
    Answer, Book, Chooser, DrainRow, Effect, Event, Fact, InstanceName, JobId, JobRowState, LeaseId, OperationId,
    Outcome, PauseRow, PoliciesChanged, QuarantineRow, Rejection, Reply, SessionId, Stage, Timestamp,
    mutant::{Mutant, broken},
};
use berth_proto::{rpc, store as pb};
use bytes::Bytes;
use prost::Message;

use crate::{
    codec, operations,
    store::{Batch, Table},
    tally::Tally,
};

/// Something for the partition to do. `T` is the caller's token: it comes back with the reply.
pub enum Input<T> {
    /// An event for the book.
    Event {
        /// What happened.
        event: Event,
        /// What is stored beside the facts that it makes.
        attachment: Attachment,
        /// Comes back with the reply.
        token: T,
    },
    /// A look at the book; what it saw is released in its turn, when everything before it is durable.
    Read(ReadFn),
    /// Rows that are not the book's: retention, plugin state.
    Rows(RowsFn),
    /// Other policies come into force: what is handled before this is of the old ones, what comes after it of the new
    /// ones.
    Policies {
        /// Makes the change, adds its rows to the batch, and says what the book is to know of it.
        change: ChangeFn,
        /// Comes back with the reply.
        token: T,
    },
}

impl<T> Input<T> {
    fn event(&self) -> Option<&Event> {
        match self {
            Self::Event { event, .. } => Some(event),
            Self::Read(_) | Self::Rows(_) | Self::Policies { .. } => None,
        }
    }
}

/// Changes the policies: quickly, because the thread that runs the steps waits for it.
pub type ChangeFn = Box<dyn FnOnce(&mut Batch) -> PoliciesChanged + Send>;

/// Looks at the book and says what to do once everything before is durable, if anything.
pub type ReadFn = Box<dyn FnOnce(&Book) -> Option<ReleaseFn> + Send>;

/// Runs once everything before is durable.
pub type ReleaseFn = Box<dyn FnOnce() + Send>;

/// Adds rows to the batch.
pub type RowsFn = Box<dyn FnOnce(&mut Batch) + Send>;

/// Bodies that facts name but never copy.
#[derive(Clone, Debug, Default)]
pub struct Attachment {
    /// Encoded `berth.store.v1.JobBody`, for a job that the event creates.
    pub body: Bytes,
    /// Encoded RequestMetadata of the call, for the handle that the event creates.
    pub request_metadata: Bytes,
    /// Priority of the request, for the handle that the event creates.
    pub priority: i32,
    /// Who made the call, for the handle that the event creates.
    pub client: Option<Box<pb::ClientIdentity>>,
    /// Rows of the orders of lists that go with the handle that the event deletes.
    pub entries: Vec<(Table, Vec<u8>)>,
    /// Encoded `berth.store.v1.JobResult` of the leases that the event completes; for an answer from the action
    /// cache, under attempt 0.
    pub results: Vec<(LeaseId, Bytes)>,
}

/// What may leave once its batch is durable, in this order.
pub enum Release<T> {
    /// The caller's reply.
    Reply {
        /// As it came in.
        token: T,
        /// What the book said.
        result: Result<Reply, Rejection>,
    },
    /// Something outside is to happen.
    Effect(Effect),
    /// What a read saw.
    Run(ReleaseFn),
}

/// The outcome of one step: commit `batch`, then let `releases` go.
pub struct Output<T> {
    /// To be made durable; may be empty.
    pub batch: Batch,
    /// What may leave after that.
    pub releases: Vec<Release<T>>,
    /// The jobs that this step ended with a result, and the result as it is stored.
    pub results: Vec<(JobId, Bytes)>,
}

/// A book, and what is needed to write its rows.
pub struct Partition {
    book: Book,
    next_sequence: u64,
    touched: Touched,
    tally: Arc<Tally>,
}

/// Rows whose after-images the batch must carry.
#[derive(Default)]
struct Touched {
    jobs: BTreeSet<JobId>,
    leases: BTreeSet<JobId>,
    sessions: BTreeSet<SessionId>,
    /// Counters by instance and name.
    cool_downs: BTreeSet<(InstanceName, Arc<str>)>,
    limits: BTreeSet<(InstanceName, Arc<str>)>,
}

impl Partition {
    /// A partition that goes on from a recovered (or empty) book.
    pub fn new(book: Book, next_sequence: u64) -> Self {
        Self { book, next_sequence, touched: Touched::default(), tally: Arc::default() }
    }

    /// Who chooses lanes from now on: see [`Book::set_chooser`].
    pub fn set_chooser(&mut self, chooser: Box<dyn Chooser>) {
        self.book.set_chooser(chooser);
    }

    /// The book, as it will be once everything handed out so far is durable.
    pub fn book(&self) -> &Book {
        &self.book
    }

    /// What is counted of jobs.
    pub(crate) fn tally(&self) -> Arc<Tally> {
        self.tally.clone()
    }

    /// The position that the next feed record will have.
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Handles a batch of inputs at one instant.
    pub fn step<T>(&mut self, now: Timestamp, inputs: impl IntoIterator<Item = Input<T>>) -> Output<T> {
        let mut output = Output { batch: Batch::default(), releases: Vec::new(), results: Vec::new() };
        self.book.begin_batch();
        let mut inputs = inputs.into_iter().collect::<Vec<_>>().into_iter();
        while let Some(input) = inputs.next() {
            self.book.look_ahead(inputs.as_slice().iter().filter_map(Input::event));
            match input {
                Input::Event { event, attachment, token } => self.event(now, event, attachment, token, &mut output),
                Input::Read(look) => output.releases.extend(look(&self.book).map(Release::Run)),
                Input::Rows(add) => add(&mut output.batch),
                Input::Policies { change, token } => {
                    let event = Event::PoliciesChanged(Box::new(change(&mut output.batch)));
                    self.event(now, event, Attachment::default(), token, &mut output);
                }
            }
        }
        if self.book.next_deadline().is_some_and(|at| at <= now) {
            let step = self.book.handle(now, Event::Tick).expect("time is never refused");
            self.record(now, &step.facts, &Attachment::default(), &mut output);
            output.releases.extend(step.effects.into_iter().map(Release::Effect));
        }
        self.write_touched(&mut output.batch);
        let answers = self.book.finish_batch(now);
        output.releases.extend(answers.into_iter().map(|answer: Answer| Release::Effect(Effect::Answer(answer))));
        output
    }

    fn event<T>(&mut self, now: Timestamp, event: Event, attachment: Attachment, token: T, output: &mut Output<T>) {
        match self.book.handle(now, event) {
            Ok(step) => {
                self.record(now, &step.facts, &attachment, output);
                output.releases.push(Release::Reply { token, result: Ok(step.reply) });
                output.releases.extend(step.effects.into_iter().map(Release::Effect));
            }
            Err(rejection) => output.releases.push(Release::Reply { token, result: Err(rejection) }),
        }
    }

    fn record<T>(&mut self, now: Timestamp, facts: &[Fact], attachment: &Attachment, output: &mut Output<T>) {
        for fact in facts {
            output.batch.feed(self.next_sequence, |out| codec::encode_feed(now, fact, out));
            self.next_sequence += if broken(Mutant::FeedGap) { 2 } else { 1 };
            self.touch(fact, attachment, output);
        }
    }

    /// Notes whose after-images are due, and writes the rows that are written once.
    fn touch<T>(&mut self, fact: &Fact, attachment: &Attachment, output: &mut Output<T>) {
        self.tally.note(fact, &self.book);
        let batch = &mut output.batch;
        match fact {
            Fact::JobCreated(created) => {
                self.touched.jobs.insert(created.job);
                let operation = OperationId(created.job.0);
                put_operation(operation, created.job, &created.instance, attachment, batch);
                batch.put(Table::Bodies, &codec::id_key(created.job.0), |out| out.extend(&attachment.body));
            }
            Fact::OperationAdded { operation, job, .. } => {
                // A finished job's row is in another table by now: its list of handles must grow there.
                if !broken(Mutant::HandleNotStored) {
                    self.touched.jobs.insert(*job);
                }
                let instance = self.book.operation(*operation).expect("the handle was just added").instance;
                put_operation(*operation, *job, &instance, attachment, batch);
            }
            Fact::OperationCancelled { job, .. } => {
                self.touched.jobs.insert(*job);
            }
            Fact::OperationDeleted { operation, job } => {
                // The row of a job that goes on says so, or a restart would know the handle again.
                if matches!(self.book.job_stage(*job), Some(Stage::Queued | Stage::Executing)) {
                    self.touched.jobs.insert(*job);
                }
                batch.delete(Table::Operations, &codec::id_key(operation.0));
                operations::delete_entries(&attachment.entries, batch);
            }
            Fact::LeaseOffered { lease, .. }
            | Fact::LeaseWithdrawn { lease, .. }
            | Fact::LeaseRequeued { lease, .. }
            | Fact::AttemptLost { lease, .. } => {
                self.touched.jobs.insert(lease.job);
                if !(broken(Mutant::LeaseRowKept) && matches!(fact, Fact::LeaseWithdrawn { .. })) {
                    self.touched.leases.insert(lease.job);
                }
            }
            Fact::LeaseEvicted(evicted) => {
                let job = evicted.lease.job;
                self.touched.jobs.insert(job);
                self.touched.leases.insert(job);
                let instance = self.book.job_row(job).expect("a job that was just evicted waits").instance;
                let cooled = evicted.cooling.iter().filter(|_| !broken(Mutant::CoolDownNotStored));
                self.touched.cool_downs.extend(cooled.map(|(counter, _)| (instance.clone(), counter.clone())));
            }
            Fact::CoolDownEnded { instance, counter, .. } => {
                self.touched.cool_downs.insert((instance.clone(), counter.clone()));
            }
            Fact::LimitSet { instance, counter, .. } => {
                if !broken(Mutant::LimitNotStored) {
                    self.touched.limits.insert((instance.clone(), counter.clone()));
                }
            }
            Fact::LeaseStarted { lease, .. } => {
                self.touched.leases.insert(lease.job);
            }
            Fact::AttemptFailed(failed) => {
                let lease = failed.lease;
                self.touched.jobs.insert(lease.job);
                self.touched.leases.insert(lease.job);
                // What the bot said is kept for the policy, and for the client if the job ends as reported.
                if let Some((_, result)) = attachment.results.iter().find(|(of, _)| *of == lease)
                    && !broken(Mutant::ResultOfQuestionLost)
                {
                    batch.put(Table::Results, &codec::id_key(lease.job.0), |out| out.extend(result));
                }
            }
            Fact::AttemptDecided(decided) => {
                self.touched.jobs.insert(decided.job);
                forget_result(decided.job, batch);
            }
            Fact::DelayEnded { job, .. } => {
                self.touched.jobs.insert(*job);
            }
            Fact::JobPlaced(placed) => {
                if !broken(Mutant::PlaceNotStored) {
                    self.touched.jobs.insert(placed.job);
                }
            }
            // What was changed is in rows of its own, which came with it.
            Fact::PolicyChanged(_) => {}
            Fact::JobRefused { job, text, .. } => {
                self.touched.jobs.insert(*job);
                let result = refusal(text);
                batch.put(Table::Results, &codec::id_key(job.0), |out| {
                    result.encode(out).expect("a vector grows as needed");
                });
            }
            Fact::JobCompleted { job, outcome, .. } => {
                self.touched.jobs.insert(*job);
                self.touched.leases.insert(*job);
                // Of the newest attempt only: the same report may carry the result of a straggler.
                let attempt = self.book.newest_attempt(*job).expect("a job that just ended is remembered");
                let newest = LeaseId { job: *job, attempt };
                if let Some((_, result)) = attachment
                    .results
                    .iter()
                    .find(|(lease, _)| *lease == newest || (broken(Mutant::ResultOfStraggler) && lease.job == *job))
                {
                    batch.put(Table::Results, &codec::id_key(job.0), |out| out.extend(result));
                    output.results.push((*job, result.clone()));
                } else if !matches!(outcome, Outcome::Reported { .. }) && self.book.has_setbacks(*job) {
                    forget_result(*job, batch);
                }
            }
            Fact::SessionOpened(opened) => {
                self.touched.sessions.insert(opened.session);
            }
            Fact::SessionChanged(changed) => {
                if !broken(Mutant::SessionRowStale) {
                    self.touched.sessions.insert(changed.session);
                }
            }
            Fact::SessionClosed { session, .. } => {
                self.touched.sessions.insert(*session);
            }
            Fact::DrainSet { instance, bot_id, on } => {
                let key = codec::bot_key(instance, bot_id);
                if *on {
                    let row = DrainRow { instance: instance.clone(), bot_id: bot_id.clone() };
                    batch.put(Table::Drains, &key, |out| codec::encode_drain(&row, out));
                } else {
                    batch.delete(Table::Drains, &key);
                }
            }
            Fact::PauseSet { instance, label, on } => {
                let key = codec::pause_key(instance, label.as_deref());
                if *on {
                    let row = PauseRow { instance: instance.clone(), label: label.clone() };
                    batch.put(Table::Pauses, &key, |out| codec::encode_pause(&row, out));
                } else {
                    batch.delete(Table::Pauses, &key);
                }
            }
            Fact::QuarantineSet { instance, bot_id, until } => {
                let key = codec::bot_key(instance, bot_id);
                match *until {
                    Some(until) => {
                        let row = QuarantineRow { instance: instance.clone(), bot_id: bot_id.clone(), until };
                        batch.put(Table::Quarantines, &key, |out| codec::encode_quarantine(&row, out));
                    }
                    None => batch.delete(Table::Quarantines, &key),
                }
            }
        }
    }

    /// Each touched row once, as it is at the end of the batch.
    fn write_touched(&mut self, batch: &mut Batch) {
        let touched = std::mem::take(&mut self.touched);
        for job in touched.jobs {
            let key = codec::id_key(job.0);
            let row = self.book.job_row(job).expect("core remembers a job for a while after its last fact");
            match row.state {
                JobRowState::Queued | JobRowState::Leased | JobRowState::Deciding | JobRowState::Delayed { .. } => {
                    batch.put(Table::Jobs, &key, |out| codec::encode_job(&row, out));
                }
                JobRowState::Completed { at, .. } => {
                    if !broken(Mutant::JobRowKept) {
                        batch.delete(Table::Jobs, &key);
                    }
                    batch.put(Table::FinishedJobs, &key, |out| codec::encode_job(&row, out));
                    batch.put(Table::FinishedByTime, &codec::finished_key(at, job), |_| {});
                    operations::put_finished(&row, batch);
                }
            }
        }
        for job in touched.leases {
            let key = codec::id_key(job.0);
            match self.book.lease_row(job) {
                Some(row) => batch.put(Table::Leases, &key, |out| codec::encode_lease(&row, out)),
                None => batch.delete(Table::Leases, &key),
            }
        }
        for session in touched.sessions {
            let key = codec::id_key(session.0);
            match self.book.session_row(session) {
                Some(row) => batch.put(Table::Sessions, &key, |out| codec::encode_session(&row, out)),
                None => batch.delete(Table::Sessions, &key),
            }
        }
        for (instance, counter) in touched.cool_downs {
            let key = codec::counter_key(&instance, &counter);
            match self.book.cool_down_row(&instance, &counter) {
                Some(row) => batch.put(Table::CoolDowns, &key, |out| codec::encode_cool_down(&row, out)),
                None => batch.delete(Table::CoolDowns, &key),
            }
        }
        for (instance, counter) in touched.limits {
            let key = codec::counter_key(&instance, &counter);
            match self.book.limit_row(&instance, &counter) {
                Some(row) => batch.put(Table::Limits, &key, |out| codec::encode_limit(&row, out)),
                None => batch.delete(Table::Limits, &key),
            }
        }
    }
}

/// The result of an attempt that does not end the job.
fn forget_result(job: JobId, batch: &mut Batch) {
    if !broken(Mutant::ResultOfQuestionKept) {
        batch.delete(Table::Results, &codec::id_key(job.0));
    }
}

/// What clients hear of a job that no bot could serve.
fn refusal(text: &str) -> pb::JobResult {
    const FAILED_PRECONDITION: i32 = 9;
    let status = rpc::Status { code: FAILED_PRECONDITION, message: text.to_owned(), details: Vec::new() };
    pb::JobResult { status: status.encode_to_vec().into(), ..pb::JobResult::default() }
}

fn put_operation(
    operation: OperationId,
    job: JobId,
    instance: &InstanceName,
    attachment: &Attachment,
    batch: &mut Batch,
) {
    let row = pb::Operation {
        job: codec::id(job.0),
        instance: instance.to_string(),
        request_metadata: attachment.request_metadata.clone(),
        priority: attachment.priority,
        client: attachment.client.as_deref().cloned(),
    };
    operations::put_invocation(operation, job, instance, &attachment.request_metadata, batch);
    batch.put(Table::Operations, &codec::id_key(operation.0), |out| {
        row.encode(out).expect("a vector grows as needed");
    });
}
