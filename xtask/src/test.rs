//! `cargo xtask test`: runs the stages, shows their output as it comes, and ends with a table and one line of counts.
//!
//! A failing stage does not stop the others: CI runs rarely, and one answer should tell all.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::shown;
use crate::stages::{STAGES, Stage};
use crate::tally::Tally;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Run only these (may be repeated)
    #[arg(long, value_name = "NAME")]
    stage: Vec<String>,
    /// List the stages, run nothing
    #[arg(long)]
    list: bool,
}

struct Row {
    name: &'static str,
    tally: Tally,
    minutes: f64,
}

pub(crate) fn test(options: Options) -> Result<ExitCode> {
    if let Some(name) = options.stage.iter().find(|name| STAGES.iter().all(|stage| stage.name != **name)) {
        let names: Vec<_> = STAGES.iter().map(|stage| stage.name).collect();
        bail!("there is no stage {name}; there are {}", names.join(", "));
    }
    let wanted = |stage: &&Stage| options.stage.is_empty() || options.stage.iter().any(|name| name == stage.name);
    if options.list {
        for stage in STAGES {
            println!("{:8} {}", stage.name, stage.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut rows = Vec::new();
    for stage in STAGES.iter().filter(wanted) {
        let row = run(stage)?;
        println!("=== {}: {:.1} minutes", row.name, row.minutes);
        rows.push(row);
    }
    Ok(report(&rows))
}

fn run(stage: &'static Stage) -> Result<Row> {
    println!("\n=== {}: {}", stage.name, stage.about);
    let started = Instant::now();
    let mut tally = Tally::default();
    for mut command in (stage.commands)() {
        println!("--- {}", shown(&command));
        tally += count(&mut command)?;
    }
    Ok(Row { name: stage.name, tally, minutes: started.elapsed().as_secs_f64() / 60.0 })
}

/// Runs one command, passing its output through line by line, and sums up what it states.
fn count(command: &mut Command) -> Result<Tally> {
    // Nobody is asked anything: what reads from stdin in CI would hang there.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run {}", shown(command)))?;
    let output = child.stdout.take().expect("stdout is piped");
    let mut tally = Tally::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        let mut out = std::io::stdout().lock();
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        out.flush()?;
        if let Some(counts) = Tally::read(&String::from_utf8_lossy(&line)) {
            tally += counts;
        }
    }
    let ok = child.wait()?.success();
    if !ok && tally.failed == 0 {
        println!("--- failed: {}", shown(command));
        tally.failed += 1;
    }
    if ok && tally.is_empty() {
        tally.passed += 1;
    }
    Ok(tally)
}

fn report(rows: &[Row]) -> ExitCode {
    let mut total = Tally::default();
    println!("\n{:8} {:>7} {:>7} {:>8} {:>8}", "stage", "passed", "failed", "skipped", "minutes");
    for Row { name, tally, minutes } in rows {
        println!("{name:8} {:>7} {:>7} {:>8} {minutes:>8.1}", tally.passed, tally.failed, tally.skipped);
        total += *tally;
    }
    println!("\n{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
