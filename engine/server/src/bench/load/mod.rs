//! The generator: real clients and simulated bots, against any server that speaks REAPI and RWAPI.
//!
//! `plan` is what it is told, `corpus` the blobs that it uploads before the clock starts, `client` and `bot` the two
//! sides of a job, `run` what they share, `drive` puts them to work.

mod bot;
mod client;
mod corpus;
mod drive;
mod plan;
mod run;

use std::net::ToSocketAddrs;

use anyhow::Context;
use serde_json::json;

pub(super) use self::{
    corpus::{action_result, digest_of},
    drive::{Drive, drive},
    plan::Plan,
    run::{Latency, Measured},
};
use super::report::Report;

/// A server that somebody else started.
pub(super) struct Target {
    pub(super) target: String,
    pub(super) server_pid: Option<u32>,
}

/// `berth bench load`.
pub(super) fn measure(target: &Target, plan: &Plan) -> anyhow::Result<Report> {
    let address = target
        .target
        .to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .with_context(|| format!("--target {:?}: expected HOST:PORT", target.target))?;
    let measured = drive(address, target.server_pid, Drive::Jobs, plan)?;
    let mut report = Report::new("load", &HEADER);
    report.row(cells(&target.target, &measured), row(&target.target, &measured));
    report.note("Times in ms. CPU of the server only with --server-pid.");
    Ok(report)
}

/// The columns of every bench that drives a server.
pub(super) const HEADER: [&str; 8] = [
    "server",
    "jobs/s",
    "server CPU µs/job",
    "server busy",
    "generator CPU µs/job",
    "Execute to lease p50/p99",
    "Execute to done p50/p99",
    "jobs",
];

pub(super) fn cells(name: &str, measured: &Measured) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.0}", measured.jobs_per_s),
        measured.server_cpu_us.map_or("-".to_owned(), |cpu| format!("{cpu:.1}")),
        measured.server_busy().map_or("-".to_owned(), |busy| format!("{:.0} %", busy * 100.0)),
        format!("{:.1}", measured.generator_cpu_us),
        times(&measured.to_lease),
        times(&measured.to_done),
        measured.jobs.to_string(),
    ]
}

pub(super) fn row(name: &str, measured: &Measured) -> serde_json::Value {
    json!({
        "server": name, "jobs": measured.jobs, "jobs_per_s": measured.jobs_per_s,
        "server_cpu_us_per_job": measured.server_cpu_us, "generator_cpu_us_per_job": measured.generator_cpu_us,
        "to_lease_p50_ms": measured.to_lease.map(|latency| latency.p50_ms),
        "to_lease_p99_ms": measured.to_lease.map(|latency| latency.p99_ms),
        "to_done_p50_ms": measured.to_done.map(|latency| latency.p50_ms),
        "to_done_p99_ms": measured.to_done.map(|latency| latency.p99_ms),
    })
}

fn times(latency: &Option<Latency>) -> String {
    latency.map_or("-".to_owned(), |latency| format!("{:.1}/{:.1}", latency.p50_ms, latency.p99_ms))
}
