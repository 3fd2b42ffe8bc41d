//! The door for Coordinate's clients, and the book behind it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use berth_coordinate::{Chaining, Config as DoorConfig, Door, TakesWork, WorkService};
use berth_core::{
    Chooser,
    work::{Choice, Rules},
};
use berth_runtime::{
    Committer, Engine,
    clock::Clock,
    store::{PartitionId, Store},
    work::{WorkBook, WorkOptions},
};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    config::{Config, Locks, WorkChoice},
    doors::{Doors, Plain},
};

/// Work units are in a partition of their own, so that adding a million of them never delays a build.
const PARTITION: PartitionId = PartitionId(1);

/// How often completed units are looked at, where the operator bounds them.
const ARCHIVE_EVERY: Duration = Duration::from_secs(60);

/// Takes the address, before anything else is done.
pub(crate) async fn bind(config: &Config) -> anyhow::Result<Option<(TcpListener, SocketAddr)>> {
    let Some(address) = config.coordinate else { return Ok(None) };
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address} (--coordinate ADDR sets another, --coordinate off none)")
    })?;
    let address = listener.local_addr()?;
    Ok(Some((listener, address)))
}

/// Recovers the book. To be called in the runtime of the driver. The chooser is asked where a policy chooses for the
/// instance that has the name of the namespace.
pub(crate) fn open_book(
    config: &Config,
    store: Arc<dyn Store>,
    committer: Committer,
    clock: Clock,
    chooser: Option<Box<dyn Chooser>>,
) -> anyhow::Result<(WorkBook, JoinHandle<()>)> {
    let raw = &config.raw.coordinate;
    let completed_max = (raw.completed_max > 0).then_some(raw.completed_max);
    let completed_age = (raw.completed_s > 0).then(|| Duration::from_secs(raw.completed_s));
    let options = WorkOptions {
        clock,
        rules: Rules {
            choice: match raw.choose {
                WorkChoice::Simplified => Choice::Simplified,
                WorkChoice::Classic => Choice::Classic,
            },
            enforce_min_gb: raw.enforce_min_gb,
            completed_max,
            completed_age,
        },
        outputs: Arc::new(Chaining),
        chooser,
        namespace: raw.namespace.clone(),
        locks_durable: raw.locks == Locks::Durable,
        archive_every: (completed_max.is_some() || completed_age.is_some()).then_some(ARCHIVE_EVERY),
    };
    WorkBook::start(&store, committer, PARTITION, options).context("recovery of the work book failed")
}

/// The same book for clients of gRPC, under the name of its namespace.
pub(crate) fn service(config: &Config, book: WorkBook, engine: &Engine) -> WorkService {
    WorkService::new([(config.raw.coordinate.namespace.clone(), book)]).with_takes_work(takes_work(engine))
}

/// The reserve of the disk is one for all work.
fn takes_work(engine: &Engine) -> TakesWork {
    let engine = engine.clone();
    Arc::new(move || engine.takes_work().map_err(|error| error.to_string()))
}

/// The door to the book for Coordinate's clients.
pub(crate) fn door(config: &Config, book: WorkBook, engine: &Engine) -> Door {
    let raw = &config.raw.coordinate;
    let mut settings =
        DoorConfig::default().with_frame_bytes_max(raw.frame_bytes_max).with_takes_work(takes_work(engine));
    if let Some(table) = &raw.global_config {
        settings = settings.with_global_config(table);
    }
    Door::new(book, settings)
}

/// Serves Coordinate's clients.
pub(crate) fn serve(doors: &Doors, listener: TcpListener, door: Door) -> Plain {
    doors.serve_plain(listener, move |stream, stop| {
        let door = door.clone();
        async move { door.serve(stream, &stop).await }
    })
}
