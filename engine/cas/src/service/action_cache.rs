//! ActionCache: results of earlier executions.

use std::sync::Arc;

use berth_proto::reapi::action_cache_server::ActionCache;
use berth_proto::reapi::{ActionResult, Digest, GetActionResultRequest, UpdateActionResultRequest};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use crate::blocking::blocking;
use crate::embedded::EmbeddedCas;
use crate::error::Error;
use crate::names;
use crate::outputs::Outputs;
use crate::storage::Storage;

/// At most so much content is put into a result because a client asked for it: the message must fit the 4 MiB that
/// gRPC clients accept by default.
const INLINE_BYTES_MAX: u64 = 1024 * 1024;

#[tonic::async_trait]
impl ActionCache for EmbeddedCas {
    async fn get_action_result(
        &self,
        request: Request<GetActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let request = request.into_inner();
        names::check_function(request.digest_function)?;
        let action = names::digest("action_digest", request.action_digest.as_ref())?;
        let result = self.cached_result(&request.instance_name, action).await?.ok_or(Error::NoActionResult(action))?;
        if !(request.inline_stdout || request.inline_stderr || !request.inline_output_files.is_empty()) {
            return Ok(Response::new(result));
        }
        let storage = self.storage.clone();
        Ok(Response::new(blocking(move || inline(&storage, &request, result)).await?))
    }

    async fn update_action_result(
        &self,
        request: Request<UpdateActionResultRequest>,
    ) -> Result<Response<ActionResult>, Status> {
        let request = request.into_inner();
        names::check_function(request.digest_function)?;
        self.check_instance(&request.instance_name)?;
        if !self.clients_may_update_actions {
            Err(Error::Forbidden("UpdateActionResult"))?;
        }
        let action = names::digest("action_digest", request.action_digest.as_ref())?;
        let result = request.action_result.ok_or_else(|| Error::field("action_result", "is not set"))?;
        if Outputs::of(&result).is_none() {
            Err(Error::field("action_result", "has an output without a valid digest"))?;
        }
        // Whether the outputs are here is asked when the entry is read: a broken entry is a miss.
        self.store_result(&request.instance_name, action, result.clone()).await?;
        Ok(Response::new(result))
    }
}

/// Puts content into the result where the client asked for it, as far as it fits.
fn inline(
    storage: &Arc<Storage>,
    request: &GetActionResultRequest,
    mut result: ActionResult,
) -> Result<ActionResult, Error> {
    let mut left_bytes = INLINE_BYTES_MAX;
    let mut content = |digest: Option<&Digest>| -> Result<Bytes, Error> {
        let Some(digest) = digest.and_then(|wire| names::digest("digest", Some(wire)).ok()) else {
            return Ok(Bytes::new());
        };
        if digest.size_bytes > left_bytes {
            return Ok(Bytes::new());
        }
        left_bytes -= digest.size_bytes;
        Ok(storage.read(&digest, INLINE_BYTES_MAX)?.unwrap_or_default())
    };
    if request.inline_stdout && result.stdout_raw.is_empty() {
        result.stdout_raw = content(result.stdout_digest.as_ref())?;
    }
    if request.inline_stderr && result.stderr_raw.is_empty() {
        result.stderr_raw = content(result.stderr_digest.as_ref())?;
    }
    for file in &mut result.output_files {
        if request.inline_output_files.contains(&file.path) && file.contents.is_empty() {
            file.contents = content(file.digest.as_ref())?;
        }
    }
    Ok(result)
}
