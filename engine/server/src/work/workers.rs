//! `berth work workers` and `berth work locks`.

use berth_proto::work::{ListLocksRequest, ListWorkersRequest};
use serde_json::{Value, json};

use super::{Asking, shown, values};
use crate::admin::{answer, rfc3339, table};

pub(super) async fn list(mut asking: Asking) -> anyhow::Result<()> {
    let workers = answer(asking.client.list_workers(ListWorkersRequest { namespace: asking.namespace }).await)?.workers;
    let age = |age: &Option<prost_types::Duration>| age.as_ref().map_or(0, |age| age.seconds);
    if asking.json {
        let workers = workers.iter().map(|worker| {
            json!({
                "worker": shown(&worker.worker),
                "mode": values::to_json(&worker.mode),
                "parent": (!worker.parent.is_empty()).then(|| shown(&worker.parent)),
                "age_seconds": age(&worker.age),
                "expires": rfc3339(worker.expires.as_ref()),
                "data": values::to_json(&worker.data),
            })
        });
        println!("{}", json!({ "workers": workers.collect::<Vec<_>>() }));
    } else if workers.is_empty() {
        println!("no worker was heard of");
    } else {
        let row = |worker: &berth_proto::work::Worker| {
            let mode = text(&values::to_json(&worker.mode));
            vec![shown(&worker.worker), mode, shown(&worker.parent), format!("{} s ago", age(&worker.age))]
        };
        table::print(&["WORKER", "MODE", "PARENT", "HEARD OF"], workers.iter().map(row).collect());
    }
    Ok(())
}

pub(super) async fn list_locks(mut asking: Asking) -> anyhow::Result<()> {
    let locks = answer(asking.client.list_locks(ListLocksRequest { namespace: asking.namespace }).await)?.locks;
    let path = |path: &[bytes::Bytes]| path.iter().map(|element| values::to_json(element)).collect::<Vec<_>>();
    if asking.json {
        let locks = locks.iter().map(|lock| {
            let until = rfc3339(lock.until.as_ref());
            json!({ "path": path(&lock.path), "locker": shown(&lock.locker), "until": until })
        });
        println!("{}", json!({ "locks": locks.collect::<Vec<_>>() }));
    } else if locks.is_empty() {
        println!("nothing is locked");
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
