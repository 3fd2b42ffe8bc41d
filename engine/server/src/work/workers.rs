//! `berth work workers` and `berth work locks`.

use anyhow::Context;
use berth_proto::work::{ListLocksRequest, ListWorkersRequest, Worker};
use serde_json::{Value, json};

use super::{Asking, shown, values};
use crate::admin::{answer, rfc3339, table};

pub(super) async fn list(mut asking: Asking) -> anyhow::Result<()> {
    let workers = answer(asking.client.list_workers(ListWorkersRequest { namespace: asking.namespace }).await)?.workers;
    if asking.json {
        outln!("{}", json!({ "workers": workers.iter().map(to_json).collect::<Vec<_>>() }));
    } else if workers.is_empty() {
        outln!("no worker was heard of");
    } else {
        let row = |worker: &Worker| {
            let mode = text(&values::to_json(&worker.mode));
            vec![shown(&worker.worker), mode, shown(&worker.parent), format!("{} s ago", age(worker))]
        };
        table::print(&["WORKER", "MODE", "PARENT", "HEARD OF"], workers.iter().map(row).collect());
    }
    Ok(())
}

pub(super) async fn show(mut asking: Asking, worker: &str) -> anyhow::Result<()> {
    let workers = answer(asking.client.list_workers(ListWorkersRequest { namespace: asking.namespace }).await)?.workers;
    let found = workers.iter().find(|one| shown(&one.worker) == worker);
    let found = to_json(found.with_context(|| format!("no worker {worker:?} was heard of"))?);
    outln!("{}", if asking.json { found.to_string() } else { serde_json::to_string_pretty(&found)? });
    Ok(())
}

fn age(worker: &Worker) -> i64 {
    worker.age.as_ref().map_or(0, |age| age.seconds)
}

fn to_json(worker: &Worker) -> Value {
    json!({
        "worker": shown(&worker.worker),
        "mode": values::to_json(&worker.mode),
        "parent": (!worker.parent.is_empty()).then(|| shown(&worker.parent)),
        "age_seconds": age(worker),
        "expires": rfc3339(worker.expires.as_ref()),
        "data": values::to_json(&worker.data),
    })
}

pub(super) async fn list_locks(mut asking: Asking) -> anyhow::Result<()> {
    let locks = answer(asking.client.list_locks(ListLocksRequest { namespace: asking.namespace }).await)?.locks;
    let path = |path: &[bytes::Bytes]| path.iter().map(|element| values::to_json(element)).collect::<Vec<_>>();
    if asking.json {
        let locks = locks.iter().map(|lock| {
            let until = rfc3339(lock.until.as_ref());
            json!({ "path": path(&lock.path), "locker": shown(&lock.locker), "until": until })
        });
        outln!("{}", json!({ "locks": locks.collect::<Vec<_>>() }));
    } else if locks.is_empty() {
        outln!("nothing is locked");
    } else {
        let row = |lock: &berth_proto::work::HeldLock| {
            let path = path(&lock.path).iter().map(text).collect::<Vec<_>>().join("/");
            vec![path, shown(&lock.locker), lock.until.as_ref().map(ToString::to_string).unwrap_or_default()]
        };
        table::print(&["PATH", "HELD BY", "UNTIL"], locks.iter().map(row).collect());
    }
    Ok(())
}

/// Strings without quotes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
