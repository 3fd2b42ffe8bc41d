//! ContentAddressableStorage: which blobs are here, and small blobs in batches.

use berth_core::Digest;
use berth_proto::reapi::content_addressable_storage_server::ContentAddressableStorage;
use berth_proto::reapi::{
    BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    FindMissingBlobsRequest, FindMissingBlobsResponse, GetChunkMappingRequest, GetChunkMappingResponse, GetTreeRequest,
    GetTreeResponse, RegisterChunkMappingRequest, RegisterChunkMappingResponse, SpliceBlobRequest, SpliceBlobResponse,
    SplitBlobRequest, SplitBlobResponse, batch_read_blobs_response, batch_update_blobs_request,
    batch_update_blobs_response, compressor,
};
use berth_proto::rpc;
use bytes::Bytes;
use futures::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{get_tree, packing};
use crate::blocking::blocking;
use crate::embedded::EmbeddedCas;
use crate::error::Error;
use crate::limits::BATCH_BYTES_MAX;
use crate::names::{self, Compression};

/// Smaller blobs are not worth packing.
const PACK_BYTES_MIN: usize = 4096;

#[tonic::async_trait]
impl ContentAddressableStorage for EmbeddedCas {
    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        names::check_function(request.digest_function)?;
        let digests = parse_all("blob_digests", request.blob_digests.iter().map(Some))?;
        let present = self.storage.present(&digests);
        let absent = request.blob_digests.into_iter().zip(present).filter(|(_, present)| !present);
        let missing_blob_digests = absent.map(|(digest, _)| digest).collect();
        Ok(Response::new(FindMissingBlobsResponse { missing_blob_digests }))
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        names::check_function(request.digest_function)?;
        let digests = parse_all("requests.digest", request.requests.iter().map(|blob| blob.digest.as_ref()))?;
        check_batch(&digests)?;
        let storage = self.storage.clone();
        let (wire, results) = blocking(move || {
            let unpacked: Vec<_> =
                request.requests.iter().zip(&digests).map(|(blob, digest)| unpack(blob, digest)).collect();
            let good = unpacked
                .iter()
                .zip(&digests)
                .filter_map(|(content, digest)| Some((*digest, content.as_ref().ok()?.clone())));
            let mut stored = storage.put_many(&good.collect::<Vec<_>>()).into_iter();
            let results: Vec<Result<(), Error>> = unpacked
                .into_iter()
                .map(|content| content.and_then(|_| stored.next().expect("one result for each blob")))
                .collect();
            Ok((request.requests, results))
        })
        .await?;
        let responses = wire
            .into_iter()
            .zip(results)
            .map(|(blob, result)| batch_update_blobs_response::Response {
                digest: blob.digest,
                status: Some(status(result)),
            })
            .collect();
        Ok(Response::new(BatchUpdateBlobsResponse { responses }))
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        let request = request.into_inner();
        self.check_instance(&request.instance_name)?;
        names::check_function(request.digest_function)?;
        let digests = parse_all("digests", request.digests.iter().map(Some))?;
        check_batch(&digests)?;
        let packs = request.acceptable_compressors.contains(&(compressor::Value::Zstd as i32));
        let storage = self.storage.clone();
        let responses = blocking(move || {
            let read = |(wire, digest): (_, &Digest)| {
                let content = storage
                    .read(digest, BATCH_BYTES_MAX)
                    .and_then(|content| content.ok_or(Error::Missing(*digest)))
                    .and_then(|content| pack(content, packs));
                let (content, result) = match content {
                    Ok(content) => (content, Ok(())),
                    Err(error) => ((Bytes::new(), compressor::Value::Identity), Err(error)),
                };
                batch_read_blobs_response::Response {
                    digest: Some(wire),
                    data: content.0,
                    compressor: content.1 as i32,
                    status: Some(status(result)),
                }
            };
            Ok(request.digests.into_iter().zip(&digests).map(read).collect())
        })
        .await?;
        Ok(Response::new(BatchReadBlobsResponse { responses }))
    }

    type GetTreeStream = BoxStream<'static, Result<GetTreeResponse, Status>>;

    async fn get_tree(&self, request: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        Ok(Response::new(get_tree::pages(self, request.get_ref()).await?))
    }

    async fn split_blob(&self, _: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        Err(Error::Unimplemented("SplitBlob"))?
    }

    type GetChunkMappingStream = BoxStream<'static, Result<GetChunkMappingResponse, Status>>;

    async fn get_chunk_mapping(
        &self,
        _: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        Err(Error::Unimplemented("GetChunkMapping"))?
    }

    async fn splice_blob(&self, _: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        Err(Error::Unimplemented("SpliceBlob"))?
    }

    async fn register_chunk_mapping(
        &self,
        _: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        Err(Error::Unimplemented("RegisterChunkMapping"))?
    }
}

fn parse_all<'a>(
    field: &'static str,
    wire: impl Iterator<Item = Option<&'a berth_proto::reapi::Digest>>,
) -> Result<Vec<Digest>, Error> {
    wire.map(|wire| names::digest(field, wire)).collect()
}

/// By the plain sizes that the digests name: packed data must not make a batch of any size in memory.
fn check_batch(digests: &[Digest]) -> Result<(), Error> {
    let bytes = digests.iter().fold(0u64, |sum, digest| sum.saturating_add(digest.size_bytes));
    if bytes > BATCH_BYTES_MAX {
        return Err(Error::BatchTooLarge { bytes, limit_bytes: BATCH_BYTES_MAX });
    }
    Ok(())
}

fn unpack(blob: &batch_update_blobs_request::Request, digest: &Digest) -> Result<Bytes, Error> {
    match names::compression(blob.compressor)? {
        Compression::Identity => Ok(blob.data.clone()),
        Compression::Zstd => packing::unpack(&blob.data, usize::try_from(digest.size_bytes).unwrap_or(usize::MAX)),
    }
}

fn pack(content: Bytes, packs: bool) -> Result<(Bytes, compressor::Value), Error> {
    if packs && content.len() >= PACK_BYTES_MIN {
        return Ok((packing::pack(&content)?, compressor::Value::Zstd));
    }
    Ok((content, compressor::Value::Identity))
}

/// The status of one blob of a batch.
fn status(result: Result<(), Error>) -> rpc::Status {
    match result.map_err(Status::from) {
        Ok(()) => rpc::Status::default(),
        Err(status) => {
            rpc::Status { code: status.code() as i32, message: status.message().into(), ..Default::default() }
        }
    }
}
