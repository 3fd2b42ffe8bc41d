//! What the gRPC door counts: calls by method, how they ended, how long they took and what they carried.
//!
//! A call lasts until its last message has left. Its method is one of those that the descriptors name, or `other`: what
//! clients invent makes no new label.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Instant,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::HeaderMap,
    middleware::{self, Next},
    response::Response,
};
use berth_runtime::{Times, TimesRead};
use http_body::{Frame, SizeHint};
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::{Code, service::Routes};

/// Codes of gRPC, from OK on.
const CODES: usize = 17;

/// The counts of all connections.
pub(crate) struct Calls {
    /// By path, such as `/google.bytestream.ByteStream/Read`.
    places: HashMap<String, usize>,
    /// The last is for what is no method.
    methods: Vec<Counted>,
}

struct Counted {
    service: String,
    method: String,
    times: Times,
    begun: AtomicU64,
    ended: AtomicU64,
    codes: [AtomicU64; CODES],
    received_bytes: AtomicU64,
    sent_bytes: AtomicU64,
}

/// What was counted of one method.
#[derive(Clone, Debug)]
pub(crate) struct MethodRead {
    pub(crate) service: String,
    pub(crate) method: String,
    pub(crate) times: TimesRead,
    /// Calls that go on.
    pub(crate) ongoing: u64,
    /// Codes of calls that did not end with OK, and how many there were.
    pub(crate) failed: Vec<(Code, u64)>,
    pub(crate) received_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl Calls {
    /// Of every method that the descriptors name.
    pub(crate) fn new() -> Self {
        let files = FileDescriptorSet::decode(berth_proto::FILE_DESCRIPTOR_SET).expect("our own descriptors are whole");
        let mut calls = Self { places: HashMap::new(), methods: Vec::new() };
        for file in &files.file {
            for service in &file.service {
                let full = format!("{}.{}", file.package(), service.name());
                for method in &service.method {
                    calls.places.insert(format!("/{full}/{}", method.name()), calls.methods.len());
                    calls.methods.push(Counted::new(&full, method.name()));
                }
            }
        }
        calls.methods.push(Counted::new("other", "other"));
        calls
    }

    /// The same routes, with every call counted.
    pub(crate) fn count(self: &Arc<Self>, routes: Routes) -> Routes {
        routes.into_axum_router().layer(middleware::from_fn_with_state(self.clone(), count)).into()
    }

    /// Of each method that was ever called.
    pub(crate) fn read(&self) -> Vec<MethodRead> {
        self.methods.iter().filter(|counted| counted.begun.load(Relaxed) > 0).map(Counted::read).collect()
    }

    fn begin(self: Arc<Self>, path: &str) -> Call {
        let place = self.places.get(path).copied().unwrap_or(self.methods.len() - 1);
        self.methods[place].begun.fetch_add(1, Relaxed);
        Call { calls: self, place, began: Instant::now(), code: None }
    }
}

impl Counted {
    fn new(service: &str, method: &str) -> Self {
        Self {
            service: service.to_owned(),
            method: method.to_owned(),
            times: Times::default(),
            begun: AtomicU64::new(0),
            ended: AtomicU64::new(0),
            codes: Default::default(),
            received_bytes: AtomicU64::new(0),
            sent_bytes: AtomicU64::new(0),
        }
    }

    fn read(&self) -> MethodRead {
        // In this order: what ends meanwhile was begun before.
        let ended = self.ended.load(Relaxed);
        let codes =
            self.codes.iter().map(|code| code.load(Relaxed)).enumerate().skip(1).filter(|(_, count)| *count > 0);
        MethodRead {
            service: self.service.clone(),
            method: self.method.clone(),
            times: self.times.read(),
            ongoing: self.begun.load(Relaxed).saturating_sub(ended),
            failed: codes.map(|(code, count)| (Code::from_i32(code as i32), count)).collect(),
            received_bytes: self.received_bytes.load(Relaxed),
            sent_bytes: self.sent_bytes.load(Relaxed),
        }
    }
}

/// A call that goes on; it ends when this is dropped.
struct Call {
    calls: Arc<Calls>,
    place: usize,
    began: Instant,
    /// As the answer says at its end. None by then: nobody heard the end, as if it had been cancelled.
    code: Option<usize>,
}

impl Call {
    fn counted(&self) -> &Counted {
        &self.calls.methods[self.place]
    }

    fn heed(&mut self, headers: &HeaderMap) {
        let code = headers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<usize>().ok());
        self.code = code.map(|code| code.min(CODES - 1)).or(self.code);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let counted = self.counted();
        counted.times.add(self.began.elapsed());
        counted.codes[self.code.unwrap_or(Code::Cancelled as usize)].fetch_add(1, Relaxed);
        counted.ended.fetch_add(1, Relaxed);
    }
}

async fn count(State(calls): State<Arc<Calls>>, request: Request, next: Next) -> Response {
    let mut call = calls.clone().begin(request.uri().path());
    let place = call.place;
    let request = request.map(|body| Body::new(Received { body, calls, place }));
    let response = next.run(request).await;
    call.heed(response.headers());
    response.map(|body| Body::new(Sent { body, call }))
}

/// What a client sends.
struct Received {
    body: Body,
    calls: Arc<Calls>,
    place: usize,
}

impl http_body::Body for Received {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            this.calls.methods[this.place].received_bytes.fetch_add(data.len() as u64, Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What is answered. The call ends with it.
struct Sent {
    body: Body,
    call: Call,
}

impl http_body::Body for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                this.call.counted().sent_bytes.fetch_add(data.len() as u64, Relaxed);
            } else if let Some(trailers) = frame.trailers_ref() {
                this.call.heed(trailers);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_invent_makes_no_new_label() {
        let calls = Arc::new(Calls::new());
        assert!(calls.read().is_empty());
        for path in ["/google.bytestream.ByteStream/Read", "/invented.Service/Call", "/", "nonsense"] {
            drop(calls.clone().begin(path));
        }
        let shown: Vec<_> = calls.read().into_iter().map(|read| (read.service, read.times.count)).collect();
        assert_eq!(shown, [("google.bytestream.ByteStream".to_owned(), 1), ("other".to_owned(), 3)]);
    }

    #[test]
    fn a_call_counts_by_how_it_ends() {
        let calls = Arc::new(Calls::new());
        let path = "/build.bazel.remote.execution.v2.Execution/Execute";
        let (mut fine, mut refused, open) =
            (calls.clone().begin(path), calls.clone().begin(path), calls.clone().begin(path));
        fine.heed(&HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]));
        refused.heed(&HeaderMap::from_iter([("grpc-status".parse().unwrap(), "5".parse().unwrap())]));
        drop((fine, refused));
        let read = calls.read().remove(0);
        assert_eq!((read.ongoing, read.times.count, read.failed), (1, 2, vec![(Code::NotFound, 1)]));
        drop(open);
        let read = calls.read().remove(0);
        assert_eq!((read.ongoing, read.failed), (0, vec![(Code::Cancelled, 1), (Code::NotFound, 1)]));
    }
}
