//! `berth operations`: what clients hold on to, through `google.longrunning.Operations`.

use std::process::ExitCode;

use anyhow::Context;
use berth_proto::{
    admin::CancelOperationsRequest,
    any,
    buildgrid::{GetRequestMetadataSummaryRequest, ListRequestMetadataRequest},
    longrunning::{
        CancelOperationRequest, DeleteOperationRequest, GetOperationRequest, ListOperationsRequest, Operation,
        WaitOperationRequest, operation, operations_client::OperationsClient,
    },
    reapi::{ExecuteOperationMetadata, ExecuteResponse},
};
use serde_json::{Value, json};
use tonic::{Code, transport::Channel};

use super::{ago, answer, ask, introspection, rfc3339, table};
use crate::cli::operations::{ListArgs, OperationsArgs, OperationsCommand};

/// Operations that are asked for at a time.
const PAGE_SIZE: usize = 1_000;

pub(crate) fn run(args: OperationsArgs) -> anyhow::Result<ExitCode> {
    let as_json = args.remote.json;
    ask(&args.remote.server, async |channel| {
        let mut client = OperationsClient::new(channel.clone()).max_decoding_message_size(256 << 20);
        match args.command {
            OperationsCommand::List(args) => list(&mut client, args, as_json).await?,
            OperationsCommand::Show { name } => {
                let operation = answer(client.get_operation(GetOperationRequest { name }).await)?;
                print(&Shown::read(&operation)?, as_json);
            }
            OperationsCommand::Wait { name } => loop {
                let request = WaitOperationRequest { name: name.clone(), timeout: None };
                let operation = answer(client.wait_operation(request).await)?;
                if operation.done {
                    print(&Shown::read(&operation)?, as_json);
                    break;
                }
            },
            OperationsCommand::Cancel { name } => {
                answer(client.cancel_operation(CancelOperationRequest { name: name.clone() }).await)?;
                say(&name, "cancelled", as_json);
            }
            OperationsCommand::CancelMatching { filter, instance, dry_run } => {
                let request = CancelOperationsRequest { instance, filter, dry_run };
                introspection::cancel(channel, request, as_json).await?;
            }
            OperationsCommand::Values { field, pattern, instance: instance_name, limit } => {
                let request = ListRequestMetadataRequest { instance_name, page_size: limit, page: 1, field, pattern };
                introspection::values(channel, request, as_json).await?;
            }
            OperationsCommand::Summary { field, value, instance: instance_name } => {
                let request = GetRequestMetadataSummaryRequest { instance_name, field, value };
                introspection::summary(channel, request, as_json).await?;
            }
            OperationsCommand::Delete { name } => {
                answer(client.delete_operation(DeleteOperationRequest { name: name.clone() }).await)?;
                say(&name, "deleted", as_json);
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Page after page, until there are as many as are wanted or no more.
async fn list(client: &mut OperationsClient<Channel>, args: ListArgs, as_json: bool) -> anyhow::Result<()> {
    let filter = args.whole_filter();
    let ListArgs { instance, limit, mut page_token, .. } = args;
    let mut shown = Vec::new();
    loop {
        let request = ListOperationsRequest {
            name: instance.clone(),
            filter: filter.clone(),
            page_size: i32::try_from((limit - shown.len()).min(PAGE_SIZE)).expect("a page is small"),
            page_token,
            ..ListOperationsRequest::default()
        };
        let page = answer(client.list_operations(request).await)?;
        for operation in &page.operations {
            shown.push(Shown::read(operation)?);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() || shown.len() >= limit {
            break;
        }
    }
    if as_json {
        let operations: Vec<_> = shown.iter().map(Shown::to_json).collect();
        outln!("{}", json!({ "operations": operations, "next_page_token": page_token }));
        return Ok(());
    }
    if !shown.is_empty() {
        let header = ["OPERATION", "STAGE", "AGE", "ENDED", "ACTION"];
        table::print(&header, shown.iter().map(Shown::row).collect());
    }
    outln!("{} shown", shown.len());
    if !page_token.is_empty() {
        outln!("there are more: --page-token {page_token}");
    }
    Ok(())
}

/// An operation, read.
struct Shown {
    name: String,
    stage: &'static str,
    done: bool,
    action: String,
    queued: Option<prost_types::Timestamp>,
    /// How it ended: code of the call, exit code of the command, and what is said of it.
    end: Option<(Code, Option<i32>, String)>,
}

impl Shown {
    fn read(operation: &Operation) -> anyhow::Result<Self> {
        let metadata = operation.metadata.as_ref().context("an operation without metadata")?;
        let metadata: ExecuteOperationMetadata = any::unpack(metadata).context("metadata of another kind")?;
        let end = match &operation.result {
            None => None,
            Some(operation::Result::Error(status)) => Some((Code::from_i32(status.code), None, status.message.clone())),
            Some(operation::Result::Response(response)) => {
                let response: ExecuteResponse = any::unpack(response).context("a response of another kind")?;
                let status = response.status.unwrap_or_default();
                Some((Code::from_i32(status.code), response.result.map(|result| result.exit_code), status.message))
            }
        };
        let digest = metadata.action_digest.clone().unwrap_or_default();
        Ok(Self {
            name: operation.name.clone(),
            stage: metadata.stage().as_str_name(),
            done: operation.done,
            action: format!("{}/{}", digest.hash, digest.size_bytes),
            queued: metadata.partial_execution_metadata.and_then(|partial| partial.queued_timestamp),
            end,
        })
    }

    fn ended(&self) -> String {
        match &self.end {
            None => String::new(),
            Some((Code::Ok, Some(0), _)) => "OK".to_owned(),
            Some((Code::Ok, Some(exit_code), _)) => format!("exit code {exit_code}"),
            Some((code, ..)) => format!("{code:?}"),
        }
    }

    fn row(&self) -> Vec<String> {
        let age = ago(self.queued.as_ref());
        vec![self.name.clone(), self.stage.to_owned(), age, self.ended(), self.action.clone()]
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "stage": self.stage,
            "done": self.done,
            "action_digest": self.action,
            "queued_at": rfc3339(self.queued.as_ref()),
            "code": self.end.as_ref().map(|(code, ..)| *code as i32),
            "exit_code": self.end.as_ref().and_then(|(_, exit_code, _)| *exit_code),
            "message": self.end.as_ref().map(|(_, _, message)| message),
        })
    }
}

fn print(operation: &Shown, as_json: bool) {
    if as_json {
        return outln!("{}", operation.to_json());
    }
    let queued = format!("{} ago", ago(operation.queued.as_ref()));
    let mut rows = vec![
        ("operation", operation.name.clone()),
        ("stage", operation.stage.to_owned()),
        ("action", operation.action.clone()),
        ("queued", queued),
    ];
    if let Some((_, _, message)) = &operation.end {
        rows.push(("ended", operation.ended()));
        rows.extend((!message.is_empty()).then(|| ("because", message.clone())));
    }
    for (name, value) in rows {
        outln!("{name:<16} {value}");
    }
}

fn say(name: &str, what: &str, as_json: bool) {
    if as_json {
        outln!("{}", json!({ "name": name, what: true }));
    } else {
        outln!("{name} is {what}");
    }
}
