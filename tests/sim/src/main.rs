//! The simulation's command line. Not for rules or checks: those are in the library.

use std::{
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};
use berth_sim::{Caught, Report, mutants, run, run_work, work_mutants};
use clap::Parser;

/// Runs the engine's core and runtime in a world that goes wrong, from one seed. The same seed gives the same history.
#[derive(Parser)]
#[command(name = "berth-sim")]
struct Arguments {
    /// Run this seed
    #[arg(long, conflicts_with_all = ["minute", "seeds", "mutants", "work"])]
    seed: Option<u64>,
    /// How many steps to run a seed for
    #[arg(long, default_value_t = 3_000)]
    steps: u64,
    /// Print what happens
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Run fresh seeds for a minute
    #[arg(long)]
    minute: bool,
    /// Run the seeds of a file: `seed steps # what it was` a line
    #[arg(long, value_name = "FILE")]
    seeds: Option<PathBuf>,
    /// Break each rule on purpose, and say which seed notices
    #[arg(long)]
    mutants: bool,
    /// The work book against its model: fresh seeds for half a minute, and with `--mutants` each of its rules broken
    #[arg(long)]
    work: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let (passed, failed) = if arguments.work {
        if arguments.mutants {
            break_rules(work_mutants)
        } else {
            run_fresh_work(Duration::from_secs(30), arguments.steps)
        }
    } else if arguments.mutants {
        break_rules(mutants)
    } else if let Some(file) = &arguments.seeds {
        run_file(file)?
    } else if arguments.minute {
        run_fresh(Duration::from_secs(60), arguments.steps)
    } else {
        let seed = arguments.seed.unwrap_or_else(fresh_seed);
        println!("seed {seed}");
        let report = run(seed, arguments.steps, arguments.trace);
        println!("steps {}, crashes {}, trace {:016x}", report.steps, report.crashes, report.hash);
        tally([judge(&report)])
    };
    println!("{passed} passed, {failed} failed");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Prints what broke, and how to see it again.
fn judge(report: &Report) -> bool {
    if let Some(failure) = &report.failure {
        println!("FAILED at step {} of seed {}: {failure}", report.steps, report.seed);
        println!("  again: cargo xtask sim --seed {} --steps {} --trace", report.seed, report.steps);
    }
    report.failure.is_none()
}

fn tally(passed: impl IntoIterator<Item = bool>) -> (u64, u64) {
    passed.into_iter().fold((0, 0), |(yes, no), passed| if passed { (yes + 1, no) } else { (yes, no + 1) })
}

fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_nanos() as u64 % 1_000_000_000_000
}

fn run_fresh(time: Duration, steps: u64) -> (u64, u64) {
    let (first, begun) = (fresh_seed(), Instant::now());
    println!("fresh seeds from {first} on, {steps} steps each");
    let (mut ran, mut total_steps, mut crashes) = (Vec::new(), 0, 0);
    for seed in first.. {
        if begun.elapsed() >= time {
            break;
        }
        let report = run(seed, steps, false);
        (total_steps, crashes) = (total_steps + report.steps, crashes + report.crashes);
        ran.push(judge(&report));
    }
    println!("{} seeds, {total_steps} steps, {crashes} crashes", ran.len());
    tally(ran)
}

fn run_fresh_work(time: Duration, steps: u64) -> (u64, u64) {
    let (first, begun) = (fresh_seed(), Instant::now());
    println!("the work book: fresh seeds from {first} on, {steps} steps each");
    let (mut ran, mut calls, mut crashes) = (Vec::new(), 0, 0);
    for seed in first.. {
        if begun.elapsed() >= time {
            break;
        }
        let report = run_work(seed, steps);
        (calls, crashes) = (calls + report.calls, crashes + report.crashes);
        if let Some(failure) = &report.failure {
            println!("FAILED at step {} of seed {seed}: {failure}", report.steps);
        }
        ran.push(report.failure.is_none());
    }
    println!("{} seeds, {calls} calls, {crashes} crashes", ran.len());
    tally(ran)
}

fn run_file(file: &PathBuf) -> Result<(u64, u64)> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut ran = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let (seed, what) = line.split_once('#').unwrap_or((line, ""));
        let mut words = seed.split_whitespace();
        let place = || format!("{}:{}: `seed steps # what it was` is expected", file.display(), number + 1);
        let (seed, steps) = match (words.next(), words.next(), words.next()) {
            (Some(seed), Some(steps), None) => (seed, steps),
            (None, None, None) => continue,
            _ => bail!(place()),
        };
        let (seed, steps) = (seed.parse().with_context(place)?, steps.parse().with_context(place)?);
        let passed = judge(&run(seed, steps, false));
        println!("{} seed {seed}, {steps} steps:{what}", if passed { "ok    " } else { "FAILED" });
        ran.push(passed);
    }
    Ok(tally(ran))
}

fn break_rules(mutants: impl FnOnce(fn(&Caught)) -> Option<Vec<Caught>>) -> (u64, u64) {
    println!("{:<22} {:>11} {:>11}  breaks", "mutant", "seed step", "outside");
    let caught = mutants(|caught| match &caught.by {
        Some((seed, step, by)) => {
            let by: String = by.lines().next().unwrap_or_default().chars().take(90).collect();
            let place = |seed: &u64, step: &u64| format!("{seed:>5} {step:>5}");
            let outside = caught.from_outside.as_ref().map_or("-".into(), |(seed, step)| place(seed, step));
            println!("{:<22} {:>11} {outside:>11}  {}", caught.name, place(seed, step), caught.breaks);
            println!("{:48}noticed: {by}", "");
        }
        None => println!("{:<22} {:>11} {:>11}  {}", caught.name, "SURVIVED", "", caught.breaks),
    });
    match caught {
        Some(caught) => tally(caught.into_iter().map(|caught| caught.by.is_some())),
        None => {
            println!("built without mutants; run: cargo run --release -p berth-sim --features mutants -- --mutants");
            (0, 1)
        }
    }
}
