//! ByteStream: blobs of any size, in pieces, from and at any offset.

use berth_proto::bytestream::byte_stream_server::ByteStream;
use berth_proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::task::JoinHandle;
use tonic::{Request, Response, Status, Streaming};

use super::packing::{Packer, Unpacker};
use crate::blocking::blocking;
use crate::embedded::EmbeddedCas;
use crate::error::Error;
use crate::names::{Compression, ReadName, WriteName};
use crate::storage::UploadKey;

/// Pieces are gathered up to this size before they go to a blocking thread.
const WRITE_BYTES: usize = 512 * 1024;

/// Uploads up to this size stay in memory until they are whole: appending to them does not block.
const QUICK_BYTES: u64 = 64 * 1024;

#[tonic::async_trait]
impl ByteStream for EmbeddedCas {
    type ReadStream = BoxStream<'static, Result<ReadResponse, Status>>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        let request = request.into_inner();
        let name = ReadName::parse(&request.resource_name)?;
        self.check_instance(&name.instance)?;
        let size_bytes = name.digest.size_bytes;
        let offset = u64::try_from(request.read_offset)
            .ok()
            .filter(|offset| *offset <= size_bytes)
            .ok_or(Error::ReadOffset { offset: request.read_offset, size_bytes })?;
        let end = match u64::try_from(request.read_limit) {
            Err(_) => Err(Error::field("read_limit", "must not be negative"))?,
            Ok(0) => size_bytes,
            Ok(_) if name.compression == Compression::Zstd => {
                Err(Error::field("read_limit", "must be 0 for compressed blobs"))?
            }
            Ok(limit) => offset.saturating_add(limit).min(size_bytes),
        };
        let storage = self.storage.clone();
        let packer = blocking(move || {
            let source = storage.open_blob(&name.digest)?.ok_or(Error::Missing(name.digest))?;
            match name.compression {
                Compression::Identity => Ok(Packer::plain(source, offset, end)),
                Compression::Zstd => Packer::zstd(source, offset, end),
            }
        })
        .await?;
        let pieces = stream::try_unfold(packer, |mut packer| async move {
            let (piece, packer) = if packer.is_quick() {
                (packer.next()?, packer)
            } else {
                blocking(move || Ok((packer.next()?, packer))).await?
            };
            Ok::<_, Status>(piece.map(|data| (ReadResponse { data }, packer)))
        });
        Ok(Response::new(pieces.boxed()))
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        let mut messages = request.into_inner();
        let first = messages.message().await?.ok_or_else(|| Error::field("resource_name", "is not set"))?;
        let name = WriteName::parse(&first.resource_name)?;
        self.check_instance(&name.instance)?;
        if self.storage.contains(&name.digest) {
            // It is here already: the client need not send the rest.
            let committed_size = match name.compression {
                Compression::Identity => wire_size(name.digest.size_bytes),
                Compression::Zstd => -1,
            };
            return Ok(Response::new(WriteResponse { committed_size }));
        }
        let (storage, offset) = (self.storage.clone(), first.write_offset);
        let key = UploadKey { instance: name.instance, upload: name.upload, digest: name.digest };
        let unpacker = blocking(move || {
            let attached = storage.attach(key, offset)?;
            match name.compression {
                Compression::Identity => Ok(Unpacker::plain(attached)),
                Compression::Zstd => Unpacker::zstd(attached),
            }
        })
        .await?;
        let quick = name.digest.size_bytes <= QUICK_BYTES;
        let sink = Sink { unpacker: Some(unpacker), busy: None, gathered: Vec::new(), gathered_bytes: 0, quick };
        let committed_size = receive(first, messages, sink, name.compression).await?;
        Ok(Response::new(WriteResponse { committed_size }))
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        let name = WriteName::parse(&request.into_inner().resource_name)?;
        self.check_instance(&name.instance)?;
        if self.storage.contains(&name.digest) {
            let committed_size = wire_size(name.digest.size_bytes);
            return Ok(Response::new(QueryWriteStatusResponse { committed_size, complete: true }));
        }
        let key = UploadKey { instance: name.instance, upload: name.upload, digest: name.digest };
        // An upload that we do not know stands at its beginning: after a restart a client sends it again from there.
        let committed_size = wire_size(self.storage.upload_received(&key).unwrap_or(0));
        Ok(Response::new(QueryWriteStatusResponse { committed_size, complete: false }))
    }
}

/// Takes the messages of one stream; answers the committed size.
async fn receive(
    first: WriteRequest,
    mut messages: Streaming<WriteRequest>,
    mut sink: Sink,
    compression: Compression,
) -> Result<i64, Status> {
    let (name, mut offset) = (first.resource_name.clone(), first.write_offset);
    let mut next = Some(first);
    loop {
        let message = match next.take() {
            Some(message) => message,
            None => match messages.message().await {
                Ok(Some(message)) => message,
                Ok(None) => return Ok(wire_size(sink.idle().await?.attached().received())),
                Err(broken) => {
                    // Keep what came: the client continues from there.
                    sink.idle().await?;
                    return Err(broken);
                }
            },
        };
        if !message.resource_name.is_empty() && message.resource_name != name {
            Err(Error::field("resource_name", "differs from that of the first message"))?;
        }
        if message.write_offset != offset {
            Err(Error::WriteOffset { expected: u64::try_from(offset).unwrap_or(0), found: message.write_offset })?;
        }
        offset += message.data.len() as i64;
        sink.add(message.data).await?;
        if message.finish_write {
            let unpacker = sink.idle().await?;
            let size_bytes = unpacker.attached().received();
            blocking(move || unpacker.attached().commit()).await?;
            return Ok(match compression {
                Compression::Identity => wire_size(size_bytes),
                // By the protocol this counts what was sent, on top of where it began.
                Compression::Zstd => offset,
            });
        }
    }
}

/// Hands gathered pieces to a blocking thread while the next ones arrive.
struct Sink {
    /// `None` while a blocking thread has it.
    unpacker: Option<Unpacker>,
    busy: Option<JoinHandle<Result<Unpacker, Error>>>,
    gathered: Vec<Bytes>,
    gathered_bytes: usize,
    quick: bool,
}

impl Sink {
    async fn add(&mut self, piece: Bytes) -> Result<(), Error> {
        self.gathered_bytes += piece.len();
        self.gathered.push(piece);
        // Tiny pieces hold whole network buffers, so their number is bounded as well.
        if self.gathered_bytes >= WRITE_BYTES || self.gathered.len() >= 256 {
            self.start().await?;
        }
        Ok(())
    }

    async fn start(&mut self) -> Result<(), Error> {
        self.settle().await?;
        let pieces = std::mem::take(&mut self.gathered);
        self.gathered_bytes = 0;
        let mut unpacker = self.unpacker.take().expect("no blocking thread has it");
        if self.quick {
            unpacker.append(&pieces)?;
            self.unpacker = Some(unpacker);
        } else {
            self.busy = Some(tokio::task::spawn_blocking(move || unpacker.append(&pieces).map(|()| unpacker)));
        }
        Ok(())
    }

    async fn settle(&mut self) -> Result<(), Error> {
        if let Some(busy) = self.busy.take() {
            self.unpacker = Some(busy.await.map_err(|_| Error::Stopping)??);
        }
        Ok(())
    }

    /// Appends the rest.
    async fn idle(mut self) -> Result<Unpacker, Error> {
        self.start().await?;
        self.settle().await?;
        Ok(self.unpacker.expect("no blocking thread has it"))
    }
}

fn wire_size(size_bytes: u64) -> i64 {
    i64::try_from(size_bytes).expect("sizes of resource names are parsed from an i64")
}
