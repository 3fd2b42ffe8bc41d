//! The real driver of the work book: replies when it is durable, waits for work, archives, and comes back.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_core::{
    Timestamp,
    work::{
        Book, DeleteUnits, GetWork, NewUnit, Rules, SpecName, SpecSettings, UnitKey, UnitState, UpdateUnit, Value,
        WorkerId,
    },
};
use berth_runtime::{
    Committer,
    clock::Clock,
    feed::{Begin, ListenOptions, Listeners},
    memory::{Disk, MemoryStore},
    plugins::{Change, ConsumerError, EventsConsumer, FeedEvent, KvTransaction},
    store::{PartitionId, Store},
    sweep::{Retention, trim},
    work::{NamespaceError, Namespaces, Stopping, WorkBook, WorkOptions},
};
use tokio::task::JoinHandle;

const SPEC: &str = "spec";

struct Server {
    book: WorkBook,
    driver: JoinHandle<()>,
    time: Arc<AtomicU64>,
}

impl Server {
    fn start(disk: &Disk, rules: Rules, archive_every: Option<Duration>) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk));
        let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
        let time = Arc::new(AtomicU64::new(1_000_000_000));
        let clock = Clock::from_fn({
            let time = time.clone();
            move || Timestamp(time.load(Ordering::SeqCst))
        });
        let options = WorkOptions { clock, rules, archive_every, ..WorkOptions::default() };
        let (book, driver) = WorkBook::start(&store, committer, PartitionId(5), options).unwrap();
        Self { book, driver, time }
    }

    async fn stop(self) {
        self.book.stop().await;
        self.driver.await.unwrap();
    }

    async fn add(&self, keys: &[&str]) {
        let units = keys.iter().map(|key| unit(key)).collect();
        self.book.ask(move |book| book.add_units(&SPEC.into(), units)).await.unwrap().unwrap();
    }

    async fn state(&self, key: &str) -> Option<UnitState> {
        let key = [UnitKey::from(key)];
        let views = self.book.ask(move |book| book.unit_status(&SPEC.into(), &key)).await.unwrap().unwrap();
        views.into_iter().next().flatten().map(|view| view.state)
    }
}

fn unit(key: &str) -> NewUnit {
    NewUnit { key: UnitKey::from(key), data: Value::default(), priority: None, delay: None }
}

fn set_spec(book: &mut Book) {
    book.set_spec(SpecSettings::new(SpecName::from(SPEC), Value::default()));
}

