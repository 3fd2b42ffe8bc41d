//! The calls that the port is made of, in terms of the external server's services.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError};

use berth_core::Digest;
use berth_proto::bytestream::{ReadRequest, WriteRequest};
use berth_proto::reapi::{
    ActionResult, BatchReadBlobsRequest, BatchUpdateBlobsRequest, FindMissingBlobsRequest, GetActionResultRequest,
    UpdateActionResultRequest, batch_update_blobs_request, digest_function,
};
use bytes::{Bytes, BytesMut};
use futures::stream;
use tonic::{Code, Status};

use super::ExternalCas;
use crate::error::Error;
use crate::limits::{BATCH_BYTES_MAX, DIRECTORY_BYTES_MAX, MISSING_MAX};
use crate::names;
use crate::tree::{Kind, TreeNode};

/// So many digests fit a message of 4 MiB with ease.
const FIND_MISSING_DIGESTS: usize = 10_000;

/// Piece of a ByteStream write.
const PIECE_BYTES: usize = 512 * 1024;

const SHA256: i32 = digest_function::Value::Sha256 as i32;

impl ExternalCas {
    /// Which of these are not there. The other side touches those that are.
    pub(super) async fn find_missing(&self, instance: &str, digests: &[Digest]) -> Result<Vec<Digest>, Error> {
        let mut missing = Vec::new();
        for part in digests.chunks(FIND_MISSING_DIGESTS) {
            let request = FindMissingBlobsRequest {
                instance_name: instance.into(),
                blob_digests: part.iter().map(names::to_wire).collect(),
                digest_function: SHA256,
            };
            let reply = self.content.clone().find_missing_blobs(request).await.map_err(Error::external)?.into_inner();
            for wire in &reply.missing_blob_digests {
                missing.push(names::digest("missing_blob_digests", Some(wire))?);
            }
            if missing.len() >= MISSING_MAX {
                missing.truncate(MISSING_MAX);
                break;
            }
        }
        Ok(missing)
    }

    /// Reads a whole blob; `None` if it is not there.
    pub(super) async fn fetch(&self, instance: &str, digest: &Digest) -> Result<Option<Bytes>, Error> {
        if digest.size_bytes <= BATCH_BYTES_MAX {
            let mut content = self.fetch_batch(instance, std::slice::from_ref(digest)).await?;
            return Ok(content.pop().flatten());
        }
        let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
        let request = ReadRequest { resource_name: format!("{prefix}blobs/{digest}"), read_offset: 0, read_limit: 0 };
        let mut pieces = match self.bytes.clone().read(request).await {
            Ok(reply) => reply.into_inner(),
            Err(status) => return none_if_not_found(status),
        };
        let mut content = BytesMut::new();
        loop {
            match pieces.message().await {
                Ok(Some(piece)) => content.extend_from_slice(&piece.data),
                Ok(None) => break,
                Err(status) => return none_if_not_found(status),
            }
            if content.len() as u64 > digest.size_bytes {
                break;
            }
        }
        check_length(digest, content.len())?;
        Ok(Some(content.freeze()))
    }

    /// Reads blobs that fit a batch together, in order.
    async fn fetch_batch(&self, instance: &str, digests: &[Digest]) -> Result<Vec<Option<Bytes>>, Error> {
        let request = BatchReadBlobsRequest {
            instance_name: instance.into(),
            digests: digests.iter().map(names::to_wire).collect(),
            digest_function: SHA256,
            ..Default::default()
        };
        let reply = self.content.clone().batch_read_blobs(request).await.map_err(Error::external)?.into_inner();
        let mut found = std::collections::HashMap::new();
        for blob in reply.responses {
            let digest = names::digest("responses.digest", blob.digest.as_ref())?;
            let status = blob.status.unwrap_or_default();
            match Code::from(status.code) {
                Code::Ok => {
                    check_length(&digest, blob.data.len())?;
                    found.insert(digest, blob.data);
                }
                Code::NotFound => {}
                code => return Err(Error::external(Status::new(code, status.message))),
            }
        }
        Ok(digests.iter().map(|digest| found.get(digest).cloned()).collect())
    }

    /// Stores a blob.
    pub(super) async fn store(&self, instance: &str, digest: &Digest, data: Bytes) -> Result<(), Error> {
        if digest.size_bytes <= BATCH_BYTES_MAX {
            let blob = batch_update_blobs_request::Request {
                digest: Some(names::to_wire(digest)),
                data,
                ..Default::default()
            };
            let request = BatchUpdateBlobsRequest {
                instance_name: instance.into(),
                requests: vec![blob],
                digest_function: SHA256,
            };
            let reply = self.content.clone().batch_update_blobs(request).await.map_err(Error::external)?.into_inner();
            let status = reply.responses.into_iter().next().and_then(|blob| blob.status).unwrap_or_default();
            return match Code::from(status.code) {
                Code::Ok => Ok(()),
                code => Err(Error::external(Status::new(code, status.message))),
            };
        }
        let prefix = if instance.is_empty() { String::new() } else { format!("{instance}/") };
        let resource_name = format!("{prefix}uploads/{}/blobs/{digest}", uuid::Uuid::new_v4());
        let pieces = (0..data.len()).step_by(PIECE_BYTES).map(move |start| {
            let end = (start + PIECE_BYTES).min(data.len());
            WriteRequest {
                resource_name: if start == 0 { resource_name.clone() } else { String::new() },
                write_offset: start as i64,
                finish_write: end == data.len(),
                data: data.slice(start..end),
            }
        });
        let reply = self.bytes.clone().write(stream::iter(pieces)).await.map_err(Error::external)?.into_inner();
        if u64::try_from(reply.committed_size) != Ok(digest.size_bytes) {
            let text = format!("only {} bytes of {digest} were committed", reply.committed_size);
            return Err(Error::external(Status::data_loss(text)));
        }
        Ok(())
    }

