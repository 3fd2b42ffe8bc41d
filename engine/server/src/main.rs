//! The `berth` program: one binary for operators, bots and benchmarks.
//!
//! It parses, wires and reports. It holds no rules: those are in `berth-core`.

#[macro_use]
mod out;

mod admin;
mod bench;
mod bot;
mod calls;
mod cli;
mod config;
mod coordinate;
mod doors;
mod figures;
mod house;
mod http;
mod metrics;
mod plugin;
mod plugins;
mod policy;
mod serve;
mod served;
mod signals;
mod telemetry;
mod work;

use std::process::ExitCode;

use clap::Parser;

/// The system's allocator took a fifth of a job's CPU time; this one takes a few percent, and serves RocksDB as well.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Read by jemalloc when it starts; `MALLOC_CONF` in the environment goes before it. Large pages: with a million jobs
/// the processor would spend a fifth of an assignment on finding out where small ones are.
#[allow(unsafe_code)]
#[unsafe(export_name = "malloc_conf")]
// A pointer to the text, which ends with the zero that C looks for.
static MALLOC_CONF: &[u8; 11] = b"thp:always\0";

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("berth: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: cli::Cli) -> anyhow::Result<ExitCode> {
    match cli.command {
        cli::Command::Serve(args) => serve::run(args),
        cli::Command::Bot(args) => bot::run(args),
        cli::Command::Jobs(args) => admin::jobs::run(args),
        cli::Command::Operations(args) => admin::operations::run(args),
        cli::Command::Bots(args) => admin::bots::run(args),
        cli::Command::Quota(args) => admin::quotas::run(args),
        cli::Command::Work(args) => work::run(args),
        cli::Command::Plugin(args) => plugin::run(args),
        cli::Command::Config(args) => config::command::run(args),
        cli::Command::Bench(args) => bench::run(args),
    }
}
