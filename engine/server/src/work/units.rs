//! `berth work units`.

use anyhow::Context;
use berth_proto::work::{
    DeleteUnitsRequest, ListUnitsRequest, PrioritizeUnitsRequest, Unit, UnitState, UnitUpdate, UpdateUnitsRequest,
    prioritize_units_request::How,
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    Asking, add,
    args::{State, UnitsCommand},
    name, shown,
    specs::tell,
    values,
};
use crate::admin::{ago, answer, rfc3339, table};

/// Units that are asked for, or changed, at a time.
const AT_A_TIME: u32 = 1_000;

pub(super) async fn run(mut asking: Asking, command: UnitsCommand) -> anyhow::Result<()> {
    match command {
        UnitsCommand::List { spec, state, start, limit } => {
            let states = state.into_iter().map(|state| number(state).into()).collect();
            let request = ListUnitsRequest {
                namespace: asking.namespace,
                spec: name(&spec),
                states,
                start: name(&start),
                limit,
                ..ListUnitsRequest::default()
            };
            let page = answer(asking.client.list_units(request).await)?;
            if asking.json {
                let next = (!page.next.is_empty()).then(|| shown(&page.next));
                outln!("{}", json!({ "units": page.units.iter().map(to_json).collect::<Vec<_>>(), "next": next }));
            } else {
                let header = ["UNIT", "STATE", "PRIORITY", "ATTEMPTS", "WORKER", "SINCE OR UNTIL"];
                table::print(&header, page.units.iter().map(row).collect());
                if !page.next.is_empty() {
                    outln!("more: --start {}", shown(&page.next));
                }
            }
            Ok(())
        }
        UnitsCommand::Show { spec, key } => {
            let request = ListUnitsRequest {
                namespace: asking.namespace,
                spec: name(&spec),
                keys: vec![name(&key)],
                ..ListUnitsRequest::default()
            };
            let unit = answer(asking.client.list_units(request).await)?.units.pop();
            let unit = to_json(&unit.with_context(|| format!("work spec {spec} has no unit {key:?}"))?);
            outln!("{}", if asking.json { unit.to_string() } else { serde_json::to_string_pretty(&unit)? });
            Ok(())
        }
        UnitsCommand::Add { spec, file } => add::run(asking, &spec, &file).await,
        UnitsCommand::Prioritize { spec, keys, to, by } => {
            let count = keys.len();
            let how = to.map(How::Priority).or(by.map(How::Adjustment));
            let keys = keys.iter().map(|key| name(key)).collect();
            let request = PrioritizeUnitsRequest { namespace: asking.namespace, spec: name(&spec), keys, how };
            answer(asking.client.prioritize_units(request).await)?;
            tell(asking.json, &json!({ "prioritized": count }), &format!("{count} units have another priority"));
            Ok(())
        }
        UnitsCommand::Retry { spec, keys } => retry(asking, &spec, &keys).await,
        UnitsCommand::Delete { spec, keys } => {
            let keys = keys.iter().map(|key| name(key)).collect();
            let request = DeleteUnitsRequest {
                namespace: asking.namespace,
                spec: name(&spec),
                keys,
                ..DeleteUnitsRequest::default()
            };
            let deleted = answer(asking.client.delete_units(request).await)?.deleted;
            tell(asking.json, &json!({ "deleted": deleted }), &format!("{deleted} units are gone"));
            Ok(())
        }
    }
}

/// Named units, or all that have failed: those of one page are no longer failed when the next is asked for.
async fn retry(mut asking: Asking, spec: &str, keys: &[String]) -> anyhow::Result<()> {
    let mut retried = 0;
    if !keys.is_empty() {
        retried += again(&mut asking, spec, keys.iter().map(|key| name(key)).collect()).await?;
    }
    while keys.is_empty() {
        let request = ListUnitsRequest {
            namespace: asking.namespace.clone(),
            spec: name(spec),
            states: vec![UnitState::Failed.into()],
            limit: AT_A_TIME,
            ..ListUnitsRequest::default()
        };
        let failed = answer(asking.client.list_units(request).await)?.units;
        if failed.is_empty() {
            break;
        }
        retried += again(&mut asking, spec, failed.into_iter().map(|unit| unit.key).collect()).await?;
        eprintln!("berth: {retried} are available again");
    }
    tell(asking.json, &json!({ "retried": retried }), &format!("{retried} units are available again"));
    Ok(())
}

async fn again(asking: &mut Asking, spec: &str, keys: Vec<Bytes>) -> anyhow::Result<usize> {
    let updates = keys
        .into_iter()
        .map(|key| UnitUpdate { spec: name(spec), key, state: UnitState::Available.into(), ..UnitUpdate::default() })
        .collect();
    let request = UpdateUnitsRequest { namespace: asking.namespace.clone(), updates };
    let outcomes = answer(asking.client.update_units(request).await)?.outcomes;
    if let Some(refused) = outcomes.iter().find(|outcome| !outcome.done) {
        eprintln!("berth: {}", refused.refusal);
    }
    Ok(outcomes.iter().filter(|outcome| outcome.done).count())
}

fn number(state: State) -> UnitState {
    match state {
        State::Available => UnitState::Available,
        State::Pending => UnitState::Pending,
        State::Finished => UnitState::Finished,
        State::Failed => UnitState::Failed,
    }
}

fn word(unit: &Unit) -> &'static str {
    match unit.state() {
        UnitState::Available => "available",
        UnitState::Pending => "pending",
        UnitState::Finished => "finished",
        UnitState::Failed => "failed",
        UnitState::Unspecified => "?",
    }
}

fn row(unit: &Unit) -> Vec<String> {
    let at = match (unit.state(), &unit.at) {
        (_, None) => "-".to_owned(),
        (UnitState::Pending, Some(until)) => format!("until {until}"),
        (_, at) => format!("{} ago", ago(at.as_ref())),
    };
    let (priority, attempts) = (unit.priority.to_string(), unit.attempts.to_string());
    vec![shown(&unit.key), word(unit).to_owned(), priority, attempts, shown(&unit.worker), at]
}

fn to_json(unit: &Unit) -> Value {
    json!({
        "key": shown(&unit.key),
        "state": word(unit),
        "priority": unit.priority,
        "attempts": unit.attempts,
        "worker": (!unit.worker.is_empty()).then(|| shown(&unit.worker)),
        "at": rfc3339(unit.at.as_ref()),
        "data": values::to_json(&unit.data),
    })
}
