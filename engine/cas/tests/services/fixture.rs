//! A server on loopback with a storage in a temporary folder and a clock that the test moves.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use berth_cas::{Clock, EmbeddedCas, Storage, StorageOptions};
use berth_core::Digest;
use berth_proto::bytestream::byte_stream_client::ByteStreamClient;
use berth_proto::bytestream::{QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, WriteRequest};
use berth_proto::reapi;
use berth_proto::reapi::action_cache_client::ActionCacheClient;
use berth_proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use berth_proto::reapi::{BatchUpdateBlobsRequest, FindMissingBlobsRequest, batch_update_blobs_request};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::{Channel, Server};
use tonic::{Code, Status};

pub(crate) const MAIN: &str = "main";
pub(crate) const OTHER: &str = "team/other";

/// Stands still until the test moves it.
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.0.fetch_add(by.as_millis() as u64, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// No reserve, no upkeep but what the test asks for, and 64 MiB of room.
pub(crate) fn options() -> StorageOptions {
    StorageOptions {
        max_bytes: Some(64 << 20),
        reserve_bytes: 0,
        upkeep_every: Duration::from_secs(3600),
        ..Default::default()
    }
}

pub(crate) struct Fixture {
    pub(crate) cas: EmbeddedCas,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) client: Client,
    folder: Arc<TempDir>,
    serving: Serving,
}

/// A server task that ends when asked to.
pub(crate) struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Fixture {
    pub(crate) async fn new(options: StorageOptions) -> Self {
        let clock = Arc::new(HandClock(AtomicU64::new(1_800_000_000_000)));
        Self::open(Arc::new(TempDir::new().unwrap()), clock, options).await
    }

    async fn open(folder: Arc<TempDir>, clock: Arc<HandClock>, options: StorageOptions) -> Self {
        let instances = [MAIN.to_owned(), OTHER.to_owned()];
        let storage = Storage::open(folder.path(), &instances, options, clock.clone()).unwrap();
        let cas = EmbeddedCas::new(storage, &instances, true);
        let (channel, serving) = serve(|routes| cas.add_services(routes)).await;
        Self { cas, clock, client: Client { channel }, folder, serving }
    }

    /// Ends the server and starts another one on the same folder.
    pub(crate) async fn restart(self, options: StorageOptions) -> Self {
        let (folder, clock) = self.stop().await;
        Self::open(folder, clock, options).await
    }

    pub(crate) async fn stop(self) -> (Arc<TempDir>, Arc<HandClock>) {
        let Self { cas, clock, client, folder, serving } = self;
        drop(client);
        serving.stop.send(()).unwrap();
        serving.task.await.unwrap();
        let storage = Arc::into_inner(cas.storage().clone());
        assert!(storage.is_none(), "the handle itself holds one share");
        drop(cas);
        (folder, clock)
    }

    pub(crate) async fn reopen(folder: Arc<TempDir>, clock: Arc<HandClock>) -> Self {
        Self::open(folder, clock, options()).await
    }

    pub(crate) fn storage(&self) -> &Arc<Storage> {
        self.cas.storage()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    pub(crate) fn file_of(&self, digest: &Digest) -> PathBuf {
        self.path().join("files").join(&digest.hex()[..2]).join(digest.hex())
    }
}

pub(crate) async fn serve(add: impl FnOnce(&mut RoutesBuilder)) -> (Channel, Serving) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut routes = RoutesBuilder::default();
    add(&mut routes);
    let (stop, stopped) = oneshot::channel();
    let server = Server::builder().add_routes(routes.routes()).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        async {
            stopped.await.ok();
        },
    );
    let task = tokio::spawn(async { server.await.unwrap() });
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    (channel, Serving { stop, task })
}

pub(crate) fn digest_of(content: &[u8]) -> Digest {
    Digest { hash: Sha256::digest(content).into(), size_bytes: content.len() as u64 }
}

pub(crate) fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_bytes as i64 }
}

/// Bytes that do not compress to nothing and differ by seed.
pub(crate) fn content(seed: u64, length: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; length];
    for (at, byte) in bytes.iter_mut().enumerate() {
        if at % 3 == 0 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        }
        *byte = (state >> 56) as u8;
    }
    bytes.into()
}

/// The calls that tests make, with everything spelt out that a client would spell out.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
}

impl Client {
    pub(crate) fn content(&self) -> ContentAddressableStorageClient<Channel> {
        ContentAddressableStorageClient::new(self.channel.clone()).max_decoding_message_size(16 << 20)
    }

