use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use berth_core::{InstanceName, LaneKey, Outcome, PropertySet, Settings, Stage, Submit, Timestamp};
use berth_proto::reapi::ActionResult;
use berth_runtime::{
    Committer, Options,
    cas::TreeCheck,
    clock::Clock,
    memory::{Disk, MemoryStore},
    recover::Limits,
    store::{PartitionId, Store},
};
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt, ready};
use tokio::sync::Notify;

use super::*;

/// Knows who pins and nothing else.
#[derive(Default)]
struct Pinboard {
    pinned: Mutex<BTreeSet<u128>>,
    changed: Notify,
}

impl Pinboard {
    fn keys(&self) -> Vec<u128> {
        self.pinned.lock().unwrap().iter().copied().collect()
    }

    async fn wait_for(&self, keys: &[u128]) {
        while self.keys() != keys {
            self.changed.notified().await;
        }
    }
}

impl Cas for Pinboard {
    fn read<'a>(&'a self, _: &'a str, _: &'a Digest, _: usize) -> BoxFuture<'a, Result<Option<Bytes>, CasError>> {
        ready(Ok(None)).boxed()
    }

    fn write<'a>(&'a self, _: &'a str, _: Bytes) -> BoxFuture<'a, Result<Digest, CasError>> {
        ready(Err(CasError::Full("always".into()))).boxed()
    }

    fn check_tree<'a>(&'a self, _: &'a str, _: &'a Digest) -> BoxFuture<'a, Result<TreeCheck, CasError>> {
        ready(Ok(TreeCheck::default())).boxed()
    }

    fn pin<'a>(&'a self, key: u128, _: &'a str, _: &'a [Digest]) -> BoxFuture<'a, Result<(), CasError>> {
        self.pinned.lock().unwrap().insert(key);
        ready(Ok(())).boxed()
    }

    fn unpin(&self, key: u128) {
        self.pinned.lock().unwrap().remove(&key);
        self.changed.notify_one();
    }

    fn action_result<'a>(&'a self, _: &'a str, _: &'a Digest) -> BoxFuture<'a, Result<Option<ActionResult>, CasError>> {
        ready(Ok(None)).boxed()
    }

    fn put_action_result<'a>(
        &'a self,
        _: &'a str,
        _: &'a Digest,
        _: &'a ActionResult,
    ) -> BoxFuture<'a, Result<(), CasError>> {
        ready(Ok(())).boxed()
    }

    fn min_age(&self) -> Duration {
        Duration::ZERO
    }
}

fn start(disk: &Disk, cas: &Arc<dyn Cas>) -> Engine {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::open(disk));
    let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
    let options = Options {
        cohorts: Arc::default(),
        settings: Settings::default(),
        clock: Clock::system(),
        observer: Arc::new(Unpinner::new(cas.clone())),
        reserve_bytes: 0,
        heads: Limits::default(),
        policy: Arc::new(berth_runtime::builtin::BuiltinPolicy),
    };
    Engine::start(store, committer, PartitionId(0), options).unwrap().0
}

const ACTION: Digest = Digest { hash: [1; 32], size_bytes: 1 };

fn submit(operation: u128) -> Submit {
    Submit {
        operation: OperationId(operation),
        instance: InstanceName::from("main"),
        action: ACTION,
        do_not_cache: true,
        skip_cache_lookup: false,
        lookup_began: Timestamp::default(),
        requirements: PropertySet::default(),
        label: "unknown".into(),
        lane: LaneKey::default(),
        weight: 1,
        rank: 0,
        limits: Vec::new(),
        affinities: Vec::new(),
        again: Default::default(),
        queue_timeout: None,
        execution_timeout: None,
        preferred: None,
    }
}

fn body() -> pb::JobBody {
    pb::JobBody { command_digest: Some(to_store(&ACTION)), input_root: Some(to_store(&ACTION)), ..Default::default() }
}

#[tokio::test]
async fn a_call_that_ends_early_leaves_pins_only_for_jobs_that_there_are() {
    let board = Arc::new(Pinboard::default());
    let cas: Arc<dyn Cas> = board.clone();
    let engine = start(&Disk::default(), &cas);
    let pin = |operation| PinGuard::pin(&engine, &cas, OperationId(operation), "main", &[ACTION]);
    let (with_job, without_job) = (pin(1).await.unwrap(), pin(2).await.unwrap());
    engine.submit(submit(1), Arc::new(body())).await.unwrap();
    drop((with_job, without_job));
    board.wait_for(&[1]).await;

    engine.cancel(OperationId(1)).await.unwrap();
    board.wait_for(&[]).await;
    let view = engine.operation(OperationId(1)).await.unwrap().unwrap();
    assert_eq!(view.stage, Stage::Completed(Outcome::Cancelled));
}

#[tokio::test]
async fn what_is_recovered_is_pinned_again_until_it_is_over() {
    let disk = Disk::default();
    let board = Arc::new(Pinboard::default());
    let cas: Arc<dyn Cas> = board.clone();
    let engine = start(&disk, &cas);
    for operation in [1, 2] {
        engine.submit(submit(operation), Arc::new(body())).await.unwrap();
    }
    engine.cancel(OperationId(2)).await.unwrap();
    engine.stop().await;

    let engine = start(&disk, &cas);
    assert_eq!(pin_incomplete(&engine, &*cas).await.unwrap(), 1);
    assert_eq!(board.keys(), [1]);
    engine.cancel(OperationId(1)).await.unwrap();
    board.wait_for(&[]).await;
}
