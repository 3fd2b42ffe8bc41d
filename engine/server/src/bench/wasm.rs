//! `berth bench wasm`: what policy in WebAssembly costs. The same server with its bundled plugins and with the built-in
//! rule, in alternation; void if the plugins were hardly asked.

use serde_json::json;

use super::{
    child::Cores,
    e2e::{Round, berth},
    load::{self, Plan},
    report::{Report, median},
    scratch::Scratch,
};
use crate::config::PolicyKind;

const PLATFORMS: u64 = 1_000;

pub(super) fn run(scratch: &Scratch, cores: &Cores, plan: &Plan, rounds: usize) -> anyhow::Result<Report> {
    let plan = Plan { platforms: plan.platforms.or(Some(PLATFORMS)), ..plan.clone() };
    let (mut plugins, mut builtin) = (Vec::new(), Vec::new());
    for round in 1..=rounds.max(1) {
        eprintln!("wasm: round {round} of {rounds}, bundled plugins ...");
        plugins.push(berth(scratch, cores, &plan, PolicyKind::Bundled)?);
        eprintln!("wasm: round {round} of {rounds}, built-in rule ...");
        builtin.push(berth(scratch, cores, &plan, PolicyKind::BuiltIn)?);
    }
    let mut header = load::HEADER.to_vec();
    header.push("guest calls/job");
    let mut report = Report::new("wasm", &header);
    for (name, rounds) in [("bundled plugins", &plugins), ("built-in rule", &builtin)] {
        for round in rounds {
            let mut cells = load::cells(name, &round.load);
            cells.push(format!("{:.2}", round.guest_calls_per_job));
            let mut row = load::row(name, &round.load);
            row["guest_calls_per_job"] = round.guest_calls_per_job.into();
            report.row(cells, row);
        }
    }
    let jobs_per_s = |rounds: &[Round]| median(rounds.iter().map(|round| round.load.jobs_per_s));
    let cpu = |rounds: &[Round]| median(rounds.iter().filter_map(|round| round.load.server_cpu_us));
    let calls = median(plugins.iter().map(|round| round.guest_calls_per_job));
    let ratio = jobs_per_s(&plugins) / jobs_per_s(&builtin);
    let what =
        format!("jobs/s: {:.0} with plugins, {:.0} with the built-in rule", jobs_per_s(&plugins), jobs_per_s(&builtin));
    report.verdict(what, ratio, ">=", 0.9);
    if calls < 1.0 {
        report.note(format!("VOID: {calls:.2} guest calls a job, less than 1: the plugins were hardly asked."));
    }
    report.note(format!(
        "{} platforms, a new invocation every {} jobs; {calls:.2} guest calls a job. CPU a job {:.1} µs and {:.1} µs. {}",
        plan.platforms.unwrap_or(1),
        plan.invocation_every,
        cpu(&plugins),
        cpu(&builtin),
        cores.note()
    ));
    report.data(json!({
        "ratio": ratio, "void": calls < 1.0, "guest_calls_per_job": calls,
        "cpu_us": cpu(&plugins), "builtin_cpu_us": cpu(&builtin),
    }));
    Ok(report)
}
