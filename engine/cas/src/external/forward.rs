//! Pass-through services: requests go to the external storage as they are, answers come back as they are.

use berth_proto::bytestream::byte_stream_server::{ByteStream, ByteStreamServer};
use berth_proto::bytestream::{
    QueryWriteStatusRequest, QueryWriteStatusResponse, ReadRequest, ReadResponse, WriteRequest, WriteResponse,
};
use berth_proto::reapi::action_cache_server::{ActionCache, ActionCacheServer};
use berth_proto::reapi::content_addressable_storage_server::{
    ContentAddressableStorage, ContentAddressableStorageServer,
};
use berth_proto::reapi::{
    ActionResult, BatchReadBlobsRequest, BatchReadBlobsResponse, BatchUpdateBlobsRequest, BatchUpdateBlobsResponse,
    FindMissingBlobsRequest, FindMissingBlobsResponse, GetActionResultRequest, GetChunkMappingRequest,
    GetChunkMappingResponse, GetTreeRequest, GetTreeResponse, RegisterChunkMappingRequest,
    RegisterChunkMappingResponse, SpliceBlobRequest, SpliceBlobResponse, SplitBlobRequest, SplitBlobResponse,
    UpdateActionResultRequest,
};
use futures::{Stream, StreamExt};
use tonic::service::RoutesBuilder;
use tonic::{Request, Response, Status, Streaming};

use super::ExternalCas;
use crate::limits::MESSAGE_BYTES_MAX;

impl ExternalCas {
    /// Adds pass-through services for ContentAddressableStorage, ActionCache and ByteStream to a server.
    pub fn add_services(&self, routes: &mut RoutesBuilder) {
        routes
            .add_service(
                ContentAddressableStorageServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(ActionCacheServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(ByteStreamServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX));
    }
}

/// The same message with the same metadata (authorization, request metadata), without our connection's extensions.
fn again<T>(request: Request<T>) -> Request<T> {
    let (metadata, _, message) = request.into_parts();
    Request::from_parts(metadata, tonic::Extensions::default(), message)
}

/// A stream that breaks on our side ends on the other: an upload stays unfinished there and can be continued.
fn again_stream<T: Send + 'static>(request: Request<Streaming<T>>) -> Request<impl Stream<Item = T> + Send + 'static> {
    again(request).map(|messages| messages.filter_map(|message| futures::future::ready(message.ok())))
}

#[tonic::async_trait]
impl ContentAddressableStorage for ExternalCas {
    async fn find_missing_blobs(
        &self,
        request: Request<FindMissingBlobsRequest>,
    ) -> Result<Response<FindMissingBlobsResponse>, Status> {
        self.content.clone().find_missing_blobs(again(request)).await
    }

    async fn batch_update_blobs(
        &self,
        request: Request<BatchUpdateBlobsRequest>,
    ) -> Result<Response<BatchUpdateBlobsResponse>, Status> {
        self.content.clone().batch_update_blobs(again(request)).await
    }

    async fn batch_read_blobs(
        &self,
        request: Request<BatchReadBlobsRequest>,
    ) -> Result<Response<BatchReadBlobsResponse>, Status> {
        self.content.clone().batch_read_blobs(again(request)).await
    }

    type GetTreeStream = Streaming<GetTreeResponse>;

    async fn get_tree(&self, request: Request<GetTreeRequest>) -> Result<Response<Self::GetTreeStream>, Status> {
        self.content.clone().get_tree(again(request)).await
    }

    async fn split_blob(&self, request: Request<SplitBlobRequest>) -> Result<Response<SplitBlobResponse>, Status> {
        self.content.clone().split_blob(again(request)).await
    }

    type GetChunkMappingStream = Streaming<GetChunkMappingResponse>;

    async fn get_chunk_mapping(
        &self,
        request: Request<GetChunkMappingRequest>,
    ) -> Result<Response<Self::GetChunkMappingStream>, Status> {
        self.content.clone().get_chunk_mapping(again(request)).await
    }

    async fn splice_blob(&self, request: Request<SpliceBlobRequest>) -> Result<Response<SpliceBlobResponse>, Status> {
        self.content.clone().splice_blob(again(request)).await
    }

    async fn register_chunk_mapping(
        &self,
        request: Request<Streaming<RegisterChunkMappingRequest>>,
    ) -> Result<Response<RegisterChunkMappingResponse>, Status> {
        self.content.clone().register_chunk_mapping(again_stream(request)).await
    }
}

#[tonic::async_trait]
impl ActionCache for ExternalCas {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        self.actions.clone().get_action_result(again(request)).await
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        self.actions.clone().update_action_result(again(request)).await
    }
}

#[tonic::async_trait]
impl ByteStream for ExternalCas {
    type ReadStream = Streaming<ReadResponse>;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Self::ReadStream>, Status> {
        self.bytes.clone().read(again(request)).await
    }

    async fn write(&self, request: Request<Streaming<WriteRequest>>) -> Result<Response<WriteResponse>, Status> {
        self.bytes.clone().write(again_stream(request)).await
    }

    async fn query_write_status(
        &self,
        request: Request<QueryWriteStatusRequest>,
    ) -> Result<Response<QueryWriteStatusResponse>, Status> {
        self.bytes.clone().query_write_status(again(request)).await
    }
}
