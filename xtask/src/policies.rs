//! `cargo xtask policies`: what comes of each bundled policy under simulated load, as a table.
//!
//! The rows are printed by the policies' own tests, which also hold them to what is wanted: here they are run, natively,
//! and the rows are picked out of what they say. Simulated is the small world of `plugins/model`, not the engine.

use std::process::ExitCode;

use anyhow::{Context, Result};
use berth_guest::BUNDLED;

use crate::stages::plugins;

/// These two say what the built-in rule says; a test of the plugin host holds them equal.
const WITHOUT_ROWS: [&str; 2] = ["containment", "reapi-priority"];

pub(crate) fn policies() -> Result<ExitCode> {
    let mut tests =
        plugins(&["test", "--workspace", "--lib", "--no-fail-fast", "--", "--nocapture", "--test-threads=1"]);
    let output = tests.output().context("cannot run the tests of the policies")?;
    let said = String::from_utf8_lossy(&output.stdout);
    // The first row of a test stands behind the name of the test.
    let row = |line: &'_ str| line.ends_with(" |").then(|| line.find("| ")).flatten();
    let mut rows: Vec<&str> = said.lines().filter_map(|line| Some(&line[row(line)?..])).collect();
    rows.sort_by_key(|row| policy_of(row));
    println!("| {:<18} | {:<64} | {:>12} | {:>10} |", "policy", "what is looked at", "wanted", "found");
    println!("| {:-<18} | {:-<64} | {:->11}: | {:->9}: |", "", "", "", "");
    rows.iter().for_each(|row| println!("{row}"));
    let has_row = |policy: &&str| rows.iter().any(|row| policy_of(row) == *policy);
    let silent: Vec<&str> =
        BUNDLED.into_iter().filter(|policy| !WITHOUT_ROWS.contains(policy) && !has_row(policy)).collect();
    if !silent.is_empty() {
        println!("no outcome of: {}", silent.join(", "));
    }
    if !output.status.success() {
        println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(if silent.is_empty() && output.status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn policy_of(row: &str) -> &str {
    row.split('|').nth(1).unwrap_or_default().trim()
}
