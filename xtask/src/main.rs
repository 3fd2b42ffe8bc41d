//! `cargo xtask ...`: what a developer does here, one command each. Start with `up` and `test`.
//!
//! Not for: anything that the `berth` binary does at its user's; this crate is never shipped.
//!
//! `setup.rs` knows what a machine needs, `stages.rs` is the table of what `test` runs.

mod cargo;
mod examples;
mod policies;
mod setup;
mod stages;
mod tally;
mod test;
mod up;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(bin_name = "cargo xtask", about = "Builds, runs and tests Berth", disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Build and run a server with one bot on this machine, and say how to send a build to it
    Up(up::Options),
    /// Run all tests, or some of the stages
    Test(test::Options),
    /// Build target/release/berth with its bundled policies inside
    Build,
    /// Install or name what this machine lacks; does nothing where all is there
    Setup,
    /// Build the example policies in C, Python and JavaScript, load and ask them
    Examples,
    /// Show what comes of each bundled policy under simulated load, as a table
    Policies,
    /// Run the simulation: `cargo xtask sim --seed 7 --steps 100000`, `--mutants`, `--minute`
    #[command(disable_help_flag = true)]
    Sim(Rest),
    /// Measure: `cargo xtask bench --help`
    #[command(disable_help_flag = true)]
    Bench(Rest),
}

/// Handed on as it is.
#[derive(clap::Args)]
struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

fn main() -> ExitCode {
    match run(Arguments::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    setup::ensure()?;
    match task {
        Task::Setup => println!("this machine has all that Berth needs"),
        Task::Build => println!("{}", cargo::build_berth()?.display()),
        Task::Up(options) => up::up(options)?,
        Task::Test(options) => return test::test(options),
        Task::Examples => return examples::examples(),
        Task::Policies => return policies::policies(),
        Task::Sim(rest) => cargo::exec(cargo::simulation(rest.arguments))?,
        Task::Bench(rest) => {
            let mut berth = std::process::Command::new(cargo::build_berth()?);
            berth.arg("bench").args(rest.arguments);
            cargo::exec(berth)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
