//! `berth work import`: moves the work of another server of Coordinate's protocol, and tells how far it is.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use berth_coordinate::{Progress, import_from_server, import_snapshot};

use super::args::ImportArgs;

/// How often a line is printed.
const TELL_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let mut told = Instant::now();
    let mut tell = |progress: &Progress| {
        // The first of a spec has no units yet.
        if progress.units == 0 || told.elapsed() >= TELL_EVERY {
            eprintln!(
                "berth: {}: {} units, {} of them were there already",
                progress.spec, progress.units, progress.there
            );
            told = Instant::now();
        }
    };
    let imported = match (&args.from, &args.snapshot) {
        (Some(from), _) => import_from_server(from, &args.to, &mut tell),
        (None, Some(file)) => import_snapshot(file, &args.to, &mut tell),
        (None, None) => unreachable!("the command line asks for one of them"),
    }
    .context("the import stopped; run it again to go on")?;
    outln!(
        "{} work specs, {} work units; {} of them were there already. The counts agree",
        imported.specs,
        imported.units,
        imported.there
    );
    Ok(ExitCode::SUCCESS)
}
