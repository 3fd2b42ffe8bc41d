//! `Watch`: what specs come to, told again when it changes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use berth_core::work::{Book, SpecName, UnitCounts};
use berth_proto::work as pb;
use berth_runtime::work::{Stopping, WorkBook};
use futures::{StreamExt, stream};
use tokio::sync::watch;
use tonic::Status;

use super::{
    Replies, WorkService,
    convert::{bytes, counts, names},
};

/// Changes in so short a time are told together.
const TOGETHER: Duration = Duration::from_millis(100);

/// What one watcher was told.
struct Watcher {
    book: WorkBook,
    changes: watch::Receiver<u64>,
    /// Empty: all.
    wanted: BTreeSet<SpecName>,
    told: BTreeMap<SpecName, UnitCounts>,
    is_first: bool,
}

impl WorkService {
    pub(super) fn watch_specs(&self, request: pb::WatchRequest) -> Result<Replies<pb::WatchResponse>, Status> {
        let book = self.book(&request.namespace)?;
        let changes = book.changes();
        let wanted = names::<SpecName>(&request.specs).into_iter().collect();
        let watcher = Watcher { book, changes, wanted, told: BTreeMap::new(), is_first: true };
        let replies = stream::unfold(Some(watcher), |watcher| async move {
            let mut watcher = watcher?;
            Some(match watcher.next().await {
                Ok(response) => (Ok(response), Some(watcher)),
                Err(stopping) => (Err(Status::unavailable(stopping.to_string())), None),
            })
        });
        Ok(replies.boxed())
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<pb::WatchResponse, Stopping> {
        loop {
            if !self.is_first {
                self.changes.changed().await.map_err(|_| Stopping)?;
                tokio::time::sleep(TOGETHER).await;
            }
            // Before the look: what changes after it is told the next time.
            self.changes.borrow_and_update();
            let wanted = self.wanted.clone();
            let now = self.book.ask(move |book| look(book, &wanted)).await?;
            let response = self.tell(now);
            let is_first = std::mem::replace(&mut self.is_first, false);
            if is_first || !(response.specs.is_empty() && response.deleted.is_empty()) {
                return Ok(response);
            }
        }
    }

    fn tell(&mut self, now: BTreeMap<SpecName, UnitCounts>) -> pb::WatchResponse {
        let changed = now.iter().filter(|(name, counts)| self.told.get(*name) != Some(*counts));
        let specs = changed
            .map(|(name, now)| pb::SpecCounts { spec: bytes(name.as_bytes()), counts: Some(counts(*now)) })
            .collect();
        let gone = self.told.keys().filter(|name| !now.contains_key(*name));
        let deleted = gone.map(|name| bytes(name.as_bytes())).collect();
        self.told = now;
        pb::WatchResponse { specs, deleted }
    }
}

fn look(book: &Book, wanted: &BTreeSet<SpecName>) -> BTreeMap<SpecName, UnitCounts> {
    let names = book.spec_names_from(None).filter(|name| wanted.is_empty() || wanted.contains(*name));
    names.filter_map(|name| Some((name.clone(), book.count_units(name).ok()?))).collect()
}
