//! `build.bazel.remote.execution.v2.Capabilities`: what clients may expect.

use std::sync::Arc;

use berth_proto::{
    reapi::{
        ActionCacheUpdateCapabilities, CacheCapabilities, ExecutionCapabilities, GetCapabilitiesRequest,
        PriorityCapabilities, ServerCapabilities, capabilities_server, compressor, digest_function,
        priority_capabilities::PriorityRange, symlink_absolute_path_strategy,
    },
    semver::SemVer,
};
use tonic::{Request, Response, Status};

use crate::{config::Config, instances::Instances};

/// The service.
pub(crate) struct Capabilities {
    pub(crate) instances: Instances,
    pub(crate) config: Arc<Config>,
}

#[tonic::async_trait]
impl capabilities_server::Capabilities for Capabilities {
    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<ServerCapabilities>, Status> {
        self.instances.get("instance_name", &request.get_ref().instance_name)?;
        Ok(Response::new(capabilities(&self.config)))
    }
}

fn capabilities(config: &Config) -> ServerCapabilities {
    let sha256 = digest_function::Value::Sha256 as i32;
    let zstd = compressor::Value::Zstd as i32;
    let version = |major, minor| Some(SemVer { major, minor, patch: 0, prerelease: String::new() });
    let batch_bytes_max = i64::try_from(config.cache.batch_bytes_max).unwrap_or(i64::MAX);
    ServerCapabilities {
        cache_capabilities: Some(CacheCapabilities {
            digest_functions: vec![sha256],
            action_cache_update_capabilities: Some(ActionCacheUpdateCapabilities {
                update_enabled: config.cache.update_enabled,
            }),
            max_batch_total_size_bytes: batch_bytes_max,
            // A link is made as it was sent, and what it points to is the bot's file system.
            symlink_absolute_path_strategy: symlink_absolute_path_strategy::Value::Allowed as i32,
            supported_compressors: vec![zstd],
            supported_batch_update_compressors: vec![zstd],
            ..Default::default()
        }),
        execution_capabilities: Some(ExecutionCapabilities {
            digest_function: sha256,
            exec_enabled: true,
            execution_priority_capabilities: Some(PriorityCapabilities {
                priorities: vec![PriorityRange { min_priority: i32::MIN, max_priority: i32::MAX }],
            }),
            digest_functions: vec![sha256],
            ..Default::default()
        }),
        deprecated_api_version: None,
        low_api_version: version(2, 0),
        // Above this are splitting and splicing of blobs, which the storage does not offer.
        high_api_version: version(2, 3),
    }
}
