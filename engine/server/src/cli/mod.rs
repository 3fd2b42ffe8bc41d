//! The command line: names, defaults and help in one place.

pub(crate) mod operations;
pub(crate) mod plugin;
pub(crate) mod quota;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Scheduler for remote execution: serves build clients and bots, with policy in WebAssembly plugins.
#[derive(Parser)]
#[command(version, propagate_version = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve build clients and bots.
    Serve(ServeArgs),
    /// Run actions on this machine for a server.
    Bot(BotArgs),
    /// List, explain and cancel jobs of a running server.
    Jobs(JobsArgs),
    /// List operations by filter and order, wait for them, cancel and delete them.
    Operations(operations::OperationsArgs),
    /// List and drain the bots of a running server.
    Bots(BotsArgs),
    /// How much of a cohort of bots an instance may have, and how much it is sure to get.
    Quota(quota::QuotaArgs),
    /// Work specs and work units, as Coordinate's clients know them.
    Work(crate::work::WorkArgs),
    /// Write, build and test policies; load, try out and activate them on a running server.
    Plugin(plugin::PluginArgs),
    /// Check a configuration file, or print the one in force.
    Config(ConfigArgs),
    /// Measure: tables with ratios to a yardstick of the same run.
    Bench(crate::bench::BenchArgs),
}

/// What a flag sets wins over the configuration file.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ServeArgs {
    /// Folder for everything that must survive a restart [default: `berth` in the user's data folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Address for gRPC: build clients, bots, operators [default: 127.0.0.1:8980]
    #[arg(long, value_name = "ADDR")]
    pub(crate) grpc: Option<SocketAddr>,
    /// Address for HTTP: /metrics, /healthz [default: 127.0.0.1:8981]
    #[arg(long, value_name = "ADDR")]
    pub(crate) http: Option<SocketAddr>,
    /// Address for clients of Coordinate's job server, or `off` [default: 127.0.0.1:5932]
    #[arg(long, value_name = "ADDR", value_parser = parse_door)]
    pub(crate) coordinate: Option<Door>,
    /// Instance name to serve; may be given several times [default: main]
    #[arg(long, value_name = "NAME")]
    pub(crate) instance: Vec<String>,
    /// Bots to run inside the server, for a laptop [default: 0]
    #[arg(long, value_name = "N")]
    pub(crate) bots: Option<usize>,
    /// Configuration file (TOML); every key has a default
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Log as JSON lines
    #[arg(long)]
    pub(crate) json_logs: bool,
}

/// An address to listen at, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    At(SocketAddr),
    Off,
}

#[derive(Args)]
pub(crate) struct BotArgs {
    /// Server to work for, as HOST:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8980")]
    pub(crate) server: String,
    /// CAS to read inputs from and write outputs to, where it is not the server
    #[arg(long, value_name = "ADDR")]
    pub(crate) cas: Option<String>,
    /// Instance name to work for; `*`: all of them, where the server lets such bots in
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) instance: String,
    /// Instance name under which the CAS is asked, where it is another one: needed with `--instance '*'`
    #[arg(long, value_name = "NAME")]
    pub(crate) cas_instance: Option<String>,
    /// What this machine offers, as KEY=VALUE; may be given several times. Without it: OSFamily, ISA and
    /// container-image=none as this machine has them
    #[arg(long = "property", value_name = "K=V", value_parser = parse_property)]
    pub(crate) properties: Vec<(String, String)>,
    /// Actions to run at the same time [default: the number of cores]
    #[arg(long, value_name = "N")]
    pub(crate) slots: Option<usize>,
    /// Name of this bot, unique among the bots of a server [default: host name and work folder]
    #[arg(long, value_name = "ID")]
    pub(crate) bot_id: Option<String>,
    /// Folder for input roots and the file cache; belongs to this bot alone [default: in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) work_dir: Option<PathBuf>,
    /// Size to which the file cache is cut back, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 8 << 30)]
    pub(crate) cache_bytes: u64,
    /// Log as JSON lines
    #[arg(long)]
    pub(crate) json_logs: bool,
}

/// Where a command finds the server, and how it prints.
#[derive(Args)]
pub(crate) struct RemoteArgs {
    /// Server to ask, as HOST:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8980", env = "BERTH_SERVER", global = true)]
    pub(crate) server: String,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

#[derive(Args)]
pub(crate) struct JobsArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(subcommand)]
    pub(crate) command: JobsCommand,
}

