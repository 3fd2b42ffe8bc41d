//! `berth work`.

mod import;

use std::process::ExitCode;

use crate::cli::{WorkArgs, WorkCommand};

pub(crate) fn run(args: WorkArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        WorkCommand::Import(args) => import::run(&args),
    }
}
