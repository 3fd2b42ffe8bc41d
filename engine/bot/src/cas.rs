//! The CAS as a bot uses it: a client over gRPC, with patience for a server that restarts.
//!
//! Reading is here, writing in `upload`. Every byte that comes in is checked against its digest.

use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use berth_core::Digest;
use berth_proto::bytestream::ReadRequest;
use berth_proto::bytestream::byte_stream_client::ByteStreamClient;
use berth_proto::reapi;
use berth_proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use bytes::Bytes;
use prost::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use crate::digest::{self, Hasher};
use crate::error::Failure;
use crate::retry::{Backoff, is_transient};

/// A blob up to this size travels in a batch; a larger one has a stream of its own.
pub(crate) const BATCH_BLOB_BYTES_MAX: u64 = 1 << 20;
/// All blobs of a batch together: below the 4 MiB that gRPC servers accept by default, with room for the rest.
pub(crate) const BATCH_BYTES_MAX: u64 = 3 << 20;
/// Many empty or tiny blobs also make a large message.
pub(crate) const BATCH_BLOBS_MAX: usize = 1000;
/// A Command or Directory beyond this is not one.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;
/// A call, or a stream between two pieces, that is silent for so long is given up and tried again.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Cheap to clone: clones share one connection.
#[derive(Clone)]
pub(crate) struct CasClient {
    pub(crate) blobs: ContentAddressableStorageClient<Channel>,
    pub(crate) streams: ByteStreamClient<Channel>,
    pub(crate) instance: Arc<str>,
    patience: Duration,
}

impl CasClient {
    pub(crate) fn new(channel: Channel, instance: &str, patience: Duration) -> Self {
        Self {
            blobs: ContentAddressableStorageClient::new(channel.clone())
                .max_decoding_message_size(usize::try_from(MESSAGE_BYTES_MAX).expect("64 MiB fit")),
            streams: ByteStreamClient::new(channel)
                .max_decoding_message_size(usize::try_from(MESSAGE_BYTES_MAX).expect("64 MiB fit")),
            instance: instance.into(),
            patience,
        }
    }

    /// Repeats `call` while it fails for a passing reason and patience lasts.
    pub(crate) async fn retry<T, Call>(&self, mut call: impl FnMut() -> Call) -> Result<T, Status>
    where
        Call: Future<Output = Result<T, Status>>,
    {
        let started = Instant::now();
        let mut backoff = Backoff::new();
        loop {
            match call().await {
                Err(status) if is_transient(&status) && started.elapsed() < self.patience => {
                    tracing::debug!(code = ?status.code(), message = status.message(), "CAS call is tried again");
                    tokio::time::sleep(backoff.next_pause()).await;
                }
                result => return result,
            }
        }
    }

    /// Reads small blobs in one call. `None`: the CAS does not have it. The caller keeps to the batch limits.
    pub(crate) async fn read_batch(&self, wanted: &[Digest]) -> Result<Vec<(Digest, Option<Bytes>)>, Failure> {
        let request = reapi::BatchReadBlobsRequest {
            instance_name: self.instance.to_string(),
            digests: wanted.iter().map(digest::wire).collect(),
            digest_function: reapi::digest_function::Value::Sha256.into(),
            ..Default::default()
        };
        let reply = self
            .retry(|| {
                let (mut client, request) = (self.blobs.clone(), request.clone());
                async move { unary(client.batch_read_blobs(request)).await }
            })
            .await
            .map_err(|status| trouble("BatchReadBlobs", &status))?;
        let mut found = Vec::with_capacity(wanted.len());
        for response in reply.responses {
            let digest = digest::parse(response.digest.as_ref(), "BatchReadBlobs response")
                .map_err(|failure| Failure::Internal(failure.to_string()))?;
            let code = response.status.as_ref().map_or(Code::Ok, |status| Code::from_i32(status.code));
            match code {
                Code::Ok => found.push((digest, Some(checked(&digest, response.data)?))),
                Code::NotFound => found.push((digest, None)),
                other => return Err(Failure::Unavailable(format!("BatchReadBlobs {digest}: {other:?}"))),
            }
        }
        let there: HashSet<_> = found.iter().map(|(digest, _)| *digest).collect();
        if !wanted.iter().all(|digest| there.contains(digest)) {
            return Err(Failure::Internal("BatchReadBlobs left out a blob".into()));
        }
        Ok(found)
    }

