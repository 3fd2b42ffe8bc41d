//! `berth.work.v1` against a real book: the same model, without polling.

use std::{sync::Arc, time::Duration};

use berth_coordinate::{Chaining, WorkService};
use berth_proto::work::{
    AddUnitsRequest, ControlSpecRequest, DeleteNamespaceRequest, DeleteSpecsRequest, DeleteUnitsRequest,
    GetWorkRequest, HeartbeatRequest, ListLocksRequest, ListNamespacesRequest, ListSpecsRequest, ListUnitsRequest,
    ListWorkersRequest, LockRequest, NewUnit, Path, SetSpecsRequest, UnitState, UnitUpdate, UnlockRequest,
    UpdateUnitsRequest, WatchRequest, work_client::WorkClient,
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
    Code,
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
