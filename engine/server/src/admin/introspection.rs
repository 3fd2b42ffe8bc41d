//! `berth operations values`, `summary` and `cancel-matching`: all operations at once.

use berth_proto::{
    admin::{CancelOperationsRequest, jobs_client::JobsClient},
    buildgrid::{
        GetRequestMetadataSummaryRequest, ListRequestMetadataRequest, introspection_client::IntrospectionClient,
    },
};
use serde_json::json;
use tonic::transport::Channel;

use super::{answer, rfc3339};

pub(super) async fn values(channel: Channel, request: ListRequestMetadataRequest, as_json: bool) -> anyhow::Result<()> {
    let found = answer(IntrospectionClient::new(channel).list_request_metadata(request).await)?;
    if as_json {
        outln!("{}", json!({ "values": found.values, "total": found.total }));
        return Ok(());
    }
    found.values.iter().for_each(|value| outln!("{value}"));
    outln!("{} shown, {} in all", found.values.len(), found.total);
    Ok(())
}

pub(super) async fn summary(
    channel: Channel,
    request: GetRequestMetadataSummaryRequest,
    as_json: bool,
) -> anyhow::Result<()> {
    let known = answer(IntrospectionClient::new(channel).get_request_metadata_summary(request).await)?;
    let seconds = known.total_duration.map(|time| time.seconds as f64 + f64::from(time.nanos) / 1e9);
    if as_json {
        let summary = json!({
            "queued": known.queued_operation_count,
            "executing": known.executing_operation_count,
            "completed": known.completed_operation_count,
            "total": known.total_operation_count,
            "first_queued_at": rfc3339(known.first_in_queue.as_ref()),
            "last_completed_at": rfc3339(known.last_completed.as_ref()),
            "duration_s": seconds,
        });
        outln!("{summary}");
        return Ok(());
    }
    let (queued, executing) = (known.queued_operation_count, known.executing_operation_count);
    outln!("{queued} queued, {executing} executing, {} completed", known.completed_operation_count);
    if let Some(seconds) = seconds {
        outln!("{seconds:.3} s from the first that was queued to the last that ended");
    }
    Ok(())
}

/// Tells how far it is on standard error, so that what it comes to is all that a script reads.
pub(super) async fn cancel(channel: Channel, request: CancelOperationsRequest, as_json: bool) -> anyhow::Result<()> {
    let dry_run = request.dry_run;
    let mut stream = answer(JobsClient::new(channel).cancel_operations(request).await)?;
    let mut last = None;
    loop {
        match stream.message().await {
            Ok(Some(progress)) => {
                if !as_json && !progress.done {
                    eprintln!("{} looked at, {} cancelled", progress.looked_at, progress.cancelled);
                }
                last = Some(progress);
            }
            Ok(None) => break,
            Err(status) => anyhow::bail!("{}", status.message()),
        }
    }
    let progress = last.filter(|progress| progress.done);
    let Some(progress) = progress else { anyhow::bail!("the server ended the call early: call again for the rest") };
    if as_json {
        outln!("{}", json!({ "matched": progress.matched, "cancelled": progress.cancelled, "dry_run": dry_run }));
    } else if dry_run {
        outln!("{} operations would be cancelled", progress.matched);
    } else {
        outln!("{} operations cancelled", progress.cancelled);
    }
    Ok(())
}