fn ask(worker: &str) -> GetWork {
    GetWork {
        worker: WorkerId::from(worker),
        lease_s: None,
        max_jobs: 1,
        specs: Vec::new(),
        runtimes: vec![Value::default()],
        available_gb: None,
        call: None,
    }
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_restart() {
    let disk = Disk::default();
    let server = Server::start(&disk, Rules::default(), None);
    server.book.ask(set_spec).await.unwrap();
    server.add(&["a", "b"]).await;
    let got = server.book.ask(|book| book.get_work(&ask("w"))).await.unwrap();
    assert_eq!(got[0].key, UnitKey::from("a"));
    // Killed: nobody stops it in good order.
    disk.crash(|_| 0);
    let server = Server::start(&disk, Rules::default(), None);
    assert_eq!(server.state("a").await, Some(UnitState::Pending));
    assert_eq!(server.state("b").await, Some(UnitState::Available));
    server.stop().await;
}

#[tokio::test]
async fn calls_are_handled_in_the_order_in_which_they_were_begun() {
    let server = Server::start(&Disk::default(), Rules::default(), None);
    server.book.ask(set_spec).await.unwrap();
    let mut pending = Vec::new();
    for number in 0..100 {
        let begun = server.book.begin(move |book| {
            book.add_units(&SPEC.into(), vec![unit(&format!("{number}"))]).unwrap();
            book.count_units(&SPEC.into()).unwrap().of(UnitState::Available)
        });
        pending.push(begun.await.unwrap());
    }
    for (number, pending) in pending.into_iter().enumerate() {
        assert_eq!(pending.await.unwrap(), number as u64 + 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn who_waits_gets_work_when_it_comes() {
    let server = Server::start(&Disk::default(), Rules::default(), None);
    server.book.ask(set_spec).await.unwrap();
    let waiting = tokio::spawn({
        let book = server.book.clone();
        async move { book.wait_for_work(ask("w")).await }
    });
    // It has been tried when this is answered, or it comes after: both are to end well.
    assert_eq!(server.state("a").await, None);
    server.add(&["a"]).await;
    assert_eq!(waiting.await.unwrap().unwrap()[0].key, UnitKey::from("a"));
    server.stop().await;
}

#[tokio::test]
async fn who_has_gone_while_waiting_gets_nothing() {
    let server = Server::start(&Disk::default(), Rules::default(), None);
    server.book.ask(set_spec).await.unwrap();
    for _ in 0..200 {
        let waiting = tokio::time::timeout(Duration::from_millis(1), server.book.wait_for_work(ask("gone")));
        assert!(waiting.await.is_err());
    }
    server.add(&["a"]).await;
    assert_eq!(server.state("a").await, Some(UnitState::Available));
    assert_eq!(server.book.wait_for_work(ask("w")).await.unwrap()[0].key, UnitKey::from("a"));
    server.stop().await;
}

fn namespaces(disk: &Disk, most: usize) -> Namespaces {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk));
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let options = Box::new(|_: &str| WorkOptions::default());
    Namespaces::open(&store, committer, ("main", PartitionId(1)), most, options).unwrap().0
}

fn names(namespaces: &Namespaces) -> Vec<String> {
    namespaces.all().into_iter().map(|(name, _)| name).collect()
}

#[tokio::test]
async fn namespaces_survive_a_crash_and_deleted_ones_do_not() {
    let disk = Disk::default();
    let before = namespaces(&disk, 10);
    for name in ["kept", "gone"] {
        let book = before.get_or_make(name).await.unwrap();
        book.ask(set_spec).await.unwrap();
        book.ask(|book| book.add_units(&SPEC.into(), vec![unit("a")])).await.unwrap().unwrap();
    }
    let gone = before.get("gone").unwrap();
    let waiting =
        tokio::spawn(async move { gone.wait_for_work(GetWork { specs: vec!["none".into()], ..ask("w") }).await });
    assert_eq!(before.delete("gone").await, Ok(true));
    assert_eq!(waiting.await.unwrap(), Err(Stopping));
    assert_eq!(before.delete("gone").await, Ok(false));
    assert_eq!(before.delete("main").await, Err(NamespaceError::First("main".into())));
    disk.crash(|_| 0);

    let after = namespaces(&disk, 3);
    assert_eq!(names(&after), ["kept", "main"]);
    let count = |book: WorkBook| async move { book.ask(|book| book.count_units(&SPEC.into())).await.unwrap() };
    assert_eq!(count(after.get("kept").unwrap()).await.unwrap().of(UnitState::Available), 1);
    // The same name is another namespace.
    assert!(count(after.get_or_make("gone").await.unwrap()).await.is_err());
    assert_eq!(after.get_or_make("more").await.err(), Some(NamespaceError::TooMany(3)));
    assert!(matches!(after.get_or_make("a b").await.err(), Some(NamespaceError::BadName(_))));
    after.stop().await;
    assert_eq!(after.get_or_make("main").await.unwrap().ask(|_| ()).await, Err(Stopping));
}

#[tokio::test]
async fn a_deletion_in_steps_that_a_crash_cut_short_can_be_asked_for_again() {
    let disk = Disk::default();
    let server = Server::start(&disk, Rules::default(), None);
    server.book.ask(set_spec).await.unwrap();
    let units: Vec<NewUnit> = (0..300).map(|number| unit(&format!("{number:03}"))).collect();
    server.book.ask(move |book| book.add_units(&SPEC.into(), units)).await.unwrap().unwrap();
    let delete = |most: usize| {
        let mut which = DeleteUnits::State(UnitState::Available);
        let mut deleted = 0;
        move |book: &mut Book| {
            let (count, more) = book.delete_units(&SPEC.into(), &mut which, most).unwrap();
            deleted += count;
            (!more).then_some(deleted)
        }
    };
    let count = async |server: &Server| {
        let counts = server.book.ask(|book| book.count_units(&SPEC.into())).await.unwrap().unwrap();
        counts.of(UnitState::Available)
    };
    let begun = server.book.begin_steps(delete(1)).await.unwrap();
    while count(&server).await > 290 {}
    server.stop().await;
    assert_eq!(begun.await, Err(Stopping));
    disk.crash(|_| 0);
    let after = Server::start(&disk, Rules::default(), None);
    let left = count(&after).await;
    assert!((1..=290).contains(&left), "what was seen is on disk, and it was not over: {left}");
    assert_eq!(after.book.begin_steps(delete(100)).await.unwrap().await, Ok(left));
    assert_eq!(count(&after).await, 0);
    after.stop().await;
}

/// Hears, and counts in its table.
struct Hears(tokio::sync::mpsc::UnboundedSender<(u64, String)>);

impl EventsConsumer for Hears {
    fn on_events(&self, kv: &mut KvTransaction, events: &[FeedEvent]) -> Result<(), ConsumerError> {
        for FeedEvent { sequence, change, .. } in events {
            let Change::Work(changed) = change else { panic!("{change:?}") };
            kv.set(&format!("{sequence}"), changed.word().as_bytes()).unwrap();
            self.0.send((*sequence, format!("{} {}", changed.namespace, changed.word()))).unwrap();
        }
        Ok(())
    }
}

#[tokio::test]
async fn consumers_hear_of_the_work_of_a_namespace_and_keep_their_place() {
    let disk = Disk::default();
    let listen = async |namespaces: &Namespaces| {
        let book = namespaces.get_or_make("other").await.unwrap();
        let listeners = Listeners::of_work(book.clone(), "other", Duration::ZERO);
        let (says, heard) = tokio::sync::mpsc::unbounded_channel();
        let options = ListenOptions { begin: Begin::Oldest, ..ListenOptions::default() };
        listeners.listen("it", Arc::new(Hears(says)), options).await.unwrap();
        (book, listeners, heard)
    };
    let before = namespaces(&disk, 10);
    let (book, listeners, mut heard) = listen(&before).await;
    book.ask(set_spec).await.unwrap();
    book.ask(|book| book.add_units(&SPEC.into(), vec![unit("a")])).await.unwrap().unwrap();
    let told = [heard.recv().await.unwrap(), heard.recv().await.unwrap()];
    assert_eq!(told, [(1, "other set".to_owned()), (2, "other added".to_owned())]);
    listeners.close().await;
    assert_eq!(listeners.table("it").entries().count(), 2);
    before.stop().await;
    disk.crash(|_| 0);

    let after = namespaces(&disk, 10);
    let (book, listeners, mut heard) = listen(&after).await;
    book.ask(|book| book.get_work(&ask("w"))).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), (3, "other leased".to_owned()), "it goes on where it was");
    listeners.close().await;
    assert_eq!(listeners.table("it").entries().count(), 3);
    // A namespace that comes again tells nothing of the one before it.
    assert_eq!(after.delete("other").await, Ok(true));
    let (book, listeners, mut heard) = listen(&after).await;
    book.ask(set_spec).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), (1, "other set".to_owned()));
    listeners.close().await;
    after.stop().await;
}

