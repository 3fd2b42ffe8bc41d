//! `berth bench latency`: from Execute to the lease in a bot's hands, at a server that has nothing else to do.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;

use super::{
    child::{Child, Cores},
    load::{Drive, Plan, drive},
    measure,
    report::Report,
    scratch::Scratch,
};
use crate::config::PolicyKind;

/// Between a job and the next: the server falls idle.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) fn run(scratch: &Scratch, cores: &Cores, jobs: u64) -> anyhow::Result<Report> {
    let plan = Plan { jobs, clients: 1, bots: 1, connections: 2, pause: PAUSE, ..Plan::default() };
    let wake_ms = measure::wake_p50(cores, PAUSE)?.as_secs_f64() * 1e3;
    let folder = scratch.fresh("server")?;
    eprintln!("latency: {jobs} jobs, one after the other ...");
    let child = Child::serve(cores, &folder, PolicyKind::Bundled)?;
    let before = measure::fdatasync_p50(&folder)?;
    let measured = drive(child.grpc, Some(child.pid()), Drive::Jobs, &plan)?;
    let after = measure::fdatasync_p50(&folder)?;
    child.stop()?;
    let lease = measured.to_lease.context("no lease was seen")?;
    let done = measured.to_done.context("no job was done")?;
    // The better of the two: so is the yardstick.
    let sync_ms = before.min(after).as_secs_f64() * 1e3;
    let allowed = 2.0 * sync_ms + 1.0;
    let mut report = Report::new(
        "latency",
        &["jobs", "fdatasync p50", "wake p50", "lease p50", "lease p99", "allowed p50", "done p50", "done p99"],
    );
    let ms = |ms: f64| format!("{ms:.2}");
    report.row(
        vec![
            jobs.to_string(),
            ms(sync_ms),
            ms(wake_ms),
            ms(lease.p50_ms),
            ms(lease.p99_ms),
            ms(allowed),
            ms(done.p50_ms),
            ms(done.p99_ms),
        ],
        json!({
            "jobs": jobs, "fdatasync_p50_ms": sync_ms, "wake_p50_ms": wake_ms, "allowed_p50_ms": allowed,
            "to_lease_p50_ms": lease.p50_ms, "to_lease_p99_ms": lease.p99_ms,
            "to_done_p50_ms": done.p50_ms, "to_done_p99_ms": done.p99_ms,
        }),
    );
    report.verdict("Execute to lease p50 in ms".to_owned(), lease.p50_ms, "<=", allowed);
    report.note(format!(
        "Times in ms. Allowed: 2 fdatasync + 1 ms. Wake: a byte from the generator's core to the server's and back, both idle \
         before; a lease takes two such ways and the commit's threads. {}",
        cores.note()
    ));
    Ok(report)
}
