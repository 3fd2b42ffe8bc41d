//! `berth work`: work specs, work units, workers and locks of a running server, over gRPC; and the way there.

mod add;
mod args;
mod events;
mod import;
mod namespaces;
mod specs;
mod units;
mod values;
mod workers;
mod yaml;

use std::process::ExitCode;

use berth_proto::work::work_client::WorkClient;
use bytes::Bytes;
use tonic::transport::Channel;

pub(crate) use self::args::WorkArgs;
use self::args::{ListCommand, WorkCommand, WorkersCommand};
use crate::admin;

/// Answers may be as large as requests.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// Who is asked, and how it is printed.
struct Asking {
    client: WorkClient<Channel>,
    namespace: String,
    json: bool,
}

pub(crate) fn run(args: WorkArgs) -> anyhow::Result<ExitCode> {
    let WorkArgs { remote, namespace, command } = args;
    if let WorkCommand::Import(args) = command {
        return import::run(&args);
    }
    admin::ask(&remote.server, async |channel| {
        let client = WorkClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let asking = Asking { client, namespace, json: remote.json };
        match command {
            WorkCommand::Specs(command) => specs::run(asking, command).await,
            WorkCommand::Units(command) => units::run(asking, command).await,
            WorkCommand::Workers(WorkersCommand::List) => workers::list(asking).await,
            WorkCommand::Workers(WorkersCommand::Show { worker }) => workers::show(asking, &worker).await,
            WorkCommand::Locks(ListCommand::List) => workers::list_locks(asking).await,
            WorkCommand::Events { from, follow } => events::run(asking, from, follow).await,
            WorkCommand::Namespaces(command) => namespaces::run(asking, command).await,
            WorkCommand::Import(_) => unreachable!("it asks another server"),
        }?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Names are bytes; people see them as text, with what is none escaped.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(text) if !text.contains(char::is_control) => text.to_owned(),
        _ => name.escape_ascii().to_string(),
    }
}

fn name(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}
