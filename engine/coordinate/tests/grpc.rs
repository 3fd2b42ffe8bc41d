//! `berth.work.v1` against a real book: the same model, without polling.

use std::{sync::Arc, time::Duration};

use berth_coordinate::{Chaining, WorkService};
use berth_proto::work::{
    AddUnitsRequest, ArchiveUnitsRequest, ControlSpecRequest, DeleteNamespaceRequest, DeleteSpecsRequest,
    DeleteUnitsRequest, Event, EventsRequest, GetWorkRequest, HeartbeatRequest, ListLocksRequest,
    ListNamespacesRequest, ListSpecsRequest, ListUnitsRequest, ListWorkersRequest, LockRequest, NewUnit, Path,
    PrioritizeUnitsRequest, SetSpecsRequest, UnitState, UnitUpdate, UnlockRequest, UpdateUnitsRequest, WatchRequest,
    prioritize_units_request::How, work_client::WorkClient,
};
use berth_runtime::{
    Committer,
    memory::{Disk, MemoryStore},
    store::{PartitionId, Store},
    work::{Namespaces, WorkOptions},
};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request,
    transport::{Channel, Endpoint, Server},
};

/// {"name": "spec", "min_gb": 1}
const SPEC: &[u8] = b"\xa2\x64name\x64spec\x66min_gb\x01";
const MAIN: &str = "main";

async fn client() -> WorkClient<Channel> {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::default()));
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let options = |_: &str| WorkOptions { outputs: Arc::new(Chaining), ..WorkOptions::default() };
    let (namespaces, _) = Namespaces::open(&store, committer, (MAIN, PartitionId(1)), 3, Box::new(options)).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = WorkService::new(namespaces).into_server(16 << 20);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)));
    WorkClient::new(Endpoint::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap())
}

async fn with_spec() -> WorkClient<Channel> {
    let mut client = client().await;
    let request = SetSpecsRequest { namespace: MAIN.into(), dictionaries: vec![SPEC.into()] };
    client.set_specs(request).await.unwrap();
    client
}

