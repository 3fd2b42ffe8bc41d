//! `berth jobs pause` and `berth jobs pauses`.

use berth_proto::admin::{ListPausesRequest, PauseRequest, pauses_client::PausesClient};
use serde_json::json;
use tonic::transport::Channel;

use super::{answer, table};

pub(super) async fn set(
    channel: Channel,
    instance: String,
    label: Option<String>,
    undo: bool,
    as_json: bool,
) -> anyhow::Result<()> {
    let request = PauseRequest { instance: instance.clone(), label: label.clone(), undo };
    let jobs = answer(PausesClient::new(channel).pause(request).await)?;
    let what = match &label {
        Some(label) => format!("jobs of {instance} with label {label:?}"),
        None => format!("jobs of {instance}"),
    };
    if as_json {
        let (queued, executing) = (jobs.queued, jobs.executing);
        let state =
            json!({ "instance": instance, "label": label, "paused": !undo, "queued": queued, "executing": executing });
        outln!("{state}");
    } else if undo {
        outln!("{what} go to bots again; {} wait", jobs.queued);
    } else {
        outln!("{what} go to no bot; {} wait, {} still run", jobs.queued, jobs.executing);
    }
    Ok(())
}

pub(super) async fn list(channel: Channel, as_json: bool) -> anyhow::Result<()> {
    let pauses = answer(PausesClient::new(channel).list_pauses(ListPausesRequest {}).await)?.pauses;
    if as_json {
        let pauses: Vec<_> = pauses.iter().map(|p| json!({ "instance": p.instance, "label": p.label })).collect();
        outln!("{}", json!({ "pauses": pauses }));
    } else if pauses.is_empty() {
        outln!("nothing is paused");
    } else {
        let label = |label: Option<String>| label.map_or("all of them".to_owned(), |label| format!("{label:?}"));
        table::print(&["INSTANCE", "LABEL"], pauses.into_iter().map(|p| vec![p.instance, label(p.label)]).collect());
    }
    Ok(())
}
