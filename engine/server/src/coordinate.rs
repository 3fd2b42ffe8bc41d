//! The doors for Coordinate's clients, and the namespaces behind them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use berth_coordinate::{Chaining, Config as DoorConfig, Door, TakesWork, WorkService};
use berth_core::work::{Choice, Rules};
use berth_runtime::{
    Committer, Engine,
    clock::Clock,
    policy::Policy,
    store::{PartitionId, Store},
    work::{Namespaces, WorkBook, WorkOptions},
};
use tokio::{net::TcpListener, sync::mpsc};

use crate::{
    config::{Config, Locks, WorkChoice},
    doors::{Doors, Plain},
};

/// Work units are in partitions of their own, so that adding a million of them never delays a build. This one is that of
/// the configured namespace, whatever its name.
const PARTITION: PartitionId = PartitionId(1);

/// How often completed units are looked at, where the operator bounds them.
const ARCHIVE_EVERY: Duration = Duration::from_secs(60);

/// An address that was taken, for the clients of one namespace.
pub(crate) struct Bound {
    namespace: String,
    listener: TcpListener,
    pub(crate) address: SocketAddr,
}

/// Takes the addresses, before anything else is done: first that of the configured namespace. None: nobody is served.
pub(crate) async fn bind(config: &Config) -> anyhow::Result<Vec<Bound>> {
    let Some(address) = config.coordinate else { return Ok(Vec::new()) };
    let raw = &config.raw.coordinate;
    let mut bound = Vec::new();
    for (namespace, address) in std::iter::once((&raw.namespace, &address)).chain(&raw.also) {
        let listener = TcpListener::bind(address).await.with_context(|| {
            format!(
                "cannot listen on {address} for the clients of namespace {namespace} (--coordinate ADDR sets another for \
                 the first, coordinate.also for others, --coordinate off none)"
            )
        })?;
        let address = listener.local_addr()?;
        bound.push(Bound { namespace: namespace.clone(), listener, address });
    }
    Ok(bound)
}

/// Recovers all namespaces. To be called in the runtime of their drivers. The policy is asked which spec serves a worker
/// where it chooses for the instance that has the name of the namespace.
pub(crate) fn open(
    config: &Config,
    store: &Arc<dyn Store>,
    committer: Committer,
    clock: Clock,
    policy: Arc<dyn Policy>,
) -> anyhow::Result<(Namespaces, mpsc::UnboundedReceiver<String>)> {
    let raw = &config.raw.coordinate;
    let completed_max = (raw.completed_max > 0).then_some(raw.completed_max);
    let completed_age = (raw.completed_s > 0).then(|| Duration::from_secs(raw.completed_s));
    let rules = Rules {
        choice: match raw.choose {
            WorkChoice::Simplified => Choice::Simplified,
            WorkChoice::Classic => Choice::Classic,
        },
        enforce_min_gb: raw.enforce_min_gb,
        completed_max,
        completed_age,
    };
    let (locks_durable, feed) = (raw.locks == Locks::Durable, raw.feed);
    let options = move |namespace: &str| WorkOptions {
        clock: clock.clone(),
        rules,
        outputs: Arc::new(Chaining),
        chooser: policy.clone().choosing(),
        namespace: namespace.to_owned(),
        locks_durable,
        archive_every: (completed_max.is_some() || completed_age.is_some()).then_some(ARCHIVE_EVERY),
        feed,
    };
    let first = (raw.namespace.as_str(), PARTITION);
    Namespaces::open(store, committer, first, raw.namespaces_max, Box::new(options))
        .context("recovery of the work book failed")
}

/// All namespaces for clients of gRPC.
pub(crate) fn service(namespaces: Namespaces, engine: &Engine) -> WorkService {
    WorkService::new(namespaces).with_takes_work(takes_work(engine))
}

/// The reserve of the disk is one for all work.
fn takes_work(engine: &Engine) -> TakesWork {
    let engine = engine.clone();
    Arc::new(move || engine.takes_work().map_err(|error| error.to_string()))
}

/// The door for Coordinate's clients: to a book, and to others as [`Door::to`] has it.
pub(crate) fn door(config: &Config, book: WorkBook, engine: &Engine) -> Door {
    let raw = &config.raw.coordinate;
    let mut settings =
        DoorConfig::default().with_frame_bytes_max(raw.frame_bytes_max).with_takes_work(takes_work(engine));
    if let Some(table) = &raw.global_config {
        settings = settings.with_global_config(table);
    }
    Door::new(book, settings)
}

/// Serves Coordinate's clients at each address that was taken for them.
pub(crate) async fn serve(
    doors: &Doors,
    bound: Vec<Bound>,
    door: &Door,
    namespaces: &Namespaces,
) -> anyhow::Result<Vec<Plain>> {
    let mut served = Vec::new();
    for Bound { namespace, listener, address } in bound {
        let door = door.to(namespaces.get_or_make(&namespace).await?);
        tracing::info!(namespace, %address, "Coordinate's clients are served");
        served.push(doors.serve_plain(listener, move |stream, stop| {
            let door = door.clone();
            async move { door.serve(stream, &stop).await }
        }));
    }
    Ok(served)
}
