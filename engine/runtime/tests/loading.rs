//! The real driver while jobs are loaded: the store lets nobody read jobs a second time before the test says so.

use std::{
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use berth_core::{
    BotStatus, Digest, Event, InstanceName, JobId, LaneKey, LeaseId, OpenSession, OperationId, PollId, PropertySet,
    SessionId, Settings, Submit, Timestamp,
};
use berth_proto::store as pb;
use berth_runtime::{
    Committer, Engine, Options,
    clock::Clock,
    memory::{Disk, MemoryStore},
    partition::{Attachment, Input, Partition},
    recover::{Limits, RecoverError},
    store::{Batch, Commit, Fence, PartitionId, Space, Store, StoreError, Table, Visit},
};
use bytes::Bytes;
use tokio::task::JoinHandle;

const PARTITION: PartitionId = PartitionId(0);

const NOW: Timestamp = Timestamp(1_000_000_000);

/// Lets jobs be scanned once, and again when the gate is open.
struct Gated {
    store: MemoryStore,
    scans: Mutex<u32>,
    allowed: Mutex<bool>,
    opened: Condvar,
}

impl Gated {
    fn open_gate(&self) {
        *self.allowed.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

impl Store for Gated {
    fn acquire(&self, partition: PartitionId) -> Result<Fence, StoreError> {
        self.store.acquire(partition)
    }

    fn renew(&self, fence: &Fence) -> Result<(), StoreError> {
        self.store.renew(fence)
    }

    fn commit(&self, group: &[Commit]) -> Vec<Result<(), StoreError>> {
        self.store.commit(group)
    }

    fn scan(&self, partition: PartitionId, table: Table, from: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        if table == Table::Jobs {
            let mut scans = self.scans.lock().unwrap();
            *scans += 1;
            if *scans > 1 {
                let allowed = self.allowed.lock().unwrap();
                drop(self.opened.wait_while(allowed, |allowed| !*allowed).unwrap());
            }
        }
        self.store.scan(partition, table, from, visit)
    }

    fn range(
        &self,
        partition: PartitionId,
        table: Table,
        range: std::ops::Range<&[u8]>,
        backward: bool,
        visit: Visit<'_>,
    ) -> Result<(), StoreError> {
        self.store.range(partition, table, range, backward, visit)
    }

    fn get(&self, partition: PartitionId, table: Table, keys: &[&[u8]]) -> Result<Vec<Option<Bytes>>, StoreError> {
        self.store.get(partition, table, keys)
    }

    fn feed(&self, partition: PartitionId, from: u64, limit: usize) -> Result<Vec<(u64, Bytes)>, StoreError> {
        self.store.feed(partition, from, limit)
    }

    fn next_sequence(&self, partition: PartitionId) -> Result<u64, StoreError> {
        self.store.next_sequence(partition)
    }

    fn space(&self) -> Result<Space, StoreError> {
        self.store.space()
    }
}

fn submit(operation: u128, rank: i64) -> Submit {
    Submit {
        operation: OperationId(operation),
        instance: InstanceName::from("main"),
        action: Digest { hash: [operation as u8; 32], size_bytes: 1 },
        do_not_cache: false,
        skip_cache_lookup: false,
        lookup_began: NOW,
        requirements: PropertySet::default(),
        label: "".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Default::default(),
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    }
}

/// Jobs 1 to 4 wait; the later ones go first.
fn filled(spoil: impl FnOnce(&mut Batch)) -> Disk {
    let disk = Disk::default();
    let store = MemoryStore::open(&disk);
    let fence = store.acquire(PARTITION).unwrap();
    let mut partition = Partition::new(berth_core::Book::new(Settings::default()), 1);
    let event = |job| Event::Submit(Box::new(submit(job, -(job as i64))));
    let inputs = (1..=4).map(|job| Input::Event { event: event(job), attachment: Attachment::default(), token: () });
    let mut batch = partition.step(NOW, inputs).batch;
    spoil(&mut batch);
    store.commit(&[Commit { fence, batch }]).pop().unwrap().unwrap();
    disk
}

struct Server {
    store: Arc<Gated>,
    engine: Engine,
    driver: JoinHandle<Result<(), RecoverError>>,
}

impl Server {
    /// Restores one job before it serves.
    fn start(disk: &Disk) -> Self {
        let store = MemoryStore::open(disk);
        let store = Gated { store, scans: Mutex::new(0), allowed: Mutex::new(false), opened: Condvar::new() };
        let store = Arc::new(store);
        let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
        let options = Options {
            cohorts: Arc::default(),
            settings: Settings::default(),
            clock: Clock::from_fn(|| NOW),
            observer: Arc::new(()),
            reserve_bytes: 0,
            heads: Limits { jobs: 1, lines: 1 },
            policy: Arc::new(berth_runtime::builtin::BuiltinPolicy),
        };
        let (engine, driver) = Engine::start(store.clone(), committer, PARTITION, options).unwrap();
        Self { store, engine, driver }
    }

    /// What a bot is given that asks for as many jobs.
    async fn bot(&self, session: u128, slots: u32) -> Vec<LeaseId> {
        let open = |poll: PollId| OpenSession {
            session: SessionId(session),
            instance: InstanceName::from("main"),
            bot_id: session.to_string().into(),
            identity: "".into(),
            capabilities: vec![PropertySet::default()],
            slots,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll,
            hold_until: Some(NOW.after(Duration::from_secs(60))),
            score: 0,
        };
        let delivery = self.engine.open_session(open).await.unwrap();
        let leases = delivery.answer().leases.clone();
        delivery.delivered();
        leases
    }

    async fn loading(&self) -> usize {
        self.engine.read_promptly(|book| book.counts().loading).await.unwrap()
    }
}

fn lease(job: u128) -> LeaseId {
    LeaseId { job: JobId(job), attempt: 1 }
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_served_while_jobs_are_loaded_and_clients_after_it() {
    let server = Server::start(&filled(|_| ()));
    assert_eq!(server.loading().await, 3);
    assert_eq!(server.bot(1, 4).await, [lease(4)], "the first job goes at once, and no other before it is certain");
    let mut next = Box::pin(server.bot(2, 2));
    // The same action as job 2's: which of them is there already is not known yet.
    let same = Submit { action: Digest { hash: [2; 32], size_bytes: 1 }, ..submit(9, -100) };
    let mut merged = Box::pin(server.engine.submit(same, Arc::new(pb::JobBody::default())));
    assert!(futures::poll!(&mut next).is_pending());
    assert!(futures::poll!(&mut merged).is_pending());
    assert_eq!(server.loading().await, 3);
    assert!(futures::poll!(&mut next).is_pending());
    assert!(futures::poll!(&mut merged).is_pending());

    server.store.open_gate();
    assert_eq!(next.await, [lease(3), lease(2)], "a bot that waited is served when all jobs are known");
    let (merged, _) = merged.await.unwrap();
    assert!(merged.merged);
    assert_eq!(merged.job, JobId(2));
    assert_eq!(server.loading().await, 0);
    assert!(server.engine.operation(OperationId(1)).await.unwrap().is_some());
    server.engine.stop().await;
    server.driver.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_read_ends_the_driver_though_bots_were_served() {
    // Cut behind what decides its turn.
    let spoil = |batch: &mut Batch| {
        let row = berth_core::JobRow {
            job: JobId(1),
            instance: InstanceName::from("main"),
            action: Digest { hash: [1; 32], size_bytes: 1 },
            do_not_cache: false,
            requirements: PropertySet::default(),
            label: "".into(),
            lane: LaneKey::default(),
            weight: 1,
            rank: -1,
            limits: Vec::new(),
            affinities: Vec::new(),
            age: 1,
            queued_at: NOW,
            again: None,
            queue_timeout: None,
            execution_timeout: None,
            offers: 0,
            attempts_used: 0,
            operations: Vec::new(),
            setbacks: None,
            past: Vec::new(),
            started_at: None,
            state: berth_core::JobRowState::Queued,
            preferred: None,
        };
        let key = berth_runtime::codec::id_key(1);
        batch.put(Table::Jobs, &key, |out| berth_runtime::codec::encode_job(&row, out));
    };
    let server = Server::start(&filled(spoil));
    assert_eq!(server.bot(1, 1).await, [lease(4)]);
    server.store.open_gate();
    let error = server.driver.await.unwrap().unwrap_err();
    assert!(error.to_string().contains("`jobs`"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_stopped_while_jobs_are_loaded_loses_none() {
    let disk = filled(|_| ());
    let server = Server::start(&disk);
    assert_eq!(server.bot(1, 1).await, [lease(4)]);
    server.engine.stop().await;
    server.store.open_gate();
    server.driver.await.unwrap().unwrap();

    let server = Server::start(&disk);
    server.store.open_gate();
    let jobs = server.engine.read(|book| book.rows().jobs.len()).await.unwrap();
    assert_eq!(jobs, 4);
    server.engine.stop().await;
    server.driver.await.unwrap().unwrap();
}