    pub(crate) fn actions(&self) -> ActionCacheClient<Channel> {
        ActionCacheClient::new(self.channel.clone())
    }

    pub(crate) fn bytes(&self) -> ByteStreamClient<Channel> {
        ByteStreamClient::new(self.channel.clone())
    }

    /// Uploads in a batch; the status code of each.
    pub(crate) async fn batch(&self, blobs: &[(Digest, Bytes)]) -> Vec<Code> {
        let requests = blobs
            .iter()
            .map(|(digest, data)| batch_update_blobs_request::Request {
                digest: Some(wire(digest)),
                data: data.clone(),
                compressor: 0,
            })
            .collect();
        let request = BatchUpdateBlobsRequest { instance_name: MAIN.into(), requests, digest_function: 0 };
        let reply = self.content().batch_update_blobs(request).await.unwrap().into_inner();
        reply.responses.iter().map(|blob| Code::from(blob.status.as_ref().unwrap().code)).collect()
    }

    /// Uploads one blob in a batch.
    pub(crate) async fn put(&self, data: &Bytes) -> Digest {
        let digest = digest_of(data);
        assert_eq!(self.batch(&[(digest, data.clone())]).await, [Code::Ok]);
        digest
    }

    pub(crate) async fn missing(&self, digests: &[Digest]) -> Vec<Digest> {
        let request = FindMissingBlobsRequest {
            instance_name: MAIN.into(),
            blob_digests: digests.iter().map(wire).collect(),
            digest_function: 1,
        };
        let reply = self.content().find_missing_blobs(request).await.unwrap().into_inner();
        let parse = |wire: &reapi::Digest| Digest::parse(&wire.hash, wire.size_bytes).unwrap();
        reply.missing_blob_digests.iter().map(parse).collect()
    }

    /// Sends pieces as one write stream that begins at `offset`.
    pub(crate) async fn write(
        &self,
        name: &str,
        offset: usize,
        pieces: Vec<Bytes>,
        finish: bool,
    ) -> Result<i64, Status> {
        let mut at = offset as i64;
        let count = pieces.len();
        let name = name.to_owned();
        let messages = pieces.into_iter().enumerate().map(move |(number, data)| {
            let write_offset = at;
            at += data.len() as i64;
            WriteRequest {
                resource_name: if number == 0 { name.clone() } else { String::new() },
                write_offset,
                finish_write: finish && number + 1 == count,
                data,
            }
        });
        let messages: Vec<_> = messages.collect();
        Ok(self.bytes().write(tokio_stream::iter(messages)).await?.into_inner().committed_size)
    }

    /// Uploads by ByteStream in pieces.
    pub(crate) async fn upload(&self, data: &Bytes) -> Result<i64, Status> {
        self.write(&upload_name("u", &digest_of(data)), 0, pieces(data, 200_000), true).await
    }

    pub(crate) async fn read(&self, name: &str, offset: i64, limit: i64) -> Result<Vec<u8>, Status> {
        let request = ReadRequest { resource_name: name.into(), read_offset: offset, read_limit: limit };
        let mut stream = self.bytes().read(request).await?.into_inner();
        let mut all = Vec::new();
        while let Some(piece) = stream.message().await? {
            all.extend_from_slice(&piece.data);
        }
        Ok(all)
    }

    pub(crate) async fn download(&self, digest: &Digest) -> Result<Vec<u8>, Status> {
        self.read(&format!("{MAIN}/blobs/{digest}"), 0, 0).await
    }

    pub(crate) async fn status(&self, name: &str) -> QueryWriteStatusResponse {
        let request = QueryWriteStatusRequest { resource_name: name.into() };
        self.bytes().query_write_status(request).await.unwrap().into_inner()
    }
}

pub(crate) fn upload_name(id: &str, digest: &Digest) -> String {
    format!("{MAIN}/uploads/{id}/blobs/{digest}")
}

pub(crate) fn zstd_upload_name(id: &str, digest: &Digest) -> String {
    format!("{MAIN}/uploads/{id}/compressed-blobs/zstd/{digest}")
}

pub(crate) fn pieces(data: &Bytes, length: usize) -> Vec<Bytes> {
    if data.is_empty() {
        return vec![Bytes::new()];
    }
    (0..data.len()).step_by(length).map(|start| data.slice(start..(start + length).min(data.len()))).collect()
}
