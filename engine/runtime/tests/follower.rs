//! A consumer of the feed hears every event, keeps its table and its place together, and is told what it missed.

use std::sync::{Arc, Mutex};

use berth_core::{
    AttemptDecided, Digest, Fact, InstanceName, JobCreated, JobId, JobRow, JobRowState, LaneKey, LeaseId, Outcome,
    Property, PropertySet, SessionId, Timestamp,
};
use berth_proto::store as pb;
use berth_runtime::{
    codec,
    feed::{Begin, Follower, OnFault, Turn, reader::Reader, shadow_name},
    memory::{Disk, MemoryStore},
    plugins::{Change, ConsumerError, EventsConsumer, FeedEvent, KvLimits, KvTransaction, KvView, events},
    store::{Batch, Commit, Fence, PartitionId, Store, Table},
};
use prost::Message;

const P: PartitionId = PartitionId(5);

struct House {
    disk: Disk,
    store: Arc<MemoryStore>,
    fence: Fence,
}

impl House {
    fn new() -> Self {
        Self::on(Disk::default())
    }

    fn on(disk: Disk) -> Self {
        let store = Arc::new(MemoryStore::open(&disk));
        let fence = store.acquire(P).unwrap();
        Self { disk, store, fence }
    }

    fn commit(&self, fill: impl FnOnce(&mut Batch)) {
        let mut batch = Batch::default();
        fill(&mut batch);
        self.store.commit(&[Commit { fence: self.fence, batch }]).pop().unwrap().unwrap();
    }

    fn append(&self, facts: impl IntoIterator<Item = Fact>) {
        let next = self.store.next_sequence(P).unwrap();
        self.commit(|batch| {
            for (sequence, fact) in (next..).zip(facts) {
                batch.feed(sequence, |out| codec::encode_feed(Timestamp(sequence * 1_000), &fact, out));
            }
        });
    }

    fn offers(&self, count: u32) {
        self.append(
            (1..=count).map(|attempt| Fact::LeaseWithdrawn {
                lease: LeaseId { job: JobId(1), attempt },
                session: SessionId(1),
            }),
        );
    }

    fn follower(&self, name: &str, begin: Begin, on_fault: OnFault) -> Follower {
        let reader = Reader::new(self.store.clone(), P);
        Follower::open(reader, name, &begin, KvLimits::default(), on_fault).unwrap()
    }

    /// Until there is nothing to hear, or it stops; answers how it ended.
    fn run(&self, follower: &mut Follower, consumer: &dyn EventsConsumer) -> Turn {
        loop {
            match follower.turn(consumer).unwrap() {
                Turn::Commit(pending) => {
                    self.commit(|batch| pending.write(batch));
                    follower.committed(&pending);
                }
                Turn::Again => {}
                end @ (Turn::Idle | Turn::Stopped(_)) => return end,
            }
        }
    }
}

/// Sums positions in its table; fails on some.
#[derive(Default)]
struct Sum {
    fails_on: Vec<u64>,
    batches: Mutex<Vec<usize>>,
    gaps: Mutex<Vec<u64>>,
}

impl EventsConsumer for Sum {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        self.batches.lock().unwrap().push(events.len());
        for event in events {
            if event.change == Change::Gap {
                self.gaps.lock().unwrap().push(event.sequence);
                continue;
            }
            let sum = sum(kv) + event.sequence;
            kv.set("sum", sum.to_string().as_bytes()).unwrap();
            if self.fails_on.contains(&event.sequence) {
                return Err(ConsumerError::Refused("not this one".into()));
            }
        }
        Ok(())
    }
}

fn sum(kv: &impl KvView) -> u64 {
    kv.get("sum").map_or(0, |sum| std::str::from_utf8(&sum).unwrap().parse().unwrap())
}

