//! A build client, reduced to what tests ask.

use berth_proto::{
    any,
    longrunning::{
        CancelOperationRequest, GetOperationRequest, Operation, operation, operations_client::OperationsClient,
    },
    reapi::{
        self, Action, BatchUpdateBlobsRequest, Command, Directory, ExecuteRequest, ExecuteResponse, FileNode,
        FindMissingBlobsRequest, Platform, RequestMetadata, WaitExecutionRequest, batch_update_blobs_request,
        content_addressable_storage_client::ContentAddressableStorageClient, execution_client::ExecutionClient,
        execution_stage, platform,
    },
    rpc,
};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Status, Streaming, metadata::MetadataValue, transport::Channel};

use crate::wait::within;

/// The instance of all tests.
pub const INSTANCE: &str = "main";

/// What a test wants to run.
#[derive(Clone, Debug, Default)]
pub struct Job {
    /// Makes the action a different one; bots find it in the lease.
    pub salt: String,
    /// Of the action.
    pub do_not_cache: bool,
    /// What it asks of a bot.
    pub platform: Vec<(&'static str, &'static str)>,
    /// Smaller runs sooner.
    pub priority: i32,
    /// Of the command; empty: something that only simulated bots run.
    pub arguments: Vec<&'static str>,
    /// Content of its input, `in.txt`; empty: `an input` and a line end.
    pub input: Bytes,
}

impl Job {
    /// A cacheable action.
    pub fn new(salt: impl Into<String>) -> Self {
        Self { salt: salt.into(), ..Self::default() }
    }

    /// The blobs that it needs.
    pub fn blobs(&self) -> Vec<reapi::Digest> {
        parts(self).1.iter().map(|blob| digest(blob)).collect()
    }
}

/// A connection to the server.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Channel,
    invocation: String,
}

impl Client {
    /// Uses this connection.
    pub fn new(channel: Channel) -> Self {
        Self { channel, invocation: String::new() }
    }

    /// What it runs from now on belongs to this invocation of a build tool.
    #[must_use]
    pub fn invoked_as(self, invocation: impl Into<String>) -> Self {
        Self { invocation: invocation.into(), ..self }
    }

    /// Stores blobs.
    pub async fn upload(&self, blobs: Vec<Bytes>) -> Result<(), Status> {
        let request = |data: Bytes| batch_update_blobs_request::Request {
            digest: Some(digest(&data)),
            data,
            ..batch_update_blobs_request::Request::default()
        };
        let request = BatchUpdateBlobsRequest {
            instance_name: INSTANCE.into(),
            requests: blobs.into_iter().map(request).collect(),
            ..BatchUpdateBlobsRequest::default()
        };
        let mut cas = ContentAddressableStorageClient::new(self.channel.clone());
        let refused = cas.batch_update_blobs(request).await?.into_inner().responses.into_iter().find_map(|blob| {
            let status = blob.status.unwrap_or_default();
            (status.code != 0).then(|| Status::new(Code::from_i32(status.code), status.message))
        });
        refused.map_or(Ok(()), Err)
    }

    /// Stores what the job needs; answers the request that runs it.
    pub async fn prepare(&self, job: &Job) -> Result<ExecuteRequest, Status> {
        let (request, blobs) = parts(job);
        self.upload(blobs).await?;
        Ok(request)
    }

    /// Which of these blobs are not there.
    pub async fn missing(&self, blobs: Vec<reapi::Digest>) -> Result<Vec<reapi::Digest>, Status> {
        let instance_name = INSTANCE.into();
        let request = FindMissingBlobsRequest { instance_name, blob_digests: blobs, ..Default::default() };
        let mut cas = ContentAddressableStorageClient::new(self.channel.clone());
        Ok(cas.find_missing_blobs(request).await?.into_inner().missing_blob_digests)
    }

    /// Runs what was prepared.
    pub async fn execute(&self, request: ExecuteRequest) -> Result<Streaming<Operation>, Status> {
        let mut request = tonic::Request::new(request);
        if !self.invocation.is_empty() {
            let metadata = RequestMetadata { tool_invocation_id: self.invocation.clone(), ..Default::default() };
            let metadata = MetadataValue::from_bytes(&metadata.encode_to_vec());
            request.metadata_mut().insert_bin("build.bazel.remote.execution.v2.requestmetadata-bin", metadata);
        }
        Ok(ExecutionClient::new(self.channel.clone()).execute(request).await?.into_inner())
    }