#[tokio::test]
async fn old_events_of_work_go() {
    let disk = Disk::default();
    let namespaces = namespaces(&disk, 10);
    let book = namespaces.get("main").unwrap();
    for _ in 0..20 {
        book.ask(set_spec).await.unwrap();
    }
    let kept = || book.store().0.feed(book.store().1, 0, 100).unwrap().len();
    trim(&namespaces, Retention::default()).await.unwrap();
    assert_eq!(kept(), 20, "they are young");
    trim(&namespaces, Retention { feed_bytes_max: 100, ..Retention::default() }).await.unwrap();
    assert!((1..10).contains(&kept()), "{}", kept());
    book.ask(set_spec).await.unwrap();
    assert_eq!(*book.appended().borrow(), 22, "positions go on");
    namespaces.stop().await;
}

#[tokio::test]
async fn a_stop_ends_those_who_wait() {
    let server = Server::start(&Disk::default(), Rules::default(), None);
    let book = server.book.clone();
    let waiting = tokio::spawn(async move { book.wait_for_work(ask("w")).await });
    while !server.driver.is_finished() {
        server.book.stop().await;
        tokio::task::yield_now().await;
    }
    assert_eq!(waiting.await.unwrap(), Err(Stopping));
    assert_eq!(server.book.ask(|_| ()).await, Err(Stopping));
}

#[tokio::test]
async fn old_units_are_archived_without_anybody_asking() {
    let rules = Rules { completed_max: Some(1), ..Rules::default() };
    let server = Server::start(&Disk::default(), rules, Some(Duration::from_millis(5)));
    server.book.ask(set_spec).await.unwrap();
    server.add(&["a", "b", "c"]).await;
    let mut changes = server.book.changes();
    let finish = |key: &'static str| {
        server.book.ask(move |book| {
            let finish = UpdateUnit { state: Some(UnitState::Finished), ..UpdateUnit::default() };
            book.update_unit(&SPEC.into(), &UnitKey::from(key), finish)
        })
    };
    for key in ["a", "b", "c"] {
        assert_eq!(finish(key).await.unwrap(), Ok(true));
    }
    server.time.fetch_add(10_000, Ordering::SeqCst);
    while server.state("b").await.is_some() {
        changes.changed().await.unwrap();
    }
    assert_eq!((server.state("a").await, server.state("c").await), (None, Some(UnitState::Finished)));
    let counts = server.book.ask(|book| book.count_units(&SPEC.into())).await.unwrap().unwrap();
    assert_eq!(counts.of(UnitState::Finished), 3);
    server.stop().await;
}
