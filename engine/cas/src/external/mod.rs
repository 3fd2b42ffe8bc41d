//! An external storage, by address: the engine's `Cas` port as its client, and the same services passed through, so
//! that a build client that knows only our address still works.
//!
//! What the other side keeps, and for how long, is its own affair: pins do nothing here, and nothing is promised
//! about age but what the operator says.

mod client;
mod forward;
mod port;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use berth_core::Digest;
use berth_proto::bytestream::byte_stream_client::ByteStreamClient;
use berth_proto::reapi::action_cache_client::ActionCacheClient;
use berth_proto::reapi::content_addressable_storage_client::ContentAddressableStorageClient;
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::storage::BoundedCache;
use crate::tree::{Kind, TreeNode};

/// Memory for parsed directories: their content never changes, so each is fetched once.
const TREE_CACHE_BYTES: usize = 64 << 20;

type Trees = BoundedCache<(Kind, Digest), Arc<TreeNode>>;

/// A handle on an external storage; cheap to clone.
#[derive(Clone)]
pub struct ExternalCas {
    content: ContentAddressableStorageClient<Channel>,
    actions: ActionCacheClient<Channel>,
    bytes: ByteStreamClient<Channel>,
    trees: Arc<Mutex<Trees>>,
    min_age: Duration,
}

impl ExternalCas {
    /// Uses the storage at `http://host:port` (or `grpc://host:port`). Connects when first used, and again whenever
    /// the connection is lost. `min_age`: how long the other side keeps a blob that was just touched, as far as the
    /// operator knows.
    pub fn connect(address: &str, min_age: Duration) -> Result<Self, Error> {
        let refuse = |problem: String| Error::field("cas.address", format!("{address:?}: {problem}"));
        let http = match address.split_once("://") {
            Some(("http" | "grpc", rest)) => format!("http://{rest}"),
            None => format!("http://{address}"),
            Some((other, _)) => return Err(refuse(format!("scheme {other} is not supported, http and grpc are"))),
        };
        let endpoint = Endpoint::from_shared(http).map_err(|error| refuse(error.to_string()))?;
        let endpoint = endpoint
            .tcp_nodelay(true)
            .connect_timeout(Duration::from_secs(10))
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .http2_adaptive_window(true);
        Ok(Self::new(endpoint.connect_lazy(), min_age))
    }

    /// Uses the storage behind a channel that the caller made.
    pub fn new(channel: Channel, min_age: Duration) -> Self {
        Self {
            content: ContentAddressableStorageClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            actions: ActionCacheClient::new(channel.clone()).max_decoding_message_size(MESSAGE_BYTES_MAX),
            bytes: ByteStreamClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX),
            trees: Arc::new(Mutex::new(BoundedCache::new(TREE_CACHE_BYTES))),
            min_age,
        }
    }
}

impl std::fmt::Debug for ExternalCas {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ExternalCas").field("min_age", &self.min_age).finish_non_exhaustive()
    }
}
