//! Sends outputs to the CAS: only what it lacks, small blobs together, large ones as streams in constant memory.

use std::collections::HashMap;
use std::path::PathBuf;

use berth_core::Digest;
use berth_proto::bytestream::WriteRequest;
use berth_proto::reapi;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use tokio_util::io::ReaderStream;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::cas::{BATCH_BLOB_BYTES_MAX, CasClient, SILENCE_MAX, batches, trouble, unary};
use crate::digest;
use crate::error::Failure;

/// Digests asked about in one FindMissingBlobs: about 700 KiB of message.
const QUESTIONS_MAX: usize = 10_000;
/// Uploads at a time for one action. With batches of 3 MiB this bounds its memory at about 12 MiB.
const PARALLEL: usize = 4;
/// Piece of a stream.
const PIECE_BYTES: usize = 512 << 10;

/// Content on its way to the CAS.
#[derive(Clone, Debug)]
pub(crate) struct Blob {
    pub(crate) digest: Digest,
    pub(crate) source: Source,
}

/// Where the content is now. Files do not change any more: what could write to them has been killed.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    Memory(Bytes),
    File(PathBuf),
}

impl Blob {
    pub(crate) fn memory(data: impl Into<Bytes>) -> Self {
        let data = data.into();
        Self { digest: digest::of_bytes(&data), source: Source::Memory(data) }
    }
}

impl CasClient {
    /// Makes sure that the CAS has all `blobs`.
    pub(crate) async fn upload(&self, blobs: Vec<Blob>) -> Result<(), Failure> {
        let mut blobs: HashMap<Digest, Source> = blobs.into_iter().map(|blob| (blob.digest, blob.source)).collect();
        let digests: Vec<Digest> = blobs.keys().copied().collect();
        let mut small = Vec::new();
        let mut large = Vec::new();
        for questions in digests.chunks(QUESTIONS_MAX) {
            for digest in self.find_missing(questions).await? {
                // An answer that was not asked about is the server's oddity, not ours to follow.
                let Some(source) = blobs.remove(&digest) else { continue };
                let blob = Blob { digest, source };
                if digest.size_bytes <= BATCH_BLOB_BYTES_MAX { small.push(blob) } else { large.push(blob) }
            }
        }
        stream::iter(batches(small, |blob| blob.digest.size_bytes).into_iter().map(Ok))
            .try_for_each_concurrent(PARALLEL, |batch| self.write_batch(batch))
            .await?;
        stream::iter(large.into_iter().map(Ok)).try_for_each_concurrent(PARALLEL, |blob| self.write_stream(blob)).await
    }

    async fn find_missing(&self, digests: &[Digest]) -> Result<Vec<Digest>, Failure> {
        let request = reapi::FindMissingBlobsRequest {
            instance_name: self.instance.to_string(),
            blob_digests: digests.iter().map(digest::wire).collect(),
            digest_function: reapi::digest_function::Value::Sha256.into(),
        };
        let reply = self
            .retry(|| {
                let (mut client, request) = (self.blobs.clone(), request.clone());
                async move { unary(client.find_missing_blobs(request)).await }
            })
            .await
            .map_err(|status| trouble("FindMissingBlobs", &status))?;
        reply
            .missing_blob_digests
            .iter()
            .map(|digest| digest::parse(Some(digest), "FindMissingBlobs response"))
            .collect::<Result<_, _>>()
            .map_err(|failure| Failure::Internal(failure.to_string()))
    }

    async fn write_batch(&self, blobs: Vec<Blob>) -> Result<(), Failure> {
        let mut requests = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let data = match blob.source {
                Source::Memory(data) => data,
                Source::File(path) => {
                    tokio::fs::read(path).await.map_err(|error| Failure::io("reading an output", &error))?.into()
                }
            };
            requests.push(reapi::batch_update_blobs_request::Request {
                digest: Some(digest::wire(&blob.digest)),
                data,
                ..Default::default()
            });
        }
        let request = reapi::BatchUpdateBlobsRequest {
            instance_name: self.instance.to_string(),
            requests,
            digest_function: reapi::digest_function::Value::Sha256.into(),
        };
        self.retry(|| {
            let (mut client, request) = (self.blobs.clone(), request.clone());
            async move {
                let reply = unary(client.batch_update_blobs(request)).await?;
                // One verdict for the batch: trying again writes a blob twice, which is harmless.
                let refused = reply.responses.into_iter().find_map(|response| {
                    let status = response.status?;
                    (status.code != 0).then(|| Status::new(Code::from_i32(status.code), status.message))
                });
                refused.map_or(Ok(()), Err)
            }
        })
        .await
        .map_err(|status| trouble("BatchUpdateBlobs", &status))
    }

    async fn write_stream(&self, blob: Blob) -> Result<(), Failure> {
        self.retry(|| self.write_once(&blob)).await.map_err(|status| trouble("ByteStream.Write", &status))
    }

    /// From the start and under a new name each time: a server that lost the first half must not be told the second.
    async fn write_once(&self, blob: &Blob) -> Result<(), Status> {
        let resource_name = format!("{}uploads/{}/blobs/{}", self.resource_prefix(), Uuid::new_v4(), blob.digest);
        let pieces = match &blob.source {
            Source::Memory(data) => {
                let pieces: Vec<_> = (0..data.len())
                    .step_by(PIECE_BYTES)
                    .map(|start| data.slice(start..data.len().min(start + PIECE_BYTES)))
                    .collect();
                stream::iter(pieces).left_stream()
            }
            Source::File(path) => {
                let file = tokio::fs::File::open(path)
                    .await
                    .map_err(|error| Status::failed_precondition(format!("reading an output: {}", error.kind())))?;
                // A read error ends the stream early; the server then refuses it as incomplete.
                ReaderStream::with_capacity(file, PIECE_BYTES)
                    .take_while(|piece| std::future::ready(piece.is_ok()))
                    .filter_map(|piece| std::future::ready(piece.ok()))
                    .right_stream()
            }
        };
        let size_bytes = blob.digest.size_bytes;
        let requests = pieces.scan((0u64, Some(resource_name)), move |(offset, name), data| {
            let write_offset = i64::try_from(*offset).expect("file offsets fit an i64");
            *offset += data.len() as u64;
            std::future::ready(Some(WriteRequest {
                // The name is only needed once.
                resource_name: name.take().unwrap_or_default(),
                write_offset,
                finish_write: *offset == size_bytes,
                data,
            }))
        });
        let mut client = self.streams.clone();
        // No bound on the whole: a large blob may take long. The keep-alive of the connection notices a dead server;
        // `SILENCE_MAX` a second, from its size, one that swallows without an answer.
        let patience = SILENCE_MAX + std::time::Duration::from_secs(size_bytes >> 20);
        let reply = tokio::time::timeout(patience, client.write(requests))
            .await
            .unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))?
            .into_inner();
        // The server may answer early with the full size, when somebody else uploaded the blob meanwhile.
        if u64::try_from(reply.committed_size) != Ok(size_bytes) {
            return Err(Status::unavailable(format!("committed {} of {size_bytes} bytes", reply.committed_size)));
        }
        Ok(())
    }
}
