//! `berth work namespaces`.

use berth_proto::work::{DeleteNamespaceRequest, ListNamespacesRequest};
use serde_json::json;

use super::{Asking, args::NamespacesCommand, specs::tell};
use crate::admin::answer;

pub(super) async fn run(mut asking: Asking, command: NamespacesCommand) -> anyhow::Result<()> {
    match command {
        NamespacesCommand::List => {
            let namespaces = answer(asking.client.list_namespaces(ListNamespacesRequest {}).await)?.namespaces;
            tell(asking.json, &json!({ "namespaces": namespaces }), &namespaces.join("\n"));
        }
        NamespacesCommand::Delete { name } => {
            let request = DeleteNamespaceRequest { namespace: name.clone() };
            answer(asking.client.delete_namespace(request).await)?;
            tell(asking.json, &json!({ "deleted": name }), &format!("namespace {name} is gone, with all of its work"));
        }
    }
    Ok(())
}
