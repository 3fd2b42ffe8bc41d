//! A server with a clock that the test turns, and a client that sends what it is told to.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use berth_coordinate::{Chaining, Config, Door};
use berth_core::{Timestamp, work::Rules};
use berth_runtime::{
    Committer,
    clock::Clock,
    memory::{Disk, MemoryStore},
    store::{PartitionId, Store},
    work::{WorkBook, WorkOptions},
};
use minicbor::{Decoder, Encoder, data::Tag};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::notation::{encode, encode_all, show};

/// When every test begins, in microseconds since the epoch.
pub(crate) const START: u64 = 1_800_000_000_000_000;

/// How long a client waits before it holds the server for hanging.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server on a free port. It ends with the test.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    now: Arc<AtomicU64>,
    stop: CancellationToken,
    connections: TaskTracker,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::with(Config::default(), Rules::default())
    }

    pub(crate) fn with(config: Config, rules: Rules) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let now = Arc::new(AtomicU64::new(START));
        let clock = Clock::from_fn({
            let now = now.clone();
            move || Timestamp(now.load(Ordering::SeqCst))
        });
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&Disk::default()));
        let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
        let options = WorkOptions { clock, rules, outputs: Arc::new(Chaining), ..WorkOptions::new() };
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let address = runtime.block_on(async {
            let (book, _) = WorkBook::start(&store, committer, PartitionId(1), options).unwrap();
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let door = Door::new(book, config);
            let (stop, connections) = (stop.clone(), connections.clone());
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let (door, stop) = (door.clone(), stop.clone());
                    connections.spawn(async move { door.serve(stream, &stop).await });
                }
            });
            address
        });
        Self { address, now, stop, connections, runtime: Some(runtime) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// Turns the clock.
    pub(crate) fn pass(&self, seconds: f64) {
        self.now.fetch_add((seconds * 1e6) as u64, Ordering::SeqCst);
    }

    /// How many connections are served now.
    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Waits until so many connections are served: one that ended is over then, whatever hangs on it.
    pub(crate) fn wait_for_connections(&self, count: usize) {
        let end = std::time::Instant::now() + PATIENCE;
        while self.connections.len() != count {
            assert!(std::time::Instant::now() < end, "a connection does not end");
            std::thread::yield_now();
        }
    }

    /// Tells all connections to end, and waits until they have.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
        self.connections.close();
        let ended = async { tokio::time::timeout(PATIENCE, self.connections.wait()).await };
        self.runtime.as_ref().unwrap().block_on(ended).expect("all connections end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// A connection.
pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
    id: i64,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Self { stream, buffer: Vec::new(), id: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The content of the next frame; `None`: the server closed.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((content, end)) = frame(&self.buffer) {
                self.buffer.drain(..end);
                return Some(content);
            }
            let mut chunk = [0; 1 << 16];
            match self.stream.read(&mut chunk) {
                Ok(0) => {
                    assert!(self.buffer.is_empty(), "the server closed within a reply");
                    return None;
                }
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("no reply: {error}"),
            }
        }
    }

    /// As `receive`, from a server that may close in any way.
    pub(crate) fn receive_any(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some((content, end)) = frame(&self.buffer) {
                self.buffer.drain(..end);
                return Some(content);
            }
            let mut chunk = [0; 1 << 16];
            match self.stream.read(&mut chunk) {
                Ok(0) => return None,
                Ok(read) => self.buffer.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("the server hangs"),
                Err(_) => return None,
            }
        }
    }

    /// Calls a method, in notation: `get_work('w', {'max_jobs': 1})`. The result in notation, or `! ` and the message.
    pub(crate) fn call(&mut self, call: &str) -> String {
        self.id += 1;
        let request = request(self.id, call);
        self.send(&request);
        let reply = self.receive().unwrap_or_else(|| panic!("the server closed after {call}"));
        let (id, result) = read_reply(&reply);
        assert_eq!(id, self.id.to_string(), "the id of the reply to {call}");
        result
    }

    /// Sends a message, in notation, in a frame, and shows the whole reply.
    pub(crate) fn message(&mut self, message: &str) -> String {
        self.send(&framed(&encode(message)));
        self.receive().map_or_else(|| "closed".to_owned(), |reply| show(&reply))
    }
}

/// A frame around a message.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Encoder::new(&mut out).tag(Tag::new(24)).unwrap().bytes(message).unwrap();
    out
}

/// The frame of a call in notation.
pub(crate) fn request(id: i64, call: &str) -> Vec<u8> {
    let (method, params) = call.split_once('(').unwrap_or_else(|| panic!("no call: {call}"));
    let params = encode_all(params.trim_end().strip_suffix(')').unwrap_or_else(|| panic!("no call: {call}")));
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out);
    encoder.map(3).unwrap().bytes(b"params").unwrap().array(params.len() as u64).unwrap();
    out.extend(params.concat());
    let mut encoder = Encoder::new(&mut out);
    encoder.bytes(b"id").unwrap().i64(id).unwrap().bytes(b"method").unwrap().bytes(method.trim().as_bytes()).unwrap();
    framed(&out)
}

/// Id and result of a reply, in notation; an error is `! ` and the first line of its message.
pub(crate) fn read_reply(reply: &[u8]) -> (String, String) {
    let mut decoder = Decoder::new(reply);
    let (mut id, mut result) = (String::new(), String::new());
    for _ in 0..decoder.map().expect("a reply is a map").expect("of known length") {
        let key = item(&mut decoder);
        let value = item(&mut decoder);
        match show(key).as_str() {
            "'id'" | "u'id'" => id = show(value),
            "'result'" | "u'result'" => result = show(value),
            "'error'" | "u'error'" => {
                let shown = show(value);
                let message = shown.split_once(": ").expect("an error has a message").1.trim_end_matches('}');
                let message = message.trim_start_matches('u').trim_matches('\'').replace("\\'", "'");
                result = format!("! {}", message.split("\\x0a").next().unwrap_or_default());
            }
            other => panic!("a reply has no {other}"),
        }
    }
    (id, result)
}

fn item<'b>(decoder: &mut Decoder<'b>) -> &'b [u8] {
    let start = decoder.position();
    decoder.skip().expect("an item");
    &decoder.input()[start..decoder.position()]
}

/// Content and end of the frame at the beginning of the buffer, if it is whole.
fn frame(buffer: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut decoder = Decoder::new(buffer);
    let tag = decoder.tag().ok()?;
    assert_eq!(tag.as_u64(), 24, "every reply is in a frame");
    let content = decoder.bytes().ok()?.to_vec();
    Some((content, decoder.position()))
}
