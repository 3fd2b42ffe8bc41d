//! The blobs: one Command, an empty input root, and an Action for each job, all distinct from those of other runs.

use anyhow::{Context, ensure};
use berth_proto::{
    bots::Lease,
    reapi::{
        Action, ActionResult, BatchUpdateBlobsRequest, Command, Digest, ExecutedActionMetadata, Platform,
        batch_update_blobs_request, content_addressable_storage_client::ContentAddressableStorageClient, platform,
    },
};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::transport::Channel;

use super::plan::Plan;

/// Well below the 4 MiB that every server takes.
const BATCH: usize = 2_000;

pub(super) struct Corpus {
    /// Tells our leases from those of other clients.
    nonce: u64,
    command: Bytes,
    /// In the order of the jobs.
    pub(super) actions: Vec<(Digest, Bytes)>,
}

impl Corpus {
    pub(super) fn new(plan: &Plan, nonce: u64) -> Self {
        let command = Command { arguments: vec!["/bin/true".into(), "--bench".into()], ..Command::default() };
        let command = Bytes::from(command.encode_to_vec());
        let (command_digest, input_root) = (digest_of(&command), digest_of(&[]));
        let action = |job: u64| {
            let property = |(name, value)| platform::Property { name, value };
            let action = Action {
                command_digest: Some(command_digest.clone()),
                input_root_digest: Some(input_root.clone()),
                do_not_cache: true,
                salt: [nonce.to_be_bytes(), job.to_be_bytes()].concat().into(),
                platform: Some(Platform { properties: plan.platform(job).into_iter().map(property).collect() }),
                ..Action::default()
            };
            let bytes = Bytes::from(action.encode_to_vec());
            (digest_of(&bytes), bytes)
        };
        Self { nonce, command, actions: (0..plan.total()).map(action).collect() }
    }

    pub(super) async fn upload(&self, channel: Channel, instance: &str) -> anyhow::Result<()> {
        let mut cas = ContentAddressableStorageClient::new(channel);
        let rest = [(digest_of(&self.command), self.command.clone()), (digest_of(&[]), Bytes::new())];
        let blobs: Vec<_> = rest.iter().chain(&self.actions).collect();
        for (number, batch) in blobs.chunks(BATCH).enumerate() {
            let request = |(digest, data): &&(Digest, Bytes)| batch_update_blobs_request::Request {
                digest: Some(digest.clone()),
                data: data.clone(),
                ..batch_update_blobs_request::Request::default()
            };
            let request = BatchUpdateBlobsRequest {
                instance_name: instance.to_owned(),
                requests: batch.iter().map(request).collect(),
                ..BatchUpdateBlobsRequest::default()
            };
            let response = cas.batch_update_blobs(request).await.context("BatchUpdateBlobs")?.into_inner();
            let refused = response
                .responses
                .iter()
                .filter_map(|response| response.status.as_ref())
                .find(|status| status.code != 0);
            ensure!(refused.is_none(), "a blob is refused: {refused:?}");
            if number % 10 == 9 {
                eprintln!("load: {} of {} blobs uploaded ...", (number + 1) * BATCH, blobs.len());
            }
        }
        Ok(())
    }

    /// Which of our jobs a lease is about. Servers send the Action or its digest.
    pub(super) fn job_of(&self, lease: &Lease) -> Option<u64> {
        let payload = lease.payload.as_ref()?;
        if let Ok(action) = berth_proto::any::unpack::<Action>(payload) {
            let (nonce, job) = action.salt.split_at_checked(8)?;
            let ours = nonce == self.nonce.to_be_bytes();
            return ours.then(|| job.try_into().ok().map(u64::from_be_bytes)).flatten();
        }
        let digest = berth_proto::any::unpack::<Digest>(payload).ok()?;
        self.actions.iter().position(|(known, _)| *known == digest).map(|job| job as u64)
    }
}

pub(in crate::bench) fn digest_of(bytes: &[u8]) -> Digest {
    use std::fmt::Write;

    let mut hash = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        write!(hash, "{byte:02x}").expect("a string takes any text");
    }
    Digest { hash, size_bytes: bytes.len() as i64 }
}

/// What a bot answers: a command that did well and said little.
pub(in crate::bench) fn action_result(worker: &str) -> ActionResult {
    let metadata = ExecutedActionMetadata { worker: worker.to_owned(), ..ExecutedActionMetadata::default() };
    ActionResult {
        stdout_raw: Bytes::from_static(b"bench: 1 file compiled\n"),
        execution_metadata: Some(metadata),
        ..ActionResult::default()
    }
}
