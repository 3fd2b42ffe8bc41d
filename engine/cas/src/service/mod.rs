//! The gRPC services on the embedded storage: they check what comes in and hand it to the storage.

mod action_cache;
mod byte_stream;
mod content;
mod get_tree;
mod packing;

use berth_proto::bytestream::byte_stream_server::ByteStreamServer;
use berth_proto::reapi::action_cache_server::ActionCacheServer;
use berth_proto::reapi::content_addressable_storage_server::ContentAddressableStorageServer;
use tonic::service::RoutesBuilder;

use crate::embedded::EmbeddedCas;
use crate::limits::MESSAGE_BYTES_MAX;

impl EmbeddedCas {
    /// Adds ContentAddressableStorage, ActionCache and ByteStream to a server.
    pub fn add_services(&self, routes: &mut RoutesBuilder) {
        routes
            .add_service(
                ContentAddressableStorageServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            )
            .add_service(ActionCacheServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX))
            .add_service(ByteStreamServer::new(self.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX));
    }
}
