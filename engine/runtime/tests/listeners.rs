//! Consumers on a running engine: woken by commits, exchanged without losing an event, seen by metrics.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use berth_core::{
    BotStatus, Digest, LaneKey, LeaseId, LeaseReport, OpenSession, OperationId, Property, PropertySet, ReportedState,
    SessionId, Settings, Submit, UpdateSession,
};
use berth_proto::store as pb;
use berth_runtime::{
    Committer, Engine, Options,
    clock::Clock,
    feed::{ListenOptions, ListenerState, Listeners, OnFault},
    memory::{Disk, MemoryStore},
    plugins::{Change, ConsumerError, Desk, EventsConsumer, FeedEvent, KvTransaction, KvView, Load},
    recover::Limits,
    store::{PartitionId, Store},
};
use tokio::sync::watch;

struct House {
    engine: Engine,
    listeners: Listeners,
}

fn house(disk: &Disk) -> House {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk));
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("the store failed: {error}"))).unwrap();
    let options = Options {
        cohorts: Arc::default(),
        settings: Settings::default(),
        clock: Clock::system(),
        observer: Arc::new(()),
        reserve_bytes: 0,
        policy: Arc::new(berth_runtime::builtin::BuiltinPolicy),
        heads: Limits::default(),
    };
    let (engine, _) = Engine::start(store, committer, PartitionId(0), options).unwrap();
    House { listeners: Listeners::new(engine.clone(), Duration::ZERO), engine }
}

impl House {
    async fn submit(&self, number: u128, tenant: &str) {
        let submit = Submit {
            operation: OperationId(number),
            instance: "main".into(),
            action: Digest { hash: number.to_be_bytes().repeat(2).try_into().unwrap(), size_bytes: 1 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: self.engine.now(),
            requirements: PropertySet::default(),
            label: "linux".into(),
            lane: LaneKey("lane".into()),
            weight: 1,
            rank: 0,
            limits: Vec::new(),
            affinities: Vec::new(),
            again: Default::default(),
            queue_timeout: None,
            execution_timeout: None,
            preferred: None,
        };
        let body = pb::JobBody { tenant: tenant.into(), history: "key".into(), ..Default::default() };
        self.engine.submit(submit, Arc::new(body)).await.unwrap();
    }

    /// A bot comes, and takes the oldest job.
    async fn bot(&self, session: u128) -> LeaseId {
        let open = |poll| OpenSession {
            session: SessionId(session),
            instance: "main".into(),
            bot_id: format!("bot {session}").into(),
            identity: "".into(),
            capabilities: vec![[Property::new("a", "b")].into_iter().collect()],
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll,
            hold_until: None,
            score: 0,
        };
        let delivery = self.engine.open_session(open).await.unwrap();
        let lease = delivery.answer().leases[0];
        delivery.delivered();
        lease
    }
}

impl House {
    /// A bot has done what it was given.
    async fn done(&self, session: u128, lease: LeaseId) {
        let state = ReportedState::Completed { code: 0, cacheable: false };
        let update = |poll| UpdateSession {
            session: SessionId(session),
            bot_id: format!("bot {session}").into(),
            identity: "".into(),
            status: BotStatus::Terminating,
            worker: None,
            leases: vec![LeaseReport { lease, state }],
            poll,
            hold_until: None,
        };
        let results = vec![(lease, pb::JobResult::default())];
        self.engine.update_session(update, results).await.unwrap().delivered();
    }
}

/// Counts jobs in its table, and says how many events it has heard.
struct Count {
    heard: watch::Sender<u64>,
    step: u64,
    fails: Mutex<bool>,
}

impl Count {
    fn new(step: u64) -> Arc<Self> {
        Arc::new(Self { heard: watch::Sender::new(0), step, fails: Mutex::new(false) })
    }
}

impl EventsConsumer for Count {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        if *self.fails.lock().unwrap() {
            self.heard.send_modify(|heard| *heard += 1);
            return Err(ConsumerError::Fault("it does not want to".into()));
        }
        let created = events.iter().filter(|event| matches!(event.change, Change::JobCreated(_))).count() as u64;
        kv.set("jobs", (count(kv) + created * self.step).to_string().as_bytes()).unwrap();
        self.heard.send_modify(|heard| *heard += events.len() as u64);
        Ok(())
    }
}

