//! `berth bot`, and the bots inside a server.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Context;
use berth_bot::{BotConfig, ExitReason, Shutdown};

use crate::{cli::BotArgs, signals::Signals, telemetry};

pub(crate) fn run(args: BotArgs) -> anyhow::Result<ExitCode> {
    telemetry::start(args.json_logs);
    let work_dir = match args.work_dir {
        Some(dir) => dir,
        None => cache_dir()?.join("berth").join("bot"),
    };
    let bot_id = match args.bot_id {
        Some(id) => id,
        None => format!("{}:{}", host_name(), std::path::absolute(&work_dir)?.display()),
    };
    let mut config = BotConfig::new(args.server, args.instance, bot_id, work_dir);
    config.cas = args.cas;
    config.cas_instance = args.cas_instance;
    config.properties = if args.properties.is_empty() { own_properties() } else { args.properties };
    config.slots = args.slots.unwrap_or_else(cores);
    config.cache_bytes_max = args.cache_bytes;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut signals = Signals::listen()?;
        let shutdown = Shutdown::new();
        let escalate = shutdown.clone();
        tokio::spawn(async move {
            loop {
                let signal = signals.next().await;
                tracing::info!(signal, "stopping: once drains, twice hands running work back");
                escalate.escalate();
            }
        });
        eprintln!(
            "berth bot: {} works for {} with {} slots (Ctrl-C drains)",
            config.bot_id, config.server, config.slots
        );
        let reason = berth_bot::run(config, shutdown).await?;
        tracing::info!(?reason, "bot stopped");
        Ok(match reason {
            ExitReason::Drained => ExitCode::SUCCESS,
            ExitReason::Killed => ExitCode::FAILURE,
        })
    })
}

/// What this machine is, in the words that clients use: Bazel says `linux`, BuildGrid's users `Linux`.
pub(crate) fn own_properties() -> Vec<(String, String)> {
    let isa = if cfg!(target_arch = "x86_64") { "x86-64" } else { std::env::consts::ARCH };
    [("OSFamily", "linux"), ("OSFamily", "Linux"), ("ISA", isa), ("container-image", "none")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get())
}

pub(crate) fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

fn cache_dir() -> anyhow::Result<PathBuf> {
    match std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()) {
        Some(dir) => Ok(dir.into()),
        None => {
            let home = std::env::var_os("HOME").context("HOME is not set: name a folder with --work-dir DIR")?;
            Ok(PathBuf::from(home).join(".cache"))
        }
    }
}