async fn add(client: &mut WorkClient<Channel>, keys: &[&'static str]) {
    let unit = |key: &&'static str| NewUnit { key: Bytes::from(*key), data: Bytes::new(), ..NewUnit::default() };
    let units = keys.iter().map(unit).collect();
    client.add_units(AddUnitsRequest { namespace: MAIN.into(), spec: "spec".into(), units }).await.unwrap();
}

fn ask(max_units: u32, total_units: u32) -> GetWorkRequest {
    GetWorkRequest { namespace: MAIN.into(), worker: "w".into(), max_units, total_units, ..GetWorkRequest::default() }
}

async fn update(client: &mut WorkClient<Channel>, key: &'static str, state: UnitState, worker: &'static str) -> String {
    let update = UnitUpdate {
        spec: "spec".into(),
        key: key.into(),
        state: state.into(),
        worker: worker.into(),
        ..UnitUpdate::default()
    };
    let request = UpdateUnitsRequest { namespace: MAIN.into(), updates: vec![update] };
    let outcome = client.update_units(request).await.unwrap().into_inner().outcomes.remove(0);
    if outcome.done { "done".to_owned() } else { outcome.refusal }
}

#[tokio::test]
async fn a_call_that_asks_early_gets_what_comes_later() {
    let mut client = with_spec().await;
    let mut work = client.get_work(ask(2, 3)).await.unwrap().into_inner();
    let nothing = tokio::time::timeout(Duration::from_millis(50), work.message()).await;
    assert!(nothing.is_err(), "there is nothing to do");
    add(&mut client, &["a", "b", "c", "d"]).await;
    let mut keys = Vec::new();
    while let Some(units) = work.message().await.unwrap() {
        assert_eq!(units.spec, "spec");
        keys.extend(units.units.into_iter().map(|unit| unit.key));
    }
    assert_eq!(keys, ["a", "b", "c"], "so many were asked for, and then it ends");
    assert_eq!(update(&mut client, "a", UnitState::Finished, "other").await, "lost lease");
    assert_eq!(update(&mut client, "a", UnitState::Finished, "w").await, "done");
    let request = ListUnitsRequest { namespace: MAIN.into(), spec: "spec".into(), limit: 3, ..Default::default() };
    let page = client.list_units(request).await.unwrap().into_inner();
    let states: Vec<UnitState> = page.units.iter().map(|unit| unit.state()).collect();
    assert_eq!(states, [UnitState::Finished, UnitState::Pending, UnitState::Pending]);
    assert_eq!(page.next, "d");
}

#[tokio::test]
async fn a_watcher_hears_what_a_spec_comes_to() {
    let mut client = with_spec().await;
    let request = WatchRequest { namespace: MAIN.into(), specs: Vec::new() };
    let mut changes = client.watch(request).await.unwrap().into_inner();
    let counts = |change: berth_proto::work::WatchResponse| {
        let counts = change.specs[0].counts.unwrap();
        [counts.available, counts.pending, counts.finished]
    };
    assert_eq!(counts(changes.message().await.unwrap().unwrap()), [0, 0, 0]);
    add(&mut client, &["a", "b"]).await;
    assert_eq!(counts(changes.message().await.unwrap().unwrap()), [2, 0, 0]);
    client.get_work(ask(1, 1)).await.unwrap().into_inner().message().await.unwrap();
    assert_eq!(counts(changes.message().await.unwrap().unwrap()), [1, 1, 0]);
    let request = DeleteSpecsRequest { namespace: MAIN.into(), names: vec!["spec".into(), "none".into()] };
    assert_eq!(client.delete_specs(request).await.unwrap().into_inner().deleted, 1);
    assert_eq!(changes.message().await.unwrap().unwrap().deleted, ["spec"]);
}

#[tokio::test]
async fn specs_are_listed_and_controlled() {
    let mut client = with_spec().await;
    add(&mut client, &["a"]).await;
    let control =
        ControlSpecRequest { namespace: MAIN.into(), name: "spec".into(), paused: Some(true), ..Default::default() };
    client.control_spec(control.clone()).await.unwrap();
    let request = ListSpecsRequest { namespace: MAIN.into(), ..Default::default() };
    let spec = client.list_specs(request).await.unwrap().into_inner().specs.remove(0);
    assert_eq!((&spec.dictionary[..], spec.paused, spec.counts.unwrap().available), (SPEC, true, 1));
    let refused = client.control_spec(ControlSpecRequest { name: "none".into(), ..control }).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);
    let delete = DeleteUnitsRequest { namespace: MAIN.into(), spec: "spec".into(), ..Default::default() };
    let refused = client.delete_units(delete.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument, "nothing named is not everything");
    let deleted = client.delete_units(DeleteUnitsRequest { all: true, ..delete }).await.unwrap();
    assert_eq!(deleted.into_inner().deleted, 1);
}

#[tokio::test]
async fn workers_and_locks_are_seen() {
    let mut client = with_spec().await;
    let beat =
        HeartbeatRequest { namespace: MAIN.into(), worker: "w".into(), mode: "RUN".into(), ..Default::default() };
    client.heartbeat(beat).await.unwrap();
    let workers =
        client.list_workers(ListWorkersRequest { namespace: MAIN.into() }).await.unwrap().into_inner().workers;
    assert_eq!((&workers[0].worker[..], &workers[0].mode[..]), (&b"w"[..], &b"\x43RUN"[..]));
    let path = |elements: &[&str]| Path { elements: elements.iter().map(ToString::to_string).collect() };
    let lock = LockRequest {
        namespace: MAIN.into(),
        locker: "me".into(),
        paths: vec![path(&["usr", "bin"])],
        ..Default::default()
    };
    client.lock(lock.clone()).await.unwrap();
    let above = LockRequest { paths: vec![path(&["usr"])], ..lock.clone() };
    assert_eq!(client.lock(above).await.unwrap_err().code(), Code::FailedPrecondition);
    client.renew_locks(lock.clone()).await.unwrap();
    let held = || ListLocksRequest { namespace: MAIN.into() };
    assert_eq!(client.list_locks(held()).await.unwrap().into_inner().locks[0].locker, "me");
    let unlock = UnlockRequest { namespace: MAIN.into(), locker: "me".into(), paths: lock.paths };
    client.unlock(unlock).await.unwrap();
    assert!(client.list_locks(held()).await.unwrap().into_inner().locks.is_empty());
}