fn count(kv: &impl KvView) -> u64 {
    kv.get("jobs").map_or(0, |count| std::str::from_utf8(&count).unwrap().parse().unwrap())
}

/// Waits until it holds; each round lets everything that is under way become durable.
async fn until(house: &House, mut holds: impl FnMut() -> bool) {
    while !holds() {
        house.engine.read(|_| ()).await.unwrap();
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_of_a_plugin_share_its_table_and_miss_nothing() {
    let disk = Disk::default();
    let house = house(&disk);
    let (first, second) = (Count::new(1), Count::new(100));
    house.listeners.listen("count", first.clone(), ListenOptions::default()).await.unwrap();
    for number in 1..=5 {
        house.submit(number, "team").await;
    }
    until(&house, || count(&house.listeners.table("count")) == 5).await;
    house.listeners.silence("count").await;
    for number in 6..=7 {
        house.submit(number, "team").await;
    }
    assert_eq!(count(&house.listeners.kv("main", "count")), 5);
    house.listeners.listen("count", second, ListenOptions::default()).await.unwrap();
    until(&house, || count(&house.listeners.table("count")) == 205).await;
    let status = house.listeners.status();
    assert_eq!((&*status[0].name, status[0].lag, status[0].kv_rows), ("count", 0, 1));
    house.listeners.forget("count").await.unwrap();
    assert_eq!(count(&house.listeners.table("count")), 0);
    assert!(house.listeners.status().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_comes_back_after_a_restart() {
    let disk = Disk::default();
    let before = house(&disk);
    before.listeners.listen("count", Count::new(1), ListenOptions::default()).await.unwrap();
    // The place is committed before anything is heard: what happens from now on is heard.
    until(&before, || !before.listeners.status().is_empty()).await;
    before.submit(1, "team").await;
    until(&before, || count(&before.listeners.table("count")) == 1).await;
    disk.crash(|_| 0);
    let after = house(&disk);
    assert_eq!(count(&after.listeners.table("count")), 1);
    after.listeners.listen("count", Count::new(1), ListenOptions::default()).await.unwrap();
    after.submit(2, "team").await;
    until(&after, || count(&after.listeners.table("count")) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_fails_holds_nobody_up_and_is_seen() {
    let disk = Disk::default();
    let house = house(&disk);
    let consumer = Count::new(1);
    *consumer.fails.lock().unwrap() = true;
    let options = ListenOptions { on_fault: OnFault::Stop, ..ListenOptions::default() };
    house.listeners.listen("count", consumer.clone(), options).await.unwrap();
    house.submit(1, "team").await;
    until(&house, || matches!(house.listeners.status()[0].state, ListenerState::Stopped { .. })).await;
    house.submit(2, "team").await;
    let status = house.listeners.status().remove(0);
    assert_eq!((status.events, status.kv_rows), (0, 0));
    assert!(status.lag >= 2 && status.failures >= 3, "{status:?}");
    house.listeners.listen("count", Count::new(1), ListenOptions::default()).await.unwrap();
    until(&house, || count(&house.listeners.table("count")) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_are_counted_by_lane_label_and_tenant_from_the_book_on() {
    let disk = Disk::default();
    let house = house(&disk);
    house.submit(1, "red").await;
    house.submit(2, "blue").await;
    house.listeners.keep_stats().await.unwrap();
    house.submit(3, "blue").await;
    let stats = || house.listeners.stats("main");
    let load = |queued, running| Load { queued, running };
    until(&house, || stats().of_lane("main", "lane") == load(3, 0)).await;
    assert_eq!((stats().of_tenant("main", "red"), stats().of_tenant("main", "blue")), (load(1, 0), load(2, 0)));
    let lease = house.bot(1).await;
    assert_eq!(lease.attempt, 1);
    until(&house, || stats().of_label("main", "linux") == load(2, 1)).await;
    assert_eq!(stats().of_tenant("main", "red"), load(0, 1));
    house.engine.cancel(OperationId(2)).await.unwrap();
    until(&house, || stats().of_tenant("main", "blue") == load(1, 0)).await;
    assert_eq!(stats().of_lane("other", "lane"), load(0, 0));
    assert_eq!(stats().history_of("key"), None, "nothing is learnt from a cancel");
    house.done(1, lease).await;
    until(&house, || stats().history_of("key").is_some_and(|learnt| learnt.samples == 1)).await;
    assert_eq!(stats().of_tenant("main", "red"), load(0, 0));
}
