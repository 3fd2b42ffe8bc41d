//! Jobs are placed again on a running engine: all of them when other policies become active, single ones in their time.

use std::{
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_core::{
    Again, BotStatus, Digest, JobId, JobRow, LaneKey, OpenSession, OperationId, PoliciesChanged, PolicyChanged,
    PropertySet, Rejection, SessionId, Settings, Submit, Timestamp,
};
use berth_proto::store as pb;
use berth_runtime::{
    Committer, Engine, EngineError, Options, Replacing, Submitted,
    builtin::BuiltinPolicy,
    clock::Clock,
    feed::reader::Reader,
    memory::{Disk, MemoryStore},
    plugins::Change,
    policy::{
        ExecutionProperties, ExecutionQuestion, PlaceQuestion, Placement, Policy, PolicyError, WorkerProperties,
        WorkerQuestion,
    },
    recover::Limits,
    store::{Batch, PartitionId, Store, Table},
};

const PARTITION: PartitionId = PartitionId(0);

/// Policies whose lanes are named after the set that is active.
#[derive(Default)]
struct Sets {
    active: AtomicU64,
    /// What this set is asked again is answered when the gate opens.
    slow: AtomicU64,
    /// How many questions have come to the gate.
    at_gate: Mutex<u32>,
    came: Condvar,
    is_open: Mutex<bool>,
    opened: Condvar,
    /// Whose jobs' places nobody can say any more.
    faulty_tenant: Mutex<String>,
}

impl Sets {
    fn activate(&self, set: u64) {
        self.active.store(set, Ordering::SeqCst);
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn wait_for_question(&self) {
        drop(self.came.wait_while(self.at_gate.lock().unwrap(), |at_gate| *at_gate == 0).unwrap());
    }

    fn answer(set: u64, question: &PlaceQuestion<'_>) -> Placement {
        let waited = question.waited.as_secs() as i64;
        let text = format!("set {set}, {}, {}", question.tenant, question.locality_hint);
        Placement {
            lane: LaneKey(text.into()),
            weight: set as u32,
            rank: i64::from(question.priority) - waited,
            again: (question.tenant == "impatient").then_some(Duration::from_secs(2)),
            ..Placement::default()
        }
    }
}

impl Policy for Sets {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        BuiltinPolicy.execution_properties(question)
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        BuiltinPolicy.worker_properties(question)
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        let set = self.active.load(Ordering::SeqCst);
        questions.iter().map(|question| Self::answer(set, question)).collect()
    }

    fn place_again(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Option<Placement>> {
        let set = self.active.load(Ordering::SeqCst);
        if set == self.slow.load(Ordering::SeqCst) {
            *self.at_gate.lock().unwrap() += 1;
            self.came.notify_all();
            drop(self.opened.wait_while(self.is_open.lock().unwrap(), |is_open| !*is_open).unwrap());
        }
        let faulty = self.faulty_tenant.lock().unwrap().clone();
        let answer = |question: &PlaceQuestion<'_>| (question.tenant != faulty).then(|| Self::answer(set, question));
        questions.iter().map(answer).collect()
    }

    fn generation(&self) -> u64 {
        self.active.load(Ordering::SeqCst)
    }
}

struct House {
    store: Arc<dyn Store>,
    engine: Engine,
    sets: Arc<Sets>,
    now: Arc<AtomicU64>,
}

impl House {
    fn new(disk: &Disk, active: u64) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk));
        let committer = Committer::start(store.clone(), Arc::new(|error| panic!("the store failed: {error}"))).unwrap();
        let (now, sets) = (Arc::new(AtomicU64::new(1_000_000_000)), Arc::new(Sets::default()));
        sets.activate(active);
        let clock = now.clone();
        let options = Options {
            cohorts: Arc::default(),
            settings: Settings::default(),
            clock: Clock::from_fn(move || Timestamp(clock.load(Ordering::SeqCst))),
            observer: Arc::new(()),
            reserve_bytes: 0,
            policy: sets.clone(),
            heads: Limits { jobs: 4, lines: 100 },
        };
        let (engine, _) = Engine::start(store.clone(), committer, PARTITION, options).unwrap();
        Self { store, engine, sets, now }
    }

    /// As the API does.
    async fn submit(&self, operation: u128, tenant: &str, priority: i32, change: impl FnOnce(&mut pb::JobBody)) {
        let generation = self.sets.generation();
        self.submit_placed(operation, operation, tenant, priority, generation, change).await.unwrap();
    }

    async fn submit_placed(
        &self,
        operation: u128,
        action: u128,
        tenant: &str,
        priority: i32,
        generation: u64,
        change: impl FnOnce(&mut pb::JobBody),
    ) -> Result<Submitted, EngineError> {
        let question = PlaceQuestion { tenant, priority, ..PlaceQuestion::default() };
        let place = Sets::answer(generation, &question);
        let mut body = pb::JobBody { tenant: tenant.into(), priority, ..Default::default() };
        change(&mut body);
        let submit = Submit {
            operation: OperationId(operation),
            instance: "main".into(),
            action: Digest { hash: action.to_be_bytes().repeat(2).try_into().unwrap(), size_bytes: 1 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: self.engine.now(),
            requirements: PropertySet::default(),
            label: "linux".into(),
            lane: place.lane,
            weight: place.weight,
            rank: body.queue_rank.unwrap_or(place.rank),
            limits: Vec::new(),
            affinities: Vec::new(),
            again: Again { after: place.again, generation },
            preferred: None,
            queue_timeout: None,
            execution_timeout: None,
        };
        Ok(self.engine.submit(submit, Arc::new(body)).await?.0)
    }

    async fn rows(&self) -> Vec<JobRow> {
        self.engine.read(|book| book.rows().jobs).await.unwrap()
    }

    async fn row(&self, job: u128) -> JobRow {
        self.engine.read(move |book| book.job_row(JobId(job))).await.unwrap().unwrap()
    }

    /// Waits until a job stands as it should.
    async fn until(&self, job: u128, is_it: impl Fn(&JobRow) -> bool) {
        let mut appended = self.engine.appended();
        while !is_it(&self.row(job).await) {
            appended.changed().await.unwrap();
        }
    }

    async fn walked(&self, generation: u64) -> Replacing {
        let mut progress = self.engine.replacing();
        *progress.wait_for(|at| at.generation == generation && !at.running).await.unwrap()
    }

    fn pass(&self, time: Duration) {
        self.now.fetch_add(time.as_micros() as u64, Ordering::SeqCst);
    }

    /// Whether the store says that jobs are to be placed again.
    fn is_marked(&self) -> bool {
        let mut marked = false;
        let mut visit = |key: &[u8], _: &[u8]| {
            marked |= key.starts_with(b"replacing/");
            std::ops::ControlFlow::Continue(())
        };
        self.store.scan(PARTITION, Table::Meta, b"", &mut visit).unwrap();
        marked
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_jobs_follow_the_policies_that_become_active() {
    let house = House::new(&Disk::default(), 1);
    for job in 1..=600 {
        house.submit(job, "one", 3, |body| body.locality_hint = "rack".into()).await;
    }
    let open = |poll| OpenSession {
        session: SessionId(1),
        instance: "main".into(),
        bot_id: "bot".into(),
        identity: "".into(),
        capabilities: vec![PropertySet::default()],
        slots: 5,
        score: 0,
        hold_when_full: false,
        status: BotStatus::Ok,
        poll,
        hold_until: None,
    };
    house.engine.open_session(open).await.unwrap().delivered();
    // A hook gave one its rank; a more urgent request joined another; nobody can say anything of a third.
    house.submit(601, "one", 3, |body| body.queue_rank = Some(-40)).await;
    house.submit(602, "one", 3, |_| ()).await;
    house.submit_placed(603, 602, "one", -9, 1, |_| ()).await.unwrap();
    house.submit(604, "two", 3, |_| ()).await;
    *house.sets.faulty_tenant.lock().unwrap() = "two".into();

    house.sets.activate(2);
    house.engine.replace_all(None).await.unwrap();
    let progress = house.walked(2).await;
    assert_eq!((progress.done, progress.total, progress.unanswered), (603, 603, 1));
    assert!(!house.is_marked());

    let rows = house.rows().await;
    assert_eq!(rows.len(), 603);
    for row in &rows {
        let (lane, rank) = match row.job.0 {
            601 => ("set 2, one, ", -40),
            602 => ("set 2, one, ", -9),
            604 => ("set 1, two, ", 3),
            _ => ("set 2, one, rack", 3),
        };
        assert_eq!((&*row.lane.0, row.rank), (lane, rank), "job {}", row.job.0);
        assert_eq!(row.age, row.job.0 as u64 - u64::from(row.job.0 > 603));
    }
    let reader = Reader::new(house.store.clone(), PARTITION);
    let events = reader.page(1, 10_000).unwrap().events;
    let placed: Vec<_> = events
        .iter()
        .filter_map(|event| match &event.change {
            Change::JobPlaced(placed) => Some((placed.job, placed.weight)),
            _ => None,
        })
        .collect();
    assert_eq!(placed.len(), 602, "each that moved is an event");
    assert!(placed.iter().all(|(job, weight)| job.0 != 604 && *weight == 2));

    // Again, and nothing is written.
    house.engine.replace_all(None).await.unwrap();
    house.walked(2).await;
    let events = reader.page(1, 10_000).unwrap().events.len();
    assert_eq!(events as u64 + 1, *house.engine.appended().borrow());
    assert_eq!(house.rows().await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_takes_up_what_was_not_done_when_all_jobs_are_loaded() {
    let disk = Disk::default();
    let house = House::new(&disk, 1);
    for job in 1..=30 {
        house.submit(job, "one", 0, |_| ()).await;
    }
    // The set is stored as active, and the process ends before it says so.
    let engine = house.engine.clone();
    let mark = move |batch: &mut _| {
        let _ = engine.mark_replacement(batch);
    };
    house.engine.write_rows(Box::new(mark)).await.unwrap();
    house.engine.stop().await;
    drop(house);

    let house = House::new(&disk, 5);
    assert_eq!(house.walked(5).await.done, 30);
    assert!(house.rows().await.iter().all(|row| &*row.lane.0 == "set 5, one, "));
    assert!(!house.is_marked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_activation_stops_an_older_walk_and_its_answers_do_not_count() {
    let house = House::new(&Disk::default(), 1);
    for job in 1..=600 {
        house.submit(job, "one", 0, |_| ()).await;
    }
    house.sets.slow.store(2, Ordering::SeqCst);
    house.sets.activate(2);
    house.engine.replace_all(None).await.unwrap();
    let sets = house.sets.clone();
    tokio::task::spawn_blocking(move || sets.wait_for_question()).await.unwrap();

    house.sets.activate(3);
    house.engine.replace_all(None).await.unwrap();
    assert_eq!(house.walked(3).await.done, 600);
    // Now the second set answers, too late.
    house.sets.open();
    for _ in 0..100 {
        let rows = house.rows().await;
        assert!(rows.iter().all(|row| &*row.lane.0 == "set 3, one, "));
    }
    assert_eq!(*house.sets.at_gate.lock().unwrap(), 1, "the older walk ended where it was");
    assert!(!house.is_marked());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_asked_about_when_its_time_comes() {
    let house = House::new(&Disk::default(), 1);
    house.submit(1, "impatient", 9, |_| ()).await;
    house.submit(2, "patient", 9, |_| ()).await;
    for round in 1..=3 {
        house.pass(Duration::from_secs(2));
        house.until(1, |row| row.rank == 9 - 2 * round).await;
    }
    assert_eq!(house.row(2).await.rank, 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_change_between_two_steps_and_what_older_ones_placed_is_refused() {
    let house = House::new(&Disk::default(), 1);
    house.submit(1, "one", 0, |_| ()).await;
    let (sets, change) = (house.sets.clone(), changed("activated"));
    let told = PoliciesChanged { generation: 2, changes: vec![change.clone()] };
    let swap = move |rows: &mut Batch| {
        sets.activate(2);
        rows.put(Table::Meta, b"set", |out| out.push(2));
        told
    };
    house.engine.change_policies(Box::new(swap)).await.unwrap();
    assert!(house.store.get(PARTITION, Table::Meta, &[b"set"]).unwrap()[0].is_some(), "its rows are durable");
    let late = house.submit_placed(2, 2, "one", 0, 1, |_| ()).await;
    assert!(matches!(late, Err(EngineError::Rejected(Rejection::Outdated))), "{late:?}");
    house.submit_placed(2, 2, "one", 0, 2, |_| ()).await.unwrap();
    assert_eq!(&*house.row(2).await.lane.0, "set 2, one, ");
    let page = Reader::new(house.store.clone(), PARTITION).page(0, 100).unwrap();
    let words = page.events.into_iter().filter_map(|event| match event.change {
        Change::JobCreated(created) => Some(created.lane.0.to_string()),
        Change::PolicyChanged(told) => Some(format!("{} {} -> {}", told.role, told.before, told.after)),
        _ => None,
    });
    assert_eq!(words.collect::<Vec<_>>(), ["set 1, one, ", "lane 1 -> 2", "set 2, one, "]);
}

fn changed(what: &str) -> PolicyChanged {
    PolicyChanged {
        policy: "fair".into(),
        before: "1".into(),
        after: "2".into(),
        instances: "*".into(),
        role: "lane".into(),
        what: what.into(),
    }
}
