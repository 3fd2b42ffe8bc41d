//! The feed's records as events of the contract.
//!
//! A record names ids; what an event tells of a job besides is looked up in the job's rows, a batch at a time: off the
//! path of jobs, and right for old events too. Where retention has taken the rows, texts are empty.

use std::sync::Arc;

use berth_core::{
    Fact, Outcome, Timestamp,
    mutant::{Mutant, broken},
};
use berth_proto::store as pb;
use bytes::Bytes;
use prost::Message;

use super::lookup::Lookup;
use crate::{
    codec,
    plugins::events::{self as ev, Change, FeedEvent},
    store::{PartitionId, Store, StoreError},
    work::WorkBook,
};

/// Reads events of one partition. Cheap to clone.
#[derive(Clone)]
pub struct Reader {
    store: Arc<dyn Store>,
    partition: PartitionId,
    results: bool,
    /// Of work; None: of executions.
    namespace: Option<Arc<str>>,
}

/// Events in order, and where to read on.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// At most as many as were asked for.
    pub events: Vec<FeedEvent>,
    /// The position after the last of them.
    pub next: u64,
}

impl Reader {
    /// Reads a partition's feed from its store.
    pub fn new(store: Arc<dyn Store>, partition: PartitionId) -> Self {
        Self { store, partition, results: true, namespace: None }
    }

    /// The same without reading results, which can be large, where nothing is learnt from them.
    pub(crate) fn without_results(self) -> Self {
        Self { results: false, ..self }
    }

    /// Reads the feed of a namespace of work, which has this name.
    pub fn of_work(book: &WorkBook, namespace: Arc<str>) -> Self {
        let (store, partition) = book.store();
        Self { store: store.clone(), partition, results: false, namespace: Some(namespace) }
    }

    /// The store behind it.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The partition that it reads.
    pub fn partition(&self) -> PartitionId {
        self.partition
    }

    /// Committed events from a position on. Where events were dropped that it should have begun with, the first is a
    /// gap, as soon as there is an event after it.
    pub fn page(&self, from: u64, limit: usize) -> Result<Page, StoreError> {
        let records = self.store.feed(self.partition, from, limit)?;
        let Some((first, _)) = records.first() else { return Ok(Page { events: Vec::new(), next: from }) };
        let gap = *first > from && !broken(Mutant::GapNotTold);
        let told = if gap { &records[..limit.min(records.len() + 1) - 1] } else { &records[..] };
        let next = told.last().map_or(*first, |(last, _)| last + 1);
        let mut events = Vec::with_capacity(records.len() + 1);
        if gap {
            let at = codec::feed_time(&records[0].1).unwrap_or_default();
            events.push(FeedEvent { sequence: from, at, change: Change::Gap });
        }
        events.extend(self.events(told)?);
        Ok(Page { events, next })
    }

    fn events(&self, records: &[(u64, Bytes)]) -> Result<Vec<FeedEvent>, StoreError> {
        if let Some(namespace) = &self.namespace {
            return Ok(records.iter().map(|(sequence, record)| of_work(namespace, *sequence, record)).collect());
        }
        let facts: Vec<_> = records.iter().map(|(sequence, record)| (*sequence, read(record))).collect();
        let known = facts.iter().filter_map(|(_, (_, fact))| fact.as_ref());
        let lookup = Lookup::new(&*self.store, self.partition, known, self.results)?;
        let event = |(sequence, (at, fact)): (u64, (Timestamp, Option<Fact>))| {
            let change = fact.map_or_else(|| Change::Other("unreadable".into()), |fact| change(fact, &lookup));
            FeedEvent { sequence, at, change }
        };
        Ok(facts.into_iter().map(event).collect())
    }
}

fn of_work(namespace: &Arc<str>, sequence: u64, record: &Bytes) -> FeedEvent {
    let at = codec::feed_time(record).unwrap_or_default();
    let change = match pb::WorkEvent::decode(record.clone()) {
        Ok(event) => Change::Work(Box::new(ev::WorkChanged { namespace: namespace.clone(), event })),
        Err(error) => {
            tracing::warn!(%error, "a record of the feed has no meaning");
            Change::Other("unreadable".into())
        }
    };
    FeedEvent { sequence, at, change }
}

/// A record from a newer version of this software may have no meaning here; it still has its place.
fn read(record: &Bytes) -> (Timestamp, Option<Fact>) {
    match codec::decode_feed(record) {
        Ok((at, fact)) => (at, Some(fact)),
        Err(error) => {
            tracing::warn!(%error, "a record of the feed has no meaning");
            (codec::feed_time(record).unwrap_or_default(), None)
        }
    }
}

