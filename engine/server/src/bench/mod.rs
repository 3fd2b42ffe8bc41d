//! `berth bench`: how fast, against which yardstick, on this machine. Tables with ratios; CPU time beside wall time.
//!
//! Not for tests: nothing here passes or fails a build. `load` is the generator that the end-to-end benches share,
//! and it works against other servers too; `core`, `restart` and `commit` measure rooms of this engine in-process.

mod args;
mod bare;
mod child;
mod commit;
mod core;
mod e2e;
mod latency;
mod load;
mod measure;
mod operations;
mod report;
mod restart;
mod scratch;
mod swap;
mod wasm;
mod work;

use std::{process::ExitCode, time::Duration};

pub(crate) use self::args::BenchArgs;
use self::{
    args::BenchCommand,
    child::Cores,
    load::{Plan, Target},
    report::Report,
    scratch::Scratch,
};

pub(crate) fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    let BenchArgs { json, dir, quick, command } = args;
    let print = |report: Report| report.print(json);
    let scratch = || Scratch::new(dir.as_deref());
    match command {
        BenchCommand::Core => print(core::run(quick)),
        BenchCommand::Load { target, server_pid, plan } => print(load::measure(&Target { target, server_pid }, &plan)?),
        BenchCommand::E2e { rounds, plan } => {
            print(e2e::run(&scratch()?, &Cores::find()?, &quicker(plan, quick), rounds)?);
        }
        BenchCommand::Wasm { rounds, plan } => {
            print(wasm::run(&scratch()?, &Cores::find()?, &quicker(plan, quick), rounds)?);
        }
        BenchCommand::Swap { rounds, every_ms, plan } => {
            let every = Duration::from_millis(every_ms.max(1));
            print(swap::run(&scratch()?, &Cores::find()?, &quicker(plan, quick), rounds, every)?);
        }
        BenchCommand::Restart { queued } => {
            print(restart::run(scratch()?.path(), if quick { queued.min(50_000) } else { queued })?);
        }
        BenchCommand::Operations { finished } => {
            let finished = if quick { finished.min(20_000) } else { finished };
            print(operations::run(&scratch()?, &Cores::find()?, finished)?);
        }
        BenchCommand::Latency { jobs } => print(latency::run(&scratch()?, &Cores::find()?, jobs)?),
        BenchCommand::Work { load } => print(work::run(&scratch()?, &Cores::find()?, &load.quicker(quick), quick)?),
        BenchCommand::WorkWorkers => print(work::workers(&scratch()?, &Cores::find()?, quick)?),
        BenchCommand::All { rounds } => {
            // First what wants a fresh process: its memory is measured.
            print(core::run(quick));
            let plan = quicker(Plan::default(), quick);
            let (scratch, cores) = (scratch()?, Cores::find()?);
            print(latency::run(&scratch, &cores, args::LATENCY_JOBS)?);
            print(e2e::run(&scratch, &cores, &plan, rounds)?);
            print(wasm::run(&scratch, &cores, &plan, rounds)?);
            print(swap::run(&scratch, &cores, &plan, rounds, args::SWAP_EVERY)?);
            print(restart::run(scratch.path(), if quick { 50_000 } else { args::QUEUED })?);
        }
        BenchCommand::BareServer => bare::run()?,
        BenchCommand::BareWorkServer => work::bare_server()?,
    }
    Ok(ExitCode::SUCCESS)
}

fn quicker(plan: Plan, quick: bool) -> Plan {
    if quick { Plan { jobs: plan.jobs.min(2_000), ..plan } } else { plan }
}
