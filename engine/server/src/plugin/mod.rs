//! `berth plugin`: what authors do on their own machine, and what operators ask of a server.

mod build;
mod local;
mod new;

use std::process::ExitCode;

use crate::{
    admin,
    cli::plugin::{PluginArgs, PluginCommand},
};

pub(crate) fn run(args: PluginArgs) -> anyhow::Result<ExitCode> {
    let as_json = args.remote.json;
    match args.command {
        PluginCommand::New(new) => new::run(&new),
        PluginCommand::Build(build) => build::run(&build, as_json),
        PluginCommand::Check(load) => local::check(&load, as_json),
        PluginCommand::Test(test) => local::test(&test, as_json),
        PluginCommand::Bench(bench) => local::bench(&bench, as_json),
        PluginCommand::Run(run) => local::run(&run),
        PluginCommand::Server(command) => admin::plugins::run(&args.remote, command),
    }
}
