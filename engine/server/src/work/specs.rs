//! `berth work specs`.

use anyhow::{Context, bail};
use berth_proto::work::{
    ControlSpecRequest, Counts, DeleteSpecsRequest, ListSpecsRequest, SetSpecsRequest, Spec, WatchRequest,
};
use serde_json::{Value, json};

use super::{Asking, args::SpecsCommand, name, shown, values};
use crate::admin::{answer, table};

pub(super) async fn run(mut asking: Asking, command: SpecsCommand) -> anyhow::Result<()> {
    match command {
        SpecsCommand::List => list(asking).await,
        SpecsCommand::Show { spec } => show(asking, &spec).await,
        SpecsCommand::Set { file } => {
            let dictionaries = values::items(&values::file(&file)?)?.into_iter().map(Into::into).collect::<Vec<_>>();
            let (count, namespace) = (dictionaries.len(), asking.namespace);
            answer(asking.client.set_specs(SetSpecsRequest { namespace, dictionaries }).await)?;
            tell(asking.json, &json!({ "set": count }), &format!("{count} work specs are set"));
            Ok(())
        }
        SpecsCommand::Drain { spec, wait, undo } => drain(asking, &spec, wait, undo).await,
        SpecsCommand::Delete { spec } => {
            let request = DeleteSpecsRequest { namespace: asking.namespace, names: vec![name(&spec)] };
            if answer(asking.client.delete_specs(request).await)?.deleted == 0 {
                bail!("there is no work spec {spec:?}");
            }
            tell(asking.json, &json!({ "deleted": spec }), &format!("{spec} is gone, with all of its units"));
            Ok(())
        }
    }
}

async fn list(mut asking: Asking) -> anyhow::Result<()> {
    let mut specs: Vec<Spec> = Vec::new();
    let mut start = bytes::Bytes::new();
    loop {
        let request = ListSpecsRequest { namespace: asking.namespace.clone(), start, limit: 0 };
        let page = answer(asking.client.list_specs(request).await)?;
        specs.extend(page.specs);
        start = page.next;
        if start.is_empty() {
            break;
        }
    }
    if asking.json {
        outln!("{}", json!({ "specs": specs.iter().map(to_json).collect::<Vec<_>>() }));
    } else if specs.is_empty() {
        outln!("there are no work specs in namespace {}", asking.namespace);
    } else {
        let header = ["WORK SPEC", "STATE", "WEIGHT", "PRIORITY", "AVAILABLE", "PENDING", "FINISHED", "FAILED"];
        table::print(&header, specs.iter().map(row).collect());
    }
    Ok(())
}

async fn show(mut asking: Asking, spec: &str) -> anyhow::Result<()> {
    let request = ListSpecsRequest { namespace: asking.namespace, start: name(spec), limit: 1 };
    let found = answer(asking.client.list_specs(request).await)?.specs.pop().filter(|found| found.name == spec);
    let found = to_json(&found.with_context(|| format!("there is no work spec {spec:?}"))?);
    outln!("{}", if asking.json { found.to_string() } else { serde_json::to_string_pretty(&found)? });
    Ok(())
}

async fn drain(mut asking: Asking, spec: &str, wait: bool, undo: bool) -> anyhow::Result<()> {
    let request = ControlSpecRequest {
        namespace: asking.namespace.clone(),
        name: name(spec),
        paused: Some(!undo),
        ..ControlSpecRequest::default()
    };
    answer(asking.client.control_spec(request).await)?;
    let request = WatchRequest { namespace: asking.namespace, specs: vec![name(spec)] };
    let mut changes = answer(asking.client.watch(request).await)?;
    loop {
        let change = changes.message().await?.context("the server is stopping")?;
        let Some(counts) = change.specs.first().and_then(|spec| spec.counts) else { bail!("{spec} was deleted") };
        let pending = counts.pending;
        if undo || !wait || pending == 0 {
            let words = if undo {
                format!("units of {spec} are handed out again")
            } else {
                format!("no more units of {spec} are handed out; {pending} are pending")
            };
            tell(asking.json, &json!({ "spec": spec, "paused": !undo, "pending": pending }), &words);
            return Ok(());
        }
        eprintln!("berth: {pending} are pending");
    }
}

fn row(spec: &Spec) -> Vec<String> {
    let counts = spec.counts.unwrap_or_default();
    let state = match (spec.paused, spec.continuous) {
        (true, _) => "paused",
        (false, true) => "continuous",
        (false, false) => "runs",
    };
    let numbers = [counts.available, counts.pending, counts.finished, counts.failed].map(|count| count.to_string());
    [shown(&spec.name), state.to_owned(), spec.weight.to_string(), spec.priority.to_string()]
        .into_iter()
        .chain(numbers)
        .collect()
}

fn to_json(spec: &Spec) -> Value {
    let Counts { available, pending, finished, failed } = spec.counts.unwrap_or_default();
    json!({
        "name": shown(&spec.name),
        "paused": spec.paused,
        "continuous": spec.continuous,
        "weight": spec.weight,
        "priority": spec.priority,
        "max_running": spec.max_running,
        "interval_s": spec.interval.as_ref().map(|interval| interval.seconds as f64 + f64::from(interval.nanos) * 1e-9),
        "counts": { "available": available, "pending": pending, "finished": finished, "failed": failed },
        "dictionary": values::to_json(&spec.dictionary),
    })
}

/// The one for scripts, or the other for people.
pub(super) fn tell(as_json: bool, json: &Value, words: &str) {
    if as_json {
        outln!("{json}");
    } else {
        outln!("{words}");
    }
}