#[test]
fn everything_is_heard_once_in_batches_of_the_contract() {
    let house = House::new();
    house.offers(600);
    let (mut follower, consumer) = (house.follower("a", Begin::Oldest, OnFault::Stop), Sum::default());
    assert!(matches!(house.run(&mut follower, &consumer), Turn::Idle));
    assert_eq!(*consumer.batches.lock().unwrap(), [256, 256, 88]);
    assert_eq!((sum(follower.table()), follower.next()), (600 * 601 / 2, 601));
}

#[test]
fn a_crash_before_the_commit_loses_both_table_and_place() {
    let house = House::new();
    house.offers(300);
    let mut follower = house.follower("a", Begin::Oldest, OnFault::Stop);
    let consumer = Sum::default();
    for _ in 0..2 {
        let Turn::Commit(pending) = follower.turn(&consumer).unwrap() else { panic!("there is something to hear") };
        house.commit(|batch| pending.write(batch));
        follower.committed(&pending);
    }
    let Turn::Commit(_) = follower.turn(&consumer).unwrap() else { panic!("there is more to hear") };
    house.disk.crash(|_| 0);
    let house = House::on(house.disk);
    let mut follower = house.follower("a", Begin::Now, OnFault::Stop);
    assert_eq!((sum(follower.table()), follower.next()), (256 * 257 / 2, 257));
    house.run(&mut follower, &Sum::default());
    assert_eq!(sum(follower.table()), 300 * 301 / 2);
}

#[test]
fn an_event_that_fails_is_found_and_skipped_and_that_is_recorded() {
    let house = House::new();
    house.offers(300);
    let mut follower = house.follower("a", Begin::Oldest, OnFault::Skip);
    let consumer = Sum { fails_on: vec![100, 101], ..Sum::default() };
    house.run(&mut follower, &consumer);
    assert_eq!((sum(follower.table()), follower.skipped()), (300 * 301 / 2 - 201, 2));
    assert_eq!(house.follower("a", Begin::Now, OnFault::Skip).skipped(), 2);
}