    /// Reads directories level by level, then asks once which of all blobs are missing.
    pub(super) async fn walk(
        &self,
        instance: &str,
        blobs: &[Digest],
        trees: &[(Kind, Digest)],
    ) -> Result<Vec<Digest>, Error> {
        let mut all: Vec<Digest> = Vec::new();
        let mut listed = HashSet::new();
        let mut list = |digests: &[Digest]| {
            for digest in digests.iter().filter(|digest| digest.size_bytes > 0) {
                if listed.insert(*digest) {
                    all.push(*digest);
                }
            }
        };
        list(blobs);
        list(&trees.iter().map(|(_, digest)| *digest).collect::<Vec<_>>());
        let mut seen: HashSet<(Kind, Digest)> = trees.iter().copied().collect();
        let mut level: Vec<(Kind, Digest)> = seen.iter().copied().collect();
        while !level.is_empty() {
            let mut below = Vec::new();
            for node in self.nodes(instance, &level).await? {
                list(&node.files);
                list(&node.directories);
                let directories = node.directories.iter().map(|digest| (Kind::Directory, *digest));
                below.extend(directories.filter(|directory| seen.insert(*directory)));
            }
            level = below;
        }
        self.find_missing(instance, &all).await
    }

    /// The directories of one level that are there, parsed.
    async fn nodes(&self, instance: &str, level: &[(Kind, Digest)]) -> Result<Vec<Arc<TreeNode>>, Error> {
        let (mut nodes, mut fetch) = (Vec::new(), Vec::new());
        {
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            for (kind, digest) in level.iter().filter(|(_, digest)| digest.size_bytes > 0) {
                match trees.get(&(*kind, *digest)) {
                    Some(node) => nodes.push(node),
                    None => fetch.push((*kind, *digest)),
                }
            }
        }
        let mut add = |kind: Kind, digest: &Digest, content: &[u8]| -> Result<(), Error> {
            let node = Arc::new(TreeNode::parse(kind, digest, content)?);
            let mut trees = self.trees.lock().unwrap_or_else(PoisonError::into_inner);
            trees.insert((kind, *digest), node.clone(), node.bytes());
            nodes.push(node);
            Ok(())
        };
        let (large, small): (Vec<_>, Vec<_>) =
            fetch.into_iter().partition(|(_, digest)| digest.size_bytes > BATCH_BYTES_MAX);
        for (kind, digest) in large {
            if digest.size_bytes > DIRECTORY_BYTES_MAX {
                let detail = format!("it is larger than {DIRECTORY_BYTES_MAX} bytes");
                return Err(Error::Malformed { digest, expected: "Directory", detail });
            }
            if let Some(content) = self.fetch(instance, &digest).await? {
                add(kind, &digest, &content)?;
            }
        }
        for batch in batches(&small) {
            let digests: Vec<Digest> = batch.iter().map(|(_, digest)| *digest).collect();
            let contents = self.fetch_batch(instance, &digests).await?;
            for ((kind, digest), content) in batch.iter().zip(contents) {
                if let Some(content) = content {
                    add(*kind, digest, &content)?;
                }
            }
        }
        Ok(nodes)
    }

    pub(super) async fn get_action(&self, instance: &str, action: &Digest) -> Result<Option<ActionResult>, Error> {
        let request = GetActionResultRequest {
            instance_name: instance.into(),
            action_digest: Some(names::to_wire(action)),
            digest_function: SHA256,
            ..Default::default()
        };
        match self.actions.clone().get_action_result(request).await {
            Ok(reply) => Ok(Some(reply.into_inner())),
            Err(status) => none_if_not_found(status),
        }
    }

    pub(super) async fn update_action(
        &self,
        instance: &str,
        action: &Digest,
        result: ActionResult,
    ) -> Result<(), Error> {
        let request = UpdateActionResultRequest {
            instance_name: instance.into(),
            action_digest: Some(names::to_wire(action)),
            action_result: Some(result),
            digest_function: SHA256,
            ..Default::default()
        };
        self.actions.clone().update_action_result(request).await.map_err(Error::external)?;
        Ok(())
    }
}

/// Splits so that each part fits a batch, digests and framing included.
fn batches(blobs: &[(Kind, Digest)]) -> Vec<&[(Kind, Digest)]> {
    let (mut parts, mut start, mut bytes) = (Vec::new(), 0, 0);
    for (at, (_, digest)) in blobs.iter().enumerate() {
        let more = digest.size_bytes + 128;
        if at > start && bytes + more > BATCH_BYTES_MAX {
            parts.push(&blobs[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += more;
    }
    if start < blobs.len() {
        parts.push(&blobs[start..]);
    }
    parts
}

fn none_if_not_found<T>(status: Status) -> Result<Option<T>, Error> {
    if status.code() == Code::NotFound { Ok(None) } else { Err(Error::external(status)) }
}

fn check_length(digest: &Digest, bytes: usize) -> Result<(), Error> {
    if bytes as u64 == digest.size_bytes {
        return Ok(());
    }
    Err(Error::external(Status::data_loss(format!("{digest} came with {bytes} bytes"))))
}
