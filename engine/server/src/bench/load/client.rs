//! A build client: Execute, listen until it is done, again. Against the bare server it plays the bot's part as well.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use berth_proto::{
    bots::{BotSession, UpdateBotSessionRequest, bots_client::BotsClient},
    longrunning::{Operation, operation},
    reapi::{ExecuteRequest, ExecuteResponse, RequestMetadata, ToolDetails, execution_client::ExecutionClient},
};
use prost::Message;
use tonic::{Request, metadata::MetadataValue, transport::Channel};

use super::{bot, run::Run};

const METADATA: &str = "build.bazel.remote.execution.v2.requestmetadata-bin";

/// Jobs until there are no more.
pub(super) async fn client(run: Arc<Run>, channel: Channel) -> anyhow::Result<()> {
    let mut execution = ExecutionClient::new(channel);
    while let Some(job) = run.take() {
        execute(&run, &mut execution, job).await?;
        run.done(job);
        if !run.plan.pause.is_zero() {
            tokio::time::sleep(run.plan.pause).await;
        }
    }
    Ok(())
}

/// The same calls with messages of the same size, of which a server that does nothing makes no job.
pub(super) async fn client_and_bot(run: Arc<Run>, channel: Channel, number: usize) -> anyhow::Result<()> {
    let mut execution = ExecutionClient::new(channel.clone());
    let mut bots = BotsClient::new(channel);
    let mut session = bot::introduction(&run, number);
    session.name = format!("{}/{}", run.plan.instance, uuid::Uuid::new_v4());
    while let Some(job) = run.take() {
        execute(&run, &mut execution, job).await?;
        let lease = bot::lease_like(&run, job);
        let active = BotSession { leases: vec![bot::active(lease.clone())], ..session.clone() };
        let completed = BotSession { leases: vec![bot::completed(lease, &session.bot_id)], ..session.clone() };
        for session in [active, completed] {
            let request =
                UpdateBotSessionRequest { name: session.name.clone(), bot_session: Some(session), update_mask: None };
            let mut request = Request::new(request);
            request.set_timeout(bot::DEADLINE);
            bots.update_bot_session(request).await.context("UpdateBotSession")?;
        }
        run.done(job);
    }
    Ok(())
}

async fn execute(run: &Run, execution: &mut ExecutionClient<Channel>, job: u64) -> anyhow::Result<()> {
    run.started(job);
    let mut request = Request::new(ExecuteRequest {
        instance_name: run.plan.instance.clone(),
        skip_cache_lookup: true,
        action_digest: Some(run.corpus.actions[job as usize].0.clone()),
        ..ExecuteRequest::default()
    });
    request.metadata_mut().insert_bin(METADATA, MetadataValue::from_bytes(&metadata(run, job).encode_to_vec()));
    let mut updates = execution.execute(request).await.context("Execute")?.into_inner();
    loop {
        match updates.message().await.context("Execute")? {
            Some(operation) if operation.done => return check(operation),
            Some(_) => {}
            None => bail!("Execute ended before the operation was done"),
        }
    }
}

fn metadata(run: &Run, job: u64) -> RequestMetadata {
    let invocation = job / run.plan.invocation_every.max(1);
    RequestMetadata {
        tool_details: Some(ToolDetails {
            tool_name: "berth-bench".into(),
            tool_version: env!("CARGO_PKG_VERSION").into(),
        }),
        tool_invocation_id: format!("00000000-0000-4000-8000-{invocation:012x}"),
        action_mnemonic: "CppCompile".into(),
        target_id: "//bench:all".into(),
        ..RequestMetadata::default()
    }
}

/// Fast failures are not throughput.
fn check(operation: Operation) -> anyhow::Result<()> {
    match operation.result {
        Some(operation::Result::Response(any)) => {
            let response: ExecuteResponse = berth_proto::any::unpack(&any).context("the result of an operation")?;
            let status = response.status.unwrap_or_default();
            ensure!(status.code == 0, "a job failed with code {}: {}", status.code, status.message);
            Ok(())
        }
        Some(operation::Result::Error(status)) => bail!("a job failed with code {}: {}", status.code, status.message),
        None => bail!("an operation is done without a result"),
    }
}
