//! `berth work events`: a line an event.

use berth_proto::work::{Event, EventKind, EventsRequest};
use serde_json::json;

use super::{Asking, shown, values};
use crate::admin::{answer, rfc3339};

pub(super) async fn run(mut asking: Asking, from: u64, follow: bool) -> anyhow::Result<()> {
    let request = EventsRequest { namespace: asking.namespace, from, follow };
    let mut stream = answer(asking.client.events(request).await)?;
    while let Some(page) = stream.message().await? {
        for event in &page.events {
            let (at, what, name, worker) =
                (rfc3339(event.at.as_ref()), what(event), shown(&event.name), shown(&event.worker));
            let keys = keys(event);
            if asking.json {
                let sequence = event.sequence;
                let line = json!({
                    "sequence": sequence, "at": at, "what": what, "name": name, "worker": worker, "keys": keys,
                });
                outln!("{line}");
            } else {
                let parts = [at.to_string(), event.sequence.to_string(), what, name, worker, keys.join(" ")];
                outln!("{}", parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("  "));
            }
        }
    }
    Ok(())
}

/// `units-finished`.
fn what(event: &Event) -> String {
    let name = event.kind().as_str_name();
    name.trim_start_matches("EVENT_KIND_").to_lowercase().replace('_', "-")
}

fn keys(event: &Event) -> Vec<String> {
    let is_lock = matches!(event.kind(), EventKind::Locked | EventKind::Unlocked);
    let key = |key: &bytes::Bytes| if is_lock { values::to_json(key).to_string() } else { shown(key) };
    event.keys.iter().map(key).collect()
}
