//! `berth bench e2e`: a whole server against a bare one, in alternation, and against a bare commit of the same rows.

use anyhow::Context;
use serde_json::json;

use super::{
    child::{Child, Cores},
    commit,
    load::{self, Drive, Measured, Plan, drive},
    measure,
    report::{Report, median},
    scratch::Scratch,
};
use crate::config::PolicyKind;

/// Jobs whose rows the bare commit writes.
const COMMIT_JOBS: u64 = 20_000;

pub(super) fn run(scratch: &Scratch, cores: &Cores, plan: &Plan, rounds: usize) -> anyhow::Result<Report> {
    let mut report = Report::new("e2e", &load::HEADER);
    let fdatasync = measure::fdatasync_p50(scratch.path())?;
    let (mut ours, mut bare, mut groups) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=rounds.max(1) {
        eprintln!("e2e: round {round} of {rounds}, berth ...");
        let measured = berth(scratch, cores, plan, PolicyKind::Bundled)?;
        groups.push(measured.jobs_per_sync);
        ours.push(measured.load);
        eprintln!("e2e: round {round} of {rounds}, bare server ...");
        let child = Child::bare(cores)?;
        bare.push(drive(child.grpc, Some(child.pid()), Drive::Bare, plan)?);
        child.stop()?;
    }
    for (name, rounds) in [("berth", &ours), ("bare gRPC", &bare)] {
        for measured in rounds {
            report.row(load::cells(name, measured), load::row(name, measured));
        }
    }
    let per_sync = median(groups.iter().copied());
    eprintln!("e2e: bare commit ...");
    let folder = scratch.fresh("commit")?;
    let group = (per_sync.round() as u64).max(1);
    let commit = cores.as_server(|| commit::run(&folder, COMMIT_JOBS, group))??;

    let jobs_per_s = |rounds: &[Measured]| median(rounds.iter().map(|measured| measured.jobs_per_s));
    let cpu = |rounds: &[Measured]| median(rounds.iter().filter_map(|measured| measured.server_cpu_us));
    let speed = jobs_per_s(&ours) / jobs_per_s(&bare);
    let yardstick = cpu(&bare) + commit.cpu_us_per_job;
    let cost = cpu(&ours) / yardstick;
    report.verdict(format!("jobs/s: {:.0} against {:.0}", jobs_per_s(&ours), jobs_per_s(&bare)), speed, ">=", 0.5);
    report.verdict(
        format!(
            "server CPU a job: {:.1} µs against {:.1} µs (bare gRPC {:.1} + bare commit {:.1})",
            cpu(&ours),
            yardstick,
            cpu(&bare),
            commit.cpu_us_per_job
        ),
        cost,
        "<=",
        2.5,
    );
    report.note(format!(
        "Bare commit: {group} jobs a sync, as in the run ({per_sync:.1}), {:.0} B a job, {:.0} jobs/s alone. fdatasync p50 {:.2} ms.",
        commit.bytes_per_job,
        commit.jobs_per_s,
        fdatasync.as_secs_f64() * 1e3,
    ));
    report.note(format!(
        "{} clients, {} bots, {} connections; medians of {} rounds in alternation. Times in ms. {}",
        plan.clients,
        plan.bots,
        plan.connections,
        rounds,
        cores.note()
    ));
    report.data(json!({
        "jobs_per_s": jobs_per_s(&ours), "bare_jobs_per_s": jobs_per_s(&bare), "speed_ratio": speed,
        "cpu_us": cpu(&ours), "bare_cpu_us": cpu(&bare), "commit_cpu_us": commit.cpu_us_per_job, "cpu_ratio": cost,
        "jobs_per_sync": per_sync, "commit_bytes_per_job": commit.bytes_per_job,
        "fdatasync_p50_ms": fdatasync.as_secs_f64() * 1e3,
    }));
    Ok(report)
}

/// One round of a fresh server, and what its metrics say of it.
pub(super) struct Round {
    pub(super) load: Measured,
    pub(super) guest_calls_per_job: f64,
    pub(super) jobs_per_sync: f64,
}

pub(super) fn berth(scratch: &Scratch, cores: &Cores, plan: &Plan, policy: PolicyKind) -> anyhow::Result<Round> {
    let folder = scratch.fresh("server")?;
    let child = Child::serve(cores, &folder, policy)?;
    let load = drive(child.grpc, Some(child.pid()), Drive::Jobs, plan).context("the round failed")?;
    let jobs = load.jobs_in_all as f64;
    let round = Round {
        guest_calls_per_job: child.counter("berth_plugin_guest_calls_total")? as f64 / jobs,
        jobs_per_sync: jobs / child.counter("berth_store_syncs_total")?.max(1) as f64,
        load,
    };
    child.stop()?;
    std::fs::remove_dir_all(folder)?;
    Ok(round)
}