    /// Streams a blob of any size into `sink`, going on where a broken stream stopped. `false`: not in the CAS.
    pub(crate) async fn download(
        &self,
        wanted: &Digest,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<bool, Failure> {
        let mut hasher = Hasher::default();
        let mut backoff = Backoff::new();
        let mut progress = Instant::now();
        loop {
            let before = hasher.size_bytes();
            match self.read_from(wanted, &mut hasher, sink).await {
                Ok(()) => break,
                Err(Interrupted::Local(failure)) => return Err(failure),
                Err(Interrupted::Status(status)) if status.code() == Code::NotFound => return Ok(false),
                Err(Interrupted::Status(status)) => {
                    if hasher.size_bytes() > before {
                        (progress, backoff) = (Instant::now(), Backoff::new());
                    }
                    if !is_transient(&status) || progress.elapsed() >= self.patience {
                        return Err(trouble("ByteStream.Read", &status));
                    }
                    tokio::time::sleep(backoff.next_pause()).await;
                }
            }
        }
        sink.flush().await.map_err(|error| Failure::io("writing a downloaded blob", &error))?;
        if hasher.finish() != *wanted {
            return Err(Failure::Unavailable(format!("ByteStream.Read {wanted}: content does not fit the digest")));
        }
        Ok(true)
    }

    /// One stream, from the byte after the last one that `hasher` has seen.
    async fn read_from(
        &self,
        wanted: &Digest,
        hasher: &mut Hasher,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<(), Interrupted> {
        if hasher.size_bytes() == wanted.size_bytes {
            return Ok(());
        }
        let request = ReadRequest {
            resource_name: format!("{}blobs/{wanted}", self.resource_prefix()),
            read_offset: i64::try_from(hasher.size_bytes()).expect("below the blob's size, which was an i64"),
            read_limit: 0,
        };
        let mut client = self.streams.clone();
        let mut pieces = unary(client.read(request)).await?;
        while let Some(piece) = next(&mut pieces).await? {
            // More than was asked for would only be noticed at the end otherwise, with a full disk.
            if hasher.size_bytes() + piece.data.len() as u64 > wanted.size_bytes {
                return Err(Interrupted::Status(Status::data_loss("the blob is longer than its digest says")));
            }
            sink.write_all(&piece.data)
                .await
                .map_err(|error| Interrupted::Local(Failure::io("writing a downloaded blob", &error)))?;
            hasher.update(&piece.data);
        }
        if hasher.size_bytes() < wanted.size_bytes {
            return Err(Interrupted::Status(Status::unavailable("the stream ended early")));
        }
        Ok(())
    }

    /// Reads and decodes a message that an action names as its `what`.
    pub(crate) async fn read_message<M: Message + Default>(&self, wanted: &Digest, what: &str) -> Result<M, Failure> {
        let data = self.read_whole(wanted, what).await?;
        M::decode(data).map_err(|error| Failure::BadAction(format!("{what} {wanted} does not parse: {error}")))
    }

    async fn read_whole(&self, wanted: &Digest, what: &str) -> Result<Bytes, Failure> {
        if wanted.size_bytes == 0 {
            return checked(wanted, Bytes::new());
        }
        if wanted.size_bytes > MESSAGE_BYTES_MAX {
            return Err(Failure::BadAction(format!("{what} {wanted} is larger than {MESSAGE_BYTES_MAX} bytes")));
        }
        if wanted.size_bytes <= BATCH_BLOB_BYTES_MAX {
            let found = self.read_batch(std::slice::from_ref(wanted)).await?;
            return found.into_iter().find_map(|(_, data)| data).ok_or_else(|| Failure::Missing(vec![*wanted]));
        }
        let mut data = Vec::with_capacity(usize::try_from(wanted.size_bytes).expect("at most 64 MiB"));
        if !self.download(wanted, &mut data).await? {
            return Err(Failure::Missing(vec![*wanted]));
        }
        Ok(data.into())
    }

    /// What the CAS gives of a tree in one go; the caller fetches what is left out.
    pub(crate) async fn get_tree(&self, root: &Digest) -> Result<Vec<reapi::Directory>, Status> {
        let request = reapi::GetTreeRequest {
            instance_name: self.instance.to_string(),
            root_digest: Some(digest::wire(root)),
            digest_function: reapi::digest_function::Value::Sha256.into(),
            ..Default::default()
        };
        self.retry(|| {
            let (mut client, request) = (self.blobs.clone(), request.clone());
            async move {
                let mut pages = unary(client.get_tree(request)).await?;
                let mut directories = Vec::new();
                while let Some(page) = next(&mut pages).await? {
                    directories.extend(page.directories);
                }
                Ok(directories)
            }
        })
        .await
    }

    /// What stands before `blobs/` and `uploads/` in resource names.
    pub(crate) fn resource_prefix(&self) -> String {
        if self.instance.is_empty() { String::new() } else { format!("{}/", self.instance) }
    }
}

/// Cuts blobs into batches that fit a message. Blobs must each be small enough for one.
pub(crate) fn batches<T>(items: Vec<T>, size_bytes: impl Fn(&T) -> u64) -> Vec<Vec<T>> {
    let mut batches: Vec<Vec<T>> = Vec::new();
    let mut filled = 0;
    for item in items {
        let size = size_bytes(&item);
        match batches.last_mut() {
            Some(batch) if filled + size <= BATCH_BYTES_MAX && batch.len() < BATCH_BLOBS_MAX => {
                filled += size;
                batch.push(item);
            }
            Some(_) | None => {
                filled = size;
                batches.push(vec![item]);
            }
        }
    }
    batches
}

enum Interrupted {
    /// Our own disk: no reason to ask the CAS again.
    Local(Failure),
    Status(Status),
}

impl From<Status> for Interrupted {
    fn from(status: Status) -> Self {
        Self::Status(status)
    }
}

/// Awaits the head of a reply for as long as silence is tolerated.
pub(crate) async fn unary<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    timeout(SILENCE_MAX, call).await.unwrap_or_else(|_| Err(silence())).map(tonic::Response::into_inner)
}

async fn next<T>(stream: &mut Streaming<T>) -> Result<Option<T>, Status> {
    timeout(SILENCE_MAX, stream.message()).await.unwrap_or_else(|_| Err(silence()))
}

fn silence() -> Status {
    Status::deadline_exceeded("no answer")
}

/// A call that failed for good, as the fault of the infrastructure.
pub(crate) fn trouble(call: &str, status: &Status) -> Failure {
    Failure::Unavailable(format!("{call}: {:?}: {}", status.code(), status.message()))
}

fn checked(digest: &Digest, data: Bytes) -> Result<Bytes, Failure> {
    if digest::of_bytes(&data) != *digest {
        return Err(Failure::Unavailable(format!("content of {digest} does not fit the digest")));
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batches_keep_to_the_limits_and_lose_nothing() {
        let sizes = [BATCH_BLOB_BYTES_MAX; 7];
        let cut = batches(sizes.to_vec(), |size| *size);
        assert_eq!(cut.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3, 1]);
        let tiny = batches(vec![0; 2500], |_| 0);
        assert_eq!(tiny.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        assert!(batches(Vec::<u64>::new(), |_| 0).is_empty());
    }
}
