//! `Events`: what happened, from the feed.

use berth_core::Timestamp;
use berth_proto::{store, work as pb};
use berth_runtime::work::WorkBook;
use bytes::Bytes;
use futures::{StreamExt, stream};
use prost::Message;
use tokio::sync::watch;
use tonic::Status;

use super::{Replies, WorkService, convert::timestamp};

/// Events of a message.
const EVENTS_MAX: usize = 256;

/// One reader of the feed.
struct Reader {
    book: WorkBook,
    appended: watch::Receiver<u64>,
    next: u64,
    follow: bool,
}

impl WorkService {
    pub(super) fn read_events(&self, request: pb::EventsRequest) -> Result<Replies<pb::EventsResponse>, Status> {
        let book = self.book(&request.namespace)?;
        let appended = book.appended();
        let reader = Reader { book, appended, next: request.from, follow: request.follow };
        let replies = stream::unfold(Some(reader), |reader| async move {
            let mut reader = reader?;
            Some(match reader.next().await {
                Ok(events) => (Ok(pb::EventsResponse { events: events? }), Some(reader)),
                Err(status) => (Err(status), None),
            })
        });
        Ok(replies.boxed())
    }
}

impl Reader {
    /// None: that was all.
    async fn next(&mut self) -> Result<Option<Vec<pb::Event>>, Status> {
        loop {
            self.appended.borrow_and_update();
            let (book, next) = (self.book.clone(), self.next);
            let read = move || book.store().0.feed(book.store().1, next, EVENTS_MAX);
            let records = tokio::task::spawn_blocking(read).await.map_err(|_| Status::internal("the reader failed"))?;
            let records = records.map_err(|error| {
                tracing::error!(%error, "the feed of work cannot be read");
                Status::internal("the feed cannot be read")
            })?;
            if let Some((last, _)) = records.last() {
                self.next = last + 1;
                return Ok(Some(records.into_iter().map(|(sequence, record)| event(sequence, record)).collect()));
            }
            if !self.follow {
                return Ok(None);
            }
            self.appended.changed().await.map_err(|_| Status::unavailable("the server is stopping"))?;
        }
    }
}

/// What a newer version wrote may have no meaning here; it still has its place.
fn event(sequence: u64, record: Bytes) -> pb::Event {
    let store::WorkEvent { at, kind, name, worker, keys } = store::WorkEvent::decode(record).unwrap_or_default();
    pb::Event { sequence, at: Some(timestamp(Timestamp(at))), kind, name, worker, keys }
}