    /// Prepares and executes, and waits for the first message: then the operation is acknowledged.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn begin(&self, job: &Job) -> (Operation, Streaming<Operation>) {
        let begin = async {
            let request = self.prepare(job).await.expect("the blobs are stored");
            let mut stream = self.execute(request).await.expect("the action is executed");
            let first = stream.message().await.expect("the stream lives").expect("a stream begins with the state");
            (first, stream)
        };
        within("an operation is acknowledged", begin).await
    }

    /// Executes and waits for the end.
    ///
    /// # Panics
    /// If the server refuses, or the stream breaks.
    pub async fn run(&self, job: &Job) -> Operation {
        let (first, stream) = self.begin(job).await;
        if first.done { first } else { last(stream).await }
    }

    /// Takes an operation up again.
    pub async fn wait(&self, name: &str) -> Result<Streaming<Operation>, Status> {
        let request = WaitExecutionRequest { name: name.into() };
        Ok(ExecutionClient::new(self.channel.clone()).wait_execution(request).await?.into_inner())
    }

    /// Looks at an operation.
    pub async fn get(&self, name: &str) -> Result<Operation, Status> {
        Ok(self.operations().get_operation(GetOperationRequest { name: name.into() }).await?.into_inner())
    }

    /// Cancels an operation.
    pub async fn cancel(&self, name: &str) -> Result<(), Status> {
        self.operations().cancel_operation(CancelOperationRequest { name: name.into() }).await?;
        Ok(())
    }

    fn operations(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel.clone())
    }
}

/// The request that runs the job, and the blobs that it needs.
fn parts(job: &Job) -> (ExecuteRequest, Vec<Bytes>) {
    let mut blobs = Vec::new();
    let mut add = |blob: Bytes| {
        let digest = digest(&blob);
        blobs.push(blob);
        Some(digest)
    };
    let input = if job.input.is_empty() { "an input\n".into() } else { job.input.clone() };
    let input = FileNode { name: "in.txt".into(), digest: add(input), ..FileNode::default() };
    let root = add(Directory { files: vec![input], ..Directory::default() }.encode_to_vec().into());
    let arguments = if job.arguments.is_empty() { vec!["simulated"] } else { job.arguments.clone() };
    let arguments = arguments.into_iter().map(str::to_owned).collect();
    let variable =
        |name: &str, value: &str| reapi::command::EnvironmentVariable { name: name.into(), value: value.into() };
    let environment_variables = vec![variable("PATH", "/usr/bin:/bin")];
    let command = add(Command { arguments, environment_variables, ..Command::default() }.encode_to_vec().into());
    let property = |(name, value): &(&str, &str)| platform::Property { name: (*name).into(), value: (*value).into() };
    let action = Action {
        command_digest: command,
        input_root_digest: root,
        do_not_cache: job.do_not_cache,
        salt: job.salt.clone().into(),
        platform: Some(Platform { properties: job.platform.iter().map(property).collect() }),
        ..Action::default()
    };
    let request = ExecuteRequest {
        instance_name: INSTANCE.into(),
        action_digest: add(action.encode_to_vec().into()),
        execution_policy: Some(reapi::ExecutionPolicy { priority: job.priority }),
        ..ExecuteRequest::default()
    };
    (request, blobs)
}

/// The digest of a blob.
pub fn digest(blob: &[u8]) -> reapi::Digest {
    let hash = Sha256::digest(blob).iter().map(|byte| format!("{byte:02x}")).collect();
    reapi::Digest { hash, size_bytes: i64::try_from(blob.len()).expect("a blob is smaller than that") }
}

/// The last message of a stream.
///
/// # Panics
/// If the stream breaks, or ends before the operation does.
pub async fn last(mut stream: Streaming<Operation>) -> Operation {
    let read = async {
        let mut last = None;
        while let Some(operation) = stream.message().await.expect("the stream lives") {
            last = Some(operation);
        }
        last.expect("a stream has messages")
    };
    let last = within("an operation ends", read).await;
    assert!(last.done, "{last:?}");
    last
}

/// The response of an operation that is done.
///
/// # Panics
/// If there is none.
pub fn response(operation: &Operation) -> ExecuteResponse {
    let Some(operation::Result::Response(response)) = &operation.result else { panic!("no response: {operation:?}") };
    any::unpack(response).expect("it is an ExecuteResponse")
}

/// How an operation that is done ended: 0 if the action was run.
pub fn code(operation: &Operation) -> Code {
    match &operation.result {
        Some(operation::Result::Error(status)) => Code::from_i32(status.code),
        _ => Code::from_i32(response(operation).status.map_or(0, |status| status.code)),
    }
}

/// What the action of a finished operation wrote.
///
/// # Panics
/// If it did not run.
pub fn stdout(operation: &Operation) -> String {
    let result = response(operation).result.expect("the action was run");
    String::from_utf8(result.stdout_raw.to_vec()).expect("it wrote text")
}

/// The stage that a message names.
///
/// # Panics
/// If it names none.
pub fn stage(operation: &Operation) -> execution_stage::Value {
    let metadata = operation.metadata.as_ref().expect("an operation has metadata");
    any::unpack::<reapi::ExecuteOperationMetadata>(metadata).expect("it is of REAPI").stage()
}

/// The blobs that a refusal says are missing.
///
/// # Panics
/// If the status is anything else than such a refusal.
pub fn violations(status: &Status) -> Vec<String> {
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    let details = rpc::Status::decode(status.details()).expect("it has details");
    let failure: rpc::PreconditionFailure = any::unpack(&details.details[0]).expect("they name preconditions");
    assert!(failure.violations.iter().all(|violation| violation.r#type == "MISSING"), "{failure:?}");
    failure.violations.into_iter().map(|violation| violation.subject).collect()
}