/// Spelled out for every fact: a new one needs its word here.
fn change(fact: Fact, lookup: &Lookup) -> Change {
    match fact {
        Fact::JobCreated(created) => {
            let who = lookup.who(created.job);
            Change::JobCreated(Box::new(ev::JobCreated {
                job: created.job,
                instance: created.instance,
                tenant: who.tenant,
                invocation: who.invocation,
                action: created.action,
                label: created.label,
                lane: created.lane,
                weight: created.weight,
                rank: created.rank,
            }))
        }
        Fact::OperationAdded { operation, job, .. } => Change::OperationCreated(ev::Operation { operation, job }),
        Fact::OperationCancelled { operation, job, .. } => Change::OperationCancelled(ev::Operation { operation, job }),
        Fact::OperationDeleted { operation, job } => Change::OperationDeleted(ev::Operation { operation, job }),
        Fact::LeaseOffered { lease, session, .. } => Change::LeaseOffered(ev::Lease { lease, session }),
        Fact::LeaseStarted { lease, session, .. } => Change::LeaseStarted(ev::Lease { lease, session }),
        Fact::LeaseWithdrawn { lease, session } => Change::LeaseWithdrawn(ev::Lease { lease, session }),
        // The contract's word for: the job waits again, and that was no attempt.
        Fact::LeaseRequeued { lease, session, .. } => Change::LeaseWithdrawn(ev::Lease { lease, session }),
        Fact::AttemptLost { lease, session, code, .. } => {
            Change::AttemptFailed(ev::AttemptFailed { lease, session, code })
        }
        Fact::LeaseEvicted(evicted) => {
            let (lease, session) = (evicted.lease, evicted.session);
            Change::LeaseEvicted(ev::LeaseEvicted { lease, session, counter: evicted.counter })
        }
        Fact::CoolDownEnded { .. } => Change::Other("cool-down-ended".into()),
        Fact::LimitSet { .. } => Change::Other("limit-set".into()),
        Fact::AttemptFailed(of) => {
            let (lease, session, code) = (of.lease, of.session, of.failed.code);
            Change::AttemptFailed(ev::AttemptFailed { lease, session, code })
        }
        Fact::JobPlaced(placed) => Change::JobPlaced(Box::new(ev::JobPlaced {
            job: placed.job,
            lane: placed.lane,
            weight: placed.weight,
            rank: placed.rank,
        })),
        Fact::PolicyChanged(changed) => Change::PolicyChanged(Box::new(ev::PolicyChanged {
            policy: changed.policy,
            before: changed.before,
            after: changed.after,
            instances: changed.instances,
            role: changed.role,
            what: changed.what,
        })),
        Fact::AttemptDecided(decided) => {
            let after = decided.until.map_or(0, |until| until.since(decided.at).as_millis());
            Change::AttemptDecided(Box::new(ev::AttemptDecided {
                job: decided.job,
                counts: decided.counts,
                after_ms: u64::try_from(after).unwrap_or(u64::MAX),
                elsewhere: decided.elsewhere,
                requirements: decided.requirements,
            }))
        }
        Fact::DelayEnded { job, .. } => Change::DelayEnded(job),
        Fact::JobRefused { job, at, text } => {
            let completed = lookup.completed(job, at, Outcome::Refused, 0, None);
            Change::JobCompleted(Box::new(ev::JobCompleted { refusal: text, ..completed }))
        }
        Fact::JobCompleted { job, at, outcome, ran_ms, session } => {
            Change::JobCompleted(Box::new(lookup.completed(job, at, outcome, ran_ms, session)))
        }
        Fact::SessionOpened(opened) => Change::SessionOpened(Box::new(ev::Session {
            session: opened.session,
            instance: opened.instance,
            bot_id: opened.bot_id,
            slots: opened.slots,
        })),
        Fact::SessionChanged(changed) => {
            let (instance, bot_id) = lookup.bot(changed.session);
            let session = ev::Session { session: changed.session, instance, bot_id, slots: changed.slots };
            Change::SessionChanged(Box::new(session))
        }
        Fact::SessionClosed { session, reason, .. } => {
            let reason = match reason {
                berth_core::SessionEnd::Expired => "expired",
                berth_core::SessionEnd::Replaced => "replaced",
                berth_core::SessionEnd::Terminated => "terminated",
                berth_core::SessionEnd::Kicked => "kicked",
            };
            Change::SessionClosed(ev::SessionClosed { session, reason })
        }
        Fact::DrainSet { instance, bot_id, on: true } => Change::BotDrained(ev::Bot { instance, bot_id }),
        Fact::DrainSet { instance, bot_id, on: false } => Change::BotResumed(ev::Bot { instance, bot_id }),
        Fact::PauseSet { on: true, .. } => Change::Other("jobs-paused".into()),
        Fact::PauseSet { on: false, .. } => Change::Other("jobs-resumed".into()),
        Fact::QuarantineSet { instance, bot_id, until: Some(until) } => {
            let bot = ev::Bot { instance, bot_id };
            Change::BotQuarantined(ev::BotQuarantined { bot, until })
        }
        Fact::QuarantineSet { instance, bot_id, until: None } => Change::BotResumed(ev::Bot { instance, bot_id }),
    }
}
