//! A large blob goes in and comes out in constant memory. Alone in its process, so that the figure means something.

use std::sync::Arc;
use std::time::Duration;

use berth_cas::{EmbeddedCas, Storage, StorageOptions, SystemClock};
use berth_core::Digest;
use berth_proto::bytestream::byte_stream_client::ByteStreamClient;
use berth_proto::bytestream::{ReadRequest, WriteRequest};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::service::RoutesBuilder;
use tonic::transport::{Channel, Server};

const PIECES: u64 = 192;
const PIECE_BYTES: usize = 1 << 20;

fn piece(number: u64) -> Bytes {
    let mut bytes = vec![0; PIECE_BYTES];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes.into()
}

/// The most memory that this process ever had, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_blob_needs_no_memory_of_its_size() {
    let folder = tempfile::TempDir::new().unwrap();
    let options = StorageOptions {
        max_bytes: Some(1 << 30),
        reserve_bytes: 0,
        upkeep_every: Duration::from_secs(3600),
        ..Default::default()
    };
    let storage = Storage::open(folder.path(), &[String::new()], options, Arc::new(SystemClock::start())).unwrap();
    let mut routes = RoutesBuilder::default();
    EmbeddedCas::new(storage, &[String::new()], true).add_services(&mut routes);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(Server::builder().add_routes(routes.routes()).serve_with_incoming(TcpListenerStream::new(listener)));
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let mut client = ByteStreamClient::new(channel);

    let mut hasher = Sha256::new();
    (0..PIECES).for_each(|number| hasher.update(piece(number)));
    let size_bytes = PIECES * PIECE_BYTES as u64;
    let digest = Digest { hash: hasher.finalize().into(), size_bytes };
    let before = peak_bytes();
    let messages = (0..PIECES).map(move |number| WriteRequest {
        resource_name: format!("uploads/u/blobs/{digest}"),
        write_offset: (number * PIECE_BYTES as u64) as i64,
        finish_write: number + 1 == PIECES,
        data: piece(number),
    });
    let written = client.write(tokio_stream::iter(messages)).await.unwrap().into_inner();
    assert_eq!(written.committed_size as u64, size_bytes);

    let request = ReadRequest { resource_name: format!("blobs/{digest}"), read_offset: 0, read_limit: 0 };
    let mut stream = client.read(request).await.unwrap().into_inner();
    let mut hasher = Sha256::new();
    while let Some(part) = stream.message().await.unwrap() {
        hasher.update(&part.data);
    }
    assert_eq!(<[u8; 32]>::from(hasher.finalize()), digest.hash);
    let grown = peak_bytes() - before;
    assert!(grown < size_bytes / 3, "memory grew by {grown} bytes for a blob of {size_bytes}");
}
