//! `berth jobs history`.

use berth_proto::admin::{GetHistoryResponse, HistoryEvent};
use serde_json::{Value, json};

use super::{rfc3339, table};

pub(super) fn print(known: &GetHistoryResponse, as_json: bool) {
    if as_json {
        let events: Vec<_> = known.events.iter().map(to_json).collect();
        outln!("{}", json!({ "job": known.job, "events": events }));
        return;
    }
    let row = |event: &HistoryEvent| {
        let at = event.at.as_ref().map(ToString::to_string).unwrap_or_default();
        let more = [event.operation.as_str(), event.progress.as_str(), event.text.as_str()];
        let more = more.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ");
        vec![at, event.kind.clone(), event.bot_id.clone(), more]
    };
    table::print(&["AT", "WHAT", "BOT", ""], known.events.iter().map(row).collect());
}

fn to_json(event: &HistoryEvent) -> Value {
    let text = |text: &String| if text.is_empty() { Value::Null } else { text.as_str().into() };
    let took = event.took.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
    json!({
        "at": rfc3339(event.at.as_ref()),
        "kind": event.kind,
        "operation": text(&event.operation),
        "bot_id": text(&event.bot_id),
        "attempt": if event.attempt == 0 { Value::Null } else { event.attempt.into() },
        "code": event.code,
        "took_s": took,
        "progress": text(&event.progress),
        "text": text(&event.text),
    })
}
