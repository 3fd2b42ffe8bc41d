//! `berth bench work`: Coordinate's cycle (get units, finish them) over CBOR-RPC against a bare echo of the same frames plus
//! a bare commit of the same rows; and many workers that only say that they live.

mod commit;
mod drive;
mod echo;
mod wire;

use anyhow::Context;
use serde_json::json;

pub(super) use self::drive::Load;
use self::drive::{Cycles, Heartbeats};
pub(super) use self::echo::run as bare_server;
use super::{
    child::{Child, Cores},
    report::Report,
    scratch::Scratch,
};
use crate::config::PolicyKind;

/// Units that wait, and units that are pending, while cycles are measured.
const CASES: [(u64, u64); 4] = [(1_000, 0), (100_000, 0), (1_000_000, 0), (1_000, 100_000)];
const QUICK: [(u64, u64); 2] = [(1_000, 0), (1_000, 1_000)];

/// What the cycle may cost, against the yardstick, and against itself with few units.
const RATIO_MAX: f64 = 3.0;
const FLAT_MAX: f64 = 1.5;

/// What many workers may cost.
const WORKERS_CORE_MAX: f64 = 0.1;
const WORKERS_MIB_MAX: f64 = 100.0;

pub(super) fn run(scratch: &Scratch, cores: &Cores, load: &Load, quick: bool) -> anyhow::Result<Report> {
    let mut report = Report::new(
        "work",
        &[
            "available",
            "pending",
            "cycles/s",
            "CPU a cycle",
            "bare echo",
            "bare commit",
            "ratio",
            "cycles a sync",
            "RSS MiB",
        ],
    );
    eprintln!("work: bare echo ...");
    let bare = {
        let child = Child::bare_work(cores)?;
        let measured = drive::cycles(child.coordinate()?, child.pid(), load)?;
        child.stop()?;
        measured
    };
    let cases: &[(u64, u64)] = if quick { &QUICK } else { &CASES };
    let mut costs = Vec::new();
    for (available, pending) in cases {
        eprintln!("work: {available} available, {pending} pending ...");
        let (ours, group) = case(scratch, cores, load, *available, *pending)?;
        let folder = scratch.fresh("commit")?;
        let commit = cores.as_server(|| commit::run(&folder, load.cycles, group.round() as u64))??;
        let ratio = ours.cpu_us / (bare.cpu_us + commit);
        costs.push(ours.cpu_us);
        report.row(
            vec![
                available.to_string(),
                pending.to_string(),
                format!("{:.0}", ours.per_s),
                format!("{:.1}", ours.cpu_us),
                format!("{:.1}", bare.cpu_us),
                format!("{commit:.1}"),
                format!("{ratio:.2}"),
                format!("{group:.0}"),
                format!("{:.0}", ours.rss_mib),
            ],
            json!({
                "available": available, "pending": pending, "cycles_per_s": ours.per_s, "cpu_us": ours.cpu_us,
                "bare_echo_cpu_us": bare.cpu_us, "bare_commit_cpu_us": commit, "ratio": ratio,
                "cycles_per_sync": group, "rss_mib": ours.rss_mib,
            }),
        );
        report.verdict(format!("CPU a cycle, {available} available, {pending} pending"), ratio, "<=", RATIO_MAX);
    }
    let flat = costs.iter().copied().fold(0.0, f64::max) / costs[0];
    report.verdict("the dearest case against the first".to_owned(), flat, "<=", FLAT_MAX);
    report.note(format!(
        "CPU in µs of the server. {} connections; units are got in batches of {}, finishes pipelined {} deep; {} cycles a case. {}",
        load.connections, drive::BATCH, load.depth, load.cycles, cores.note()
    ));
    Ok(report)
}

/// One case, and how many cycles shared a sync.
fn case(scratch: &Scratch, cores: &Cores, load: &Load, available: u64, pending: u64) -> anyhow::Result<(Cycles, f64)> {
    let folder = scratch.fresh("server")?;
    let more = if load.no_feed { "[coordinate]\nfeed = false\n" } else { "" };
    let child = Child::serve_with(cores, &folder, PolicyKind::Bundled, more)?;
    let address = child.coordinate()?;
    drive::fill(address, available + pending + load.cycles)?;
    drive::take(address, pending)?;
    let syncs = || child.counter("berth_store_syncs_total");
    let before = syncs()?;
    let measured = drive::cycles(address, child.pid(), load)?;
    let group = load.cycles as f64 / (syncs()? - before).max(1) as f64;
    child.stop()?;
    Ok((measured, group))
}

/// Workers that live, and specs beside them.
pub(super) fn workers(scratch: &Scratch, cores: &Cores, quick: bool) -> anyhow::Result<Report> {
    let (workers, specs, seconds) = if quick { (500, 50, 3) } else { (10_000, 1_000, 30) };
    let mut report =
        Report::new("work-workers", &["workers", "specs", "heartbeats/s", "data", "cores", "MiB above idle"]);
    let folder = scratch.fresh("server")?;
    let child = Child::serve(cores, &folder, PolicyKind::Bundled)?;
    let address = child.coordinate()?;
    let idle = drive::rss_mib(child.pid()).context("the server's memory is not known")?;
    drive::set_specs(address, specs)?;
    for changing in [false, true] {
        eprintln!("work: {workers} workers for {seconds} s ...");
        let Heartbeats { cores: used, per_s } = drive::heartbeats(address, child.pid(), workers, seconds, changing)?;
        let memory = drive::rss_mib(child.pid()).context("the server's memory is not known")? - idle;
        let data = if changing { "changes" } else { "as before" };
        report.row(
            vec![
                workers.to_string(),
                specs.to_string(),
                format!("{per_s:.0}"),
                data.to_owned(),
                format!("{used:.3}"),
                format!("{memory:.0}"),
            ],
            json!({
                "workers": workers, "specs": specs, "heartbeats_per_s": per_s, "changing": changing, "cores": used,
                "mib_above_idle": memory,
            }),
        );
        report.verdict(format!("cores for {workers} workers, data {data}"), used, "<=", WORKERS_CORE_MAX);
        report.verdict(format!("MiB for {workers} workers, data {data}"), memory, "<=", WORKERS_MIB_MAX);
    }
    child.stop()?;
    report.note(format!(
        "A heartbeat of each worker every 10 s, for {seconds} s; each spec has a unit. {}",
        cores.note()
    ));
    Ok(report)
}