#[test]
fn a_consumer_that_fails_stays_and_a_better_version_goes_on_with_its_table() {
    let house = House::new();
    house.offers(20);
    let mut follower = house.follower("a", Begin::Oldest, OnFault::Stop);
    let consumer = Sum { fails_on: vec![7], ..Sum::default() };
    let mut waits = Vec::new();
    for _ in 0..10 {
        let Turn::Stopped(after) = house.run(&mut follower, &consumer) else { panic!("it fails") };
        waits.push(after.as_secs());
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
    assert_eq!((follower.next(), sum(follower.table())), (7, 21));
    let mut follower = house.follower("a", Begin::Now, OnFault::Stop);
    assert!(matches!(house.run(&mut follower, &Sum::default()), Turn::Idle));
    assert_eq!(sum(follower.table()), 210);
}

#[test]
fn a_consumer_that_was_left_behind_is_told_of_a_gap() {
    let house = House::new();
    house.offers(10);
    let mut follower = house.follower("a", Begin::Oldest, OnFault::Stop);
    house.run(&mut follower, &Sum::default());
    house.offers(10);
    house.commit(|batch| batch.trim_feed(21));
    let consumer = Sum::default();
    house.run(&mut follower, &consumer);
    assert_eq!(*consumer.gaps.lock().unwrap(), [0; 0], "it is told with the next event");
    house.offers(300);
    house.run(&mut follower, &consumer);
    assert_eq!(*consumer.gaps.lock().unwrap(), [11]);
    assert_eq!(consumer.batches.lock().unwrap()[0], 256);
    assert_eq!(sum(follower.table()), 55 + (21..=320).sum::<u64>());
}

#[test]
fn a_shadow_begins_as_a_copy_and_goes_its_own_way() {
    let house = House::new();
    house.offers(10);
    let mut active = house.follower("a", Begin::Oldest, OnFault::Stop);
    house.run(&mut active, &Sum::default());
    house.offers(10);
    let begin = Begin::CopyOf("a".into());
    let mut shadow = house.follower(&shadow_name("a", "digest"), begin.clone(), OnFault::Stop);
    house.run(&mut shadow, &Sum::default());
    assert_eq!((sum(active.table()), sum(shadow.table())), (55, 210));
    house.run(&mut active, &Sum { fails_on: vec![15], ..Sum::default() });
    let shadow = house.follower(&shadow_name("a", "digest"), begin, OnFault::Stop);
    assert_eq!((sum(active.table()), sum(shadow.table())), (105, 210));
    assert_eq!(house.follower("b", Begin::Now, OnFault::Stop).next(), 21);
}

#[test]
fn an_event_tells_what_the_rows_of_its_job_say() {
    let (house, job) = (House::new(), JobId(77));
    let any = berth_proto::any::pack(&Usage { maximum_resident_set_size: 5 << 20 });
    let metadata = berth_proto::reapi::ExecutedActionMetadata { auxiliary_metadata: vec![any], ..Default::default() };
    let result =
        berth_proto::reapi::ActionResult { exit_code: 1, execution_metadata: Some(metadata), ..Default::default() };
    let request = berth_proto::reapi::RequestMetadata { tool_invocation_id: "build 1".into(), ..Default::default() };
    let body = pb::JobBody {
        request_metadata: request.encode_to_vec().into(),
        tenant: "team".into(),
        history: "//a:b".into(),
        ..Default::default()
    };
    let result = pb::JobResult { action_result: result.encode_to_vec().into(), ..Default::default() };
    let outcome = Outcome::Reported { code: 0, cacheable: false };
    let row = row(job, outcome);
    house.commit(|batch| {
        batch.put(Table::Bodies, &codec::id_key(job.0), |out| body.encode(out).unwrap());
        batch.put(Table::Results, &codec::id_key(job.0), |out| result.encode(out).unwrap());
        batch.put(Table::FinishedJobs, &codec::id_key(job.0), |out| codec::encode_job(&row, out));
    });
    let created = JobCreated {
        job,
        instance: InstanceName::from("main"),
        action: row.action,
        do_not_cache: false,
        requirements: PropertySet::default(),
        label: "linux".into(),
        lane: LaneKey("lane".into()),
        weight: 2,
        rank: -1,
        limits: Vec::new(),
        affinities: Vec::new(),
        age: 1,
        queued_at: Timestamp(1),
        again: None,
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    };
    let completed = Fact::JobCompleted { job, at: Timestamp(1), outcome, ran_ms: 40, session: Some(SessionId(4)) };
    house.append([Fact::JobCreated(Box::new(created)), completed]);
    let page = Reader::new(house.store.clone(), P).page(1, 10).unwrap();
    assert_eq!(page.next, 3);
    let Change::JobCreated(created) = &page.events[0].change else { panic!("{:?}", page.events[0]) };
    assert_eq!((&*created.tenant, &*created.invocation, created.weight), ("team", "build 1", 2));
    let expected = events::JobCompleted {
        job,
        instance: InstanceName::from("main"),
        tenant: "team".into(),
        invocation: "build 1".into(),
        label: "linux".into(),
        code: 0,
        cached: false,
        total_ms: 1,
        ran_ms: 40,
        attempts: 3,
        session: Some(SessionId(4)),
        refusal: "".into(),
        exit_code: Some(1),
        peak_memory_bytes: 5 << 20,
        lesson: Some(events::Lesson { history: "//a:b".into(), failed: true, peak_memory_bytes: 5 << 20 }),
    };
    assert_eq!(page.events[1].change, Change::JobCompleted(Box::new(expected)));
    assert_eq!((page.events[1].sequence, page.events[1].at), (2, Timestamp(2_000)));
}

#[test]
fn an_event_of_a_job_that_is_gone_has_empty_texts() {
    let house = House::new();
    let outcome = Outcome::QueueTimeout;
    house.append([
        Fact::JobCompleted { job: JobId(1), at: Timestamp(1), outcome, ran_ms: 0, session: None },
        Fact::DrainSet { instance: "main".into(), bot_id: "b".into(), on: true },
        Fact::LeaseOffered { lease: LeaseId { job: JobId(1), attempt: 1 }, session: SessionId(9), at: Timestamp(1) },
    ]);
    let events = Reader::new(house.store.clone(), P).page(1, 10).unwrap().events;
    let Change::JobCompleted(completed) = &events[0].change else { panic!("{:?}", events[0]) };
    assert_eq!((&*completed.instance.0, &*completed.label, completed.code, completed.total_ms), ("", "", 14, 0));
    assert_eq!(completed.lesson, None);
    assert_eq!(events[1].change, Change::BotDrained(events::Bot { instance: "main".into(), bot_id: "b".into() }));
    assert!(matches!(events[2].change, Change::LeaseOffered(events::Lease { session: SessionId(9), .. })));
}

fn row(job: JobId, outcome: Outcome) -> JobRow {
    JobRow {
        job,
        instance: "main".into(),
        action: Digest { hash: [1; 32], size_bytes: 1 },
        do_not_cache: false,
        requirements: PropertySet::default(),
        label: "linux".into(),
        lane: LaneKey("lane".into()),
        weight: 2,
        rank: -1,
        limits: Vec::new(),
        affinities: Vec::new(),
        age: 1,
        queued_at: Timestamp(500),
        again: None,
        queue_timeout: None,
        execution_timeout: None,
        offers: 3,
        attempts_used: 0,
        operations: Vec::new(),
        setbacks: None,
        past: Vec::new(),
        started_at: None,
        state: JobRowState::Completed { at: Timestamp(2_000), outcome },
        preferred: None,
    }
}

/// What some bots send along.
#[derive(Clone, PartialEq, Message)]
struct Usage {
    #[prost(int64, tag = "3")]
    maximum_resident_set_size: i64,
}

impl prost::Name for Usage {
    const NAME: &'static str = "POSIXResourceUsage";
    const PACKAGE: &'static str = "buildbarn.resourceusage";
}

#[test]
fn what_became_of_an_attempt_and_of_a_bot_is_told_with_its_record() {
    let house = House::new();
    let (job, at, session) = (JobId(1), Timestamp(2_000_000), SessionId(9));
    let lease = LeaseId { job, attempt: 2 };
    let requirements: PropertySet = [Property::new("os", "linux")].into_iter().collect();
    let decided = AttemptDecided {
        job,
        at,
        counts: false,
        // Half a second after it, which is the third event.
        until: Some(Timestamp(503_000)),
        elsewhere: true,
        requirements: Some(requirements.clone()),
    };
    house.append([
        Fact::LeaseStarted { lease, session, at },
        Fact::AttemptLost { lease, session, code: 14, at },
        Fact::AttemptDecided(Box::new(decided)),
        Fact::DelayEnded { job, at },
        Fact::JobRefused { job, at, text: "no such bot".into() },
        Fact::QuarantineSet { instance: "main".into(), bot_id: "b".into(), until: Some(Timestamp(3_000_000)) },
    ]);
    let events = Reader::new(house.store.clone(), P).page(1, 10).unwrap().events;
    let [started, lost, decided, ended, refused, quarantined] = &events[..] else { panic!("{events:?}") };
    assert_eq!(started.change, Change::LeaseStarted(events::Lease { lease, session }));
    assert_eq!(lost.change, Change::AttemptFailed(events::AttemptFailed { lease, session, code: 14 }));
    let told =
        events::AttemptDecided { job, counts: false, after_ms: 500, elsewhere: true, requirements: Some(requirements) };
    assert_eq!(decided.change, Change::AttemptDecided(Box::new(told)));
    assert_eq!(ended.change, Change::DelayEnded(job));
    let Change::JobCompleted(completed) = &refused.change else { panic!("{refused:?}") };
    assert_eq!((&*completed.refusal, completed.code, completed.session), ("no such bot", 9, None));
    let bot = events::Bot { instance: "main".into(), bot_id: "b".into() };
    let until = Timestamp(3_000_000);
    assert_eq!(quarantined.change, Change::BotQuarantined(events::BotQuarantined { bot, until }));
}