#[derive(Subcommand)]
pub(crate) enum JobsCommand {
    /// Jobs that wait or run, those that wait longest first
    List {
        /// Only this instance
        #[arg(long, value_name = "NAME", default_value = "")]
        instance: String,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// Recently finished jobs too
        #[arg(long)]
        finished: bool,
        /// Only jobs with an operation that meets a filter, as `berth operations list --help` describes it
        #[arg(long, value_name = "FILTER", default_value = "")]
        filter: String,
    },
    /// One job, and why it waits
    Show {
        /// Job id or operation name; the first digits are enough
        job: String,
    },
    /// What happened to a job, oldest first
    History {
        /// Job id or operation name; the first digits are enough
        job: String,
    },
    /// Cancel a job for all who wait for it
    Cancel {
        /// Job id or operation name; the first digits are enough
        job: String,
    },
    /// Take a job from its bot: it waits again at its old place
    Requeue {
        /// Job id or operation name; the first digits are enough
        job: String,
        /// Count it as a lost attempt
        #[arg(long)]
        counts: bool,
    },
    /// Give a job another priority
    Prioritize {
        /// Job id or operation name; the first digits are enough
        job: String,
        /// As in a request: smaller is more urgent
        #[arg(allow_negative_numbers = true)]
        priority: i32,
    },
    /// Keep the jobs of an instance, or those with a label, from bots. What runs goes on. Holds over restarts
    Pause {
        /// Instance of the jobs
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
        /// Only jobs with this label, as `berth jobs show` prints it
        #[arg(long, value_name = "LABEL")]
        label: Option<String>,
        /// Give them to bots again
        #[arg(long)]
        undo: bool,
    },
    /// What is paused
    Pauses,
}

#[derive(Args)]
pub(crate) struct BotsArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(subcommand)]
    pub(crate) command: BotsCommand,
}

#[derive(Subcommand)]
pub(crate) enum BotsCommand {
    /// Bots with an open session
    List {
        /// Only this instance
        #[arg(long, value_name = "NAME", default_value = "")]
        instance: String,
    },
    /// Give a bot no new work; it finishes what it has. Holds over sessions and restarts
    Drain {
        /// The bot's id, as `berth bots list` prints it
        bot_id: String,
        /// Instance of the bot
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
        /// Give it work again
        #[arg(long)]
        undo: bool,
    },
    /// End a bot's session at once; its jobs wait again. A bot that is well comes back: drain it first if it should not
    Kick {
        /// The bot's id, as `berth bots list` prints it
        bot_id: String,
        /// Instance of the bot
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
    },
    /// End the quarantine that a policy put a bot in
    Release {
        /// The bot's id, as `berth bots list` prints it
        bot_id: String,
        /// Instance of the bot
        #[arg(long, value_name = "NAME", default_value = "main")]
        instance: String,
    },
}

#[derive(Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Subcommand)]
pub(crate) enum ConfigCommand {
    /// Say what is wrong with a file: key, value, and what would be accepted
    Check {
        /// Configuration file (TOML)
        file: PathBuf,
        /// Print JSON, for scripts
        #[arg(long)]
        json: bool,
    },
    /// Write a configuration of BuildGrid's server as Berth's, and say what becomes of each line
    ImportBuildgrid(crate::config::buildgrid::ImportArgs),
    /// Print every key with its value: that of the file where it sets one, else the default
    Show {
        /// Configuration file (TOML)
        file: Option<PathBuf>,
    },
}

fn parse_door(text: &str) -> Result<Door, String> {
    if text == "off" {
        return Ok(Door::Off);
    }
    text.parse().map(Door::At).map_err(|_| "expected an address as 127.0.0.1:5932, or off".to_owned())
}

pub(crate) fn parse_property(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE, for example OSFamily=linux".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_flags_that_scripts_rely_on_are_there() {
        let line = "berth serve --data d --grpc 127.0.0.1:1 --http 127.0.0.1:2 --coordinate 127.0.0.1:3 \
                    --instance a --instance b --bots 2 --config f";
        let Command::Serve(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else { panic!() };
        assert_eq!((args.instance.len(), args.bots), (2, Some(2)));
        let line = "berth bot --server h:1 --instance a --property K=V --property K=W --slots 3";
        let Command::Bot(args) = Cli::try_parse_from(line.split_whitespace()).unwrap().command else { panic!() };
        assert_eq!((args.properties.len(), args.slots), (2, Some(3)));
        assert!(Cli::try_parse_from(["berth", "bot", "--property", "novalue"]).is_err());
        assert!(Cli::try_parse_from(["berth", "serve", "--coordinate", "off"]).is_ok());
        assert!(Cli::try_parse_from(["berth", "serve", "--coordinate", "on"]).is_err());
        assert!(Cli::try_parse_from(["berth", "jobs", "prioritize", "01ab", "-5"]).is_ok());
    }
}
