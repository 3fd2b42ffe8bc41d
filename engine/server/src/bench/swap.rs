//! `berth bench swap`: what it costs to change policies while jobs run. The same load with a deep queue, with and without
//! an activation every second, in alternation.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant},
};

use anyhow::Context;
use berth_proto::admin::{
    ActivateRequest, LoadRequest, PluginLimits, PluginSettings, load_request::Part, plugins_client::PluginsClient,
};
use serde_json::json;
use tonic::transport::Endpoint;

use super::{
    child::{Child, Cores},
    load::{self, Drive, Measured, Plan, drive},
    report::{Report, median},
    scratch::Scratch,
};
use crate::config::PolicyKind;

/// The policy of which two versions take turns. They differ in what they may use, not in what they answer: only the swap
/// is measured.
const POLICY: &str = "reapi-priority";

/// Jobs that wait while policies are swapped.
const QUEUED: usize = 10_000;

/// What came of the swaps of one round.
#[derive(Default)]
struct Swaps {
    count: usize,
    /// From the request to the answer, in milliseconds.
    took_ms: Vec<f64>,
}

pub(super) fn run(
    scratch: &Scratch,
    cores: &Cores,
    plan: &Plan,
    rounds: usize,
    every: Duration,
) -> anyhow::Result<Report> {
    let plan = &Plan { clients: plan.clients.max(QUEUED + plan.bots * plan.slots as usize), ..plan.clone() };
    let mut report = Report::new("swap", &load::HEADER);
    let (mut still, mut swapping, mut swaps) = (Vec::new(), Vec::new(), Swaps::default());
    for round in 1..=rounds.max(1) {
        eprintln!("swap: round {round} of {rounds}, one set of policies ...");
        still.push(one(scratch, cores, plan, None)?.0);
        eprintln!("swap: round {round} of {rounds}, another set every {every:?} ...");
        let (measured, own) = one(scratch, cores, plan, Some(every))?;
        swapping.push(measured);
        swaps.count += own.count;
        swaps.took_ms.extend(own.took_ms);
    }
    for (name, rounds) in [("one set", &still), ("swapping", &swapping)] {
        rounds.iter().for_each(|measured| report.row(load::cells(name, measured), load::row(name, measured)));
    }
    let jobs_per_s = |rounds: &[Measured]| median(rounds.iter().map(|measured| measured.jobs_per_s));
    let ratio = jobs_per_s(&swapping) / jobs_per_s(&still);
    let what = format!("jobs/s: {:.0} with swaps, {:.0} without", jobs_per_s(&swapping), jobs_per_s(&still));
    report.verdict(what, ratio, ">=", 0.9);
    let (p50, worst) = (median(swaps.took_ms.iter().copied()), swaps.took_ms.iter().copied().fold(0.0, f64::max));
    report.note(format!(
        "{} activations, each {p50:.1} ms in the middle and {worst:.1} ms at most from request to answer. {} clients wait for \
         {} bots, so that some {} jobs are queued; no job failed. {}",
        swaps.count,
        plan.clients,
        plan.bots,
        plan.clients.saturating_sub(plan.bots * plan.slots as usize),
        cores.note()
    ));
    report.data(json!({ "ratio": ratio, "swaps": swaps.count, "swap_p50_ms": p50, "swap_max_ms": worst }));
    Ok(report)
}

fn one(scratch: &Scratch, cores: &Cores, plan: &Plan, every: Option<Duration>) -> anyhow::Result<(Measured, Swaps)> {
    let folder = scratch.fresh("server")?;
    let child = Child::serve(cores, &folder, PolicyKind::Bundled)?;
    let over = AtomicBool::new(false);
    let (measured, swaps) = std::thread::scope(|scope| {
        let (server, over) = (child.grpc, &over);
        let swapper = every.map(|every| scope.spawn(move || swap_until(server, every, over)));
        let measured = drive(child.grpc, Some(child.pid()), Drive::Jobs, plan).context("the round failed");
        over.store(true, Relaxed);
        let swaps = swapper.map_or(Ok(Swaps::default()), |swapper| swapper.join().expect("the swapper does not panic"));
        anyhow::Ok((measured?, swaps?))
    })?;
    child.stop()?;
    std::fs::remove_dir_all(folder)?;
    Ok((measured, swaps))
}

/// Activates one version and the other, in turn.
fn swap_until(server: SocketAddr, every: Duration, over: &AtomicBool) -> anyhow::Result<Swaps> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let channel = Endpoint::from_shared(format!("http://{server}"))?.connect().await?;
        let mut client = PluginsClient::new(channel);
        let mut digests = Vec::new();
        for faults in [8, 9] {
            let limits = Some(PluginLimits { faults, ..PluginLimits::default() });
            let (name, bundled) = (POLICY.to_owned(), POLICY.to_owned());
            let settings = PluginSettings { name, bundled, limits, ..PluginSettings::default() };
            let request = LoadRequest { part: Some(Part::Settings(settings)) };
            let loaded = client.load(tokio_stream::iter([request])).await?.into_inner();
            digests.push(loaded.version.context("the answer to a load has a version")?.digest);
        }
        let mut swaps = Swaps::default();
        let mut ticks = tokio::time::interval(every);
        ticks.tick().await;
        while !over.load(Relaxed) {
            ticks.tick().await;
            let digest = digests[swaps.count % 2].clone();
            let request = ActivateRequest { name: POLICY.to_owned(), digest, ..ActivateRequest::default() };
            let start = Instant::now();
            client.activate(request).await?;
            swaps.took_ms.push(start.elapsed().as_secs_f64() * 1e3);
            swaps.count += 1;
        }
        Ok(swaps)
    })
}