#[tokio::test]
async fn namespaces_come_are_apart_and_go() {
    let mut client = with_spec().await;
    let set = |namespace: &str| SetSpecsRequest { namespace: namespace.into(), dictionaries: vec![SPEC.into()] };
    let units = |namespace: &str| ListUnitsRequest {
        namespace: namespace.into(),
        spec: "spec".into(),
        ..ListUnitsRequest::default()
    };
    client.set_specs(set("other")).await.unwrap();
    add(&mut client, &["a"]).await;
    assert!(client.list_units(units("other")).await.unwrap().into_inner().units.is_empty());
    assert_eq!(client.list_units(units(MAIN)).await.unwrap().into_inner().units.len(), 1);
    client.set_specs(set("third")).await.unwrap();
    assert_eq!(client.set_specs(set("fourth")).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(client.set_specs(set("no name")).await.unwrap_err().code(), Code::InvalidArgument);
    let listed = client.list_namespaces(ListNamespacesRequest {}).await.unwrap().into_inner().namespaces;
    assert_eq!(listed, [MAIN, "other", "third"]);

    let delete = |namespace: &str| DeleteNamespaceRequest { namespace: namespace.into() };
    client.delete_namespace(delete("other")).await.unwrap();
    assert_eq!(client.delete_namespace(delete("other")).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(client.delete_namespace(delete(MAIN)).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(client.list_units(units("other")).await.unwrap_err().code(), Code::NotFound);
    // There is room again, and nothing of what was there.
    client.set_specs(set("other")).await.unwrap();
    assert!(client.list_units(units("other")).await.unwrap().into_inner().units.is_empty());
}

/// A call with a name.
fn named<T>(name: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("berth-request-id", name.parse().unwrap());
    request
}

async fn counts(client: &mut WorkClient<Channel>) -> [u64; 3] {
    let request = ListSpecsRequest { namespace: MAIN.into(), ..Default::default() };
    let counts = client.list_specs(request).await.unwrap().into_inner().specs.remove(0).counts.unwrap();
    [counts.available, counts.pending, counts.finished]
}

#[tokio::test]
async fn a_call_that_has_a_name_is_done_once() {
    let mut client = with_spec().await;
    let units = vec![NewUnit { key: "a".into(), ..NewUnit::default() }];
    let add = AddUnitsRequest { namespace: MAIN.into(), spec: "spec".into(), units };
    client.add_units(named("1", add.clone())).await.unwrap();
    update(&mut client, "a", UnitState::Finished, "w").await;
    for _ in 0..2 {
        client.add_units(named("1", add.clone())).await.unwrap();
        assert_eq!(counts(&mut client).await, [0, 0, 1], "it is the same call");
    }
    // Another name, another content, or no name: another call.
    client.add_units(named("2", add.clone())).await.unwrap();
    assert_eq!(counts(&mut client).await, [1, 0, 0]);
    let other = vec![NewUnit { key: "b".into(), ..NewUnit::default() }];
    client.add_units(named("1", AddUnitsRequest { units: other, ..add.clone() })).await.unwrap();
    assert_eq!(counts(&mut client).await, [2, 0, 0]);

    let delete = DeleteUnitsRequest { namespace: MAIN.into(), spec: "spec".into(), all: true, ..Default::default() };
    for _ in 0..2 {
        let deleted = client.delete_units(named("3", delete.clone())).await.unwrap().into_inner().deleted;
        assert_eq!(deleted, 2, "as the first time");
    }
    assert_eq!(client.delete_units(delete).await.unwrap().into_inner().deleted, 0);

    let paths = vec![Path { elements: vec!["x".into()] }];
    let lock = LockRequest { namespace: MAIN.into(), locker: "me".into(), paths: paths.clone(), ..Default::default() };
    let unlock = UnlockRequest { namespace: MAIN.into(), locker: "me".into(), paths };
    for _ in 0..2 {
        client.lock(named("4", lock.clone())).await.unwrap();
    }
    assert_eq!(client.lock(named("5", lock)).await.unwrap_err().code(), Code::FailedPrecondition);
    for _ in 0..2 {
        client.unlock(named("6", unlock.clone())).await.unwrap();
    }
    // What was refused was not done: it is tried again.
    assert_eq!(client.unlock(named("7", unlock)).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn priorities_are_set_and_adjusted_once() {
    let mut client = with_spec().await;
    add(&mut client, &["a", "b"]).await;
    let prioritize = |key: &'static str, how: Option<How>| PrioritizeUnitsRequest {
        namespace: MAIN.into(),
        spec: "spec".into(),
        keys: vec![key.into(), "none".into()],
        how,
    };
    client.prioritize_units(prioritize("a", Some(How::Priority(1.5)))).await.unwrap();
    for _ in 0..2 {
        client.prioritize_units(named("1", prioritize("b", Some(How::Adjustment(1.0))))).await.unwrap();
    }
    let mut work = client.get_work(ask(1, 1)).await.unwrap().into_inner();
    assert_eq!(work.message().await.unwrap().unwrap().units[0].key, "a", "1.5 is more than 1");
    let nothing = client.prioritize_units(prioritize("b", None)).await.unwrap_err();
    assert_eq!(nothing.code(), Code::InvalidArgument);
    client.archive_units(ArchiveUnitsRequest { namespace: MAIN.into(), specs: Vec::new() }).await.unwrap();
    assert_eq!(counts(&mut client).await, [1, 1, 0], "nothing is too old");
}

#[tokio::test]
async fn work_that_was_asked_for_by_name_is_handed_out_once() {
    let mut client = with_spec().await;
    add(&mut client, &["a", "b", "c", "d", "e"]).await;
    async fn got(client: &mut WorkClient<Channel>, name: &str) -> Vec<Bytes> {
        let mut work = client.get_work(named(name, ask(1, 2))).await.unwrap().into_inner();
        let mut keys = Vec::new();
        while let Some(units) = work.message().await.unwrap() {
            keys.extend(units.units.into_iter().map(|unit| unit.key));
        }
        keys
    }
    assert_eq!(got(&mut client, "1").await, ["a", "b"]);
    assert_eq!(got(&mut client, "1").await, ["a", "b"], "the same two messages");
    assert_eq!(counts(&mut client).await, [3, 2, 0]);
    update(&mut client, "a", UnitState::Finished, "w").await;
    assert_eq!(got(&mut client, "1").await, ["c", "b"], "one was done: something else in its place");
    assert_eq!(got(&mut client, "2").await, ["d", "e"]);
}

#[tokio::test]
async fn what_happened_is_told_in_order() {
    let mut client = with_spec().await;
    let request = |from, follow| EventsRequest { namespace: MAIN.into(), from, follow };
    let mut follows = client.events(request(2, true)).await.unwrap().into_inner();
    add(&mut client, &["a", "b", "c"]).await;
    client.get_work(ask(2, 2)).await.unwrap().into_inner().message().await.unwrap();
    update(&mut client, "b", UnitState::Failed, "w").await;
    update(&mut client, "b", UnitState::Available, "").await;
    let beat = HeartbeatRequest { namespace: MAIN.into(), worker: "w".into(), ..Default::default() };
    for _ in 0..3 {
        client.heartbeat(beat.clone()).await.unwrap();
    }
    let delete = DeleteSpecsRequest { namespace: MAIN.into(), names: vec!["spec".into()] };
    client.delete_specs(delete).await.unwrap();
    let mut told = Vec::new();
    let mut all = client.events(request(0, false)).await.unwrap().into_inner();
    while let Some(page) = all.message().await.unwrap() {
        told.extend(page.events);
    }
    let shown = |event: &Event| {
        let keys: Vec<&str> = event.keys.iter().map(|key| std::str::from_utf8(key).unwrap()).collect();
        let [name, worker] = [&event.name, &event.worker].map(|name| std::str::from_utf8(name).unwrap());
        format!("{} {:?} {name} {worker} {}", event.sequence, event.kind(), keys.join(","))
    };
    let lines: Vec<String> = told.iter().map(shown).collect();
    let expected = [
        "1 SpecSet spec  ",
        "2 UnitsAdded spec  a,b,c",
        "3 UnitsLeased spec w a,b",
        "4 UnitsFailed spec w b",
        "5 UnitsRetried spec  b",
        "6 WorkerSeen w  ",
        "7 SpecDeleted spec  ",
    ];
    assert_eq!(lines, expected, "heartbeats that say nothing new are no events");
    let mut followed = Vec::new();
    while followed.len() < 6 {
        followed.extend(follows.message().await.unwrap().unwrap().events);
    }
    assert_eq!(followed, told[1..]);
}

#[tokio::test]
async fn what_cannot_be_is_said() {
    let mut client = client().await;
    let elsewhere = ListWorkersRequest { namespace: "other".into() };
    assert_eq!(client.list_workers(elsewhere).await.unwrap_err().code(), Code::NotFound);
    for bad in [&b"\x01"[..], b"\xa1\x64name", b"\xa0"] {
        let request = SetSpecsRequest { namespace: MAIN.into(), dictionaries: vec![Bytes::copy_from_slice(bad)] };
        assert_eq!(client.set_specs(request).await.unwrap_err().code(), Code::InvalidArgument, "{bad:?}");
    }
}
