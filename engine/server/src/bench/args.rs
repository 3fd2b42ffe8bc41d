//! The command line of `berth bench`.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};

use super::{load::Plan, work::Load};

pub(super) const QUEUED: u64 = 1_000_000;
const FINISHED: u64 = 1_000_000;
pub(super) const LATENCY_JOBS: u64 = 500;
pub(super) const SWAP_EVERY: Duration = Duration::from_secs(1);
const ROUNDS: usize = 3;

#[derive(Args)]
pub(crate) struct BenchArgs {
    /// Print JSON, one line a table, for scripts; progress stays on stderr
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Folder for what the benches store, on the disk that is to be measured [default: the system's folder for
    /// temporary files; if that is in memory, fsync costs nothing there and the figures are too good]
    #[arg(long, global = true, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Small settings: shows in seconds that everything runs, measures nothing
    #[arg(long, global = true)]
    pub(super) quick: bool,
    #[command(subcommand)]
    pub(super) command: BenchCommand,
}

#[derive(Subcommand)]
pub(crate) enum BenchCommand {
    /// The rules alone, in this process: cost of an assignment at growing queues, fleets and numbers of classes
    Core,
    /// Clients and simulated bots against a running server, Berth or any other that speaks REAPI and RWAPI
    ///
    /// Uploads one Command, an empty input root and one Action for each job, then lets the clients Execute and the
    /// bots report, as fast as the server goes. Nothing is executed: a bot says ACTIVE in one update, COMPLETED with
    /// a small result in the next, and the answer to that brings its next lease. No other bots may serve the
    /// instance meanwhile.
    Load {
        /// Server, as HOST:PORT
        #[arg(long, value_name = "ADDR")]
        target: String,
        /// Process id of the server, if it runs on this machine: its CPU time is measured
        #[arg(long, value_name = "PID")]
        server_pid: Option<u32>,
        #[command(flatten)]
        plan: Plan,
    },
    /// A whole server against a bare gRPC server that answers the same calls and does nothing
    ///
    /// Starts both in turn, each pinned to one core, with the generator on another core. The yardstick for CPU time
    /// is the bare server plus a bare commit of the same rows, in groups as large as those of the run.
    E2e {
        /// Rounds of each server, in alternation; medians are reported
        #[arg(long, value_name = "N", default_value_t = ROUNDS)]
        rounds: usize,
        #[command(flatten)]
        plan: Plan,
    },
    /// What policy in WebAssembly costs: bundled plugins against the built-in rule, in alternation
    ///
    /// Unless told otherwise with 1000 distinct platforms and a new invocation every 50 jobs. Void if there is less
    /// than one call into a plugin for each job.
    Wasm {
        /// Rounds of each policy, in alternation; medians are reported
        #[arg(long, value_name = "N", default_value_t = ROUNDS)]
        rounds: usize,
        #[command(flatten)]
        plan: Plan,
    },
    /// What a change of policies costs while jobs run: an activation every second against none, with 10 000 jobs queued
    Swap {
        /// Rounds with and without, in alternation; medians are reported
        #[arg(long, value_name = "N", default_value_t = ROUNDS)]
        rounds: usize,
        /// Milliseconds between two activations
        #[arg(long, value_name = "MS", default_value_t = 1_000)]
        every_ms: u64,
        #[command(flatten)]
        plan: Plan,
    },
    /// Time from an open store to the first durable lease with a deep queue, against a bare scan of the same rows
    Restart {
        /// Jobs in the queue
        #[arg(long, value_name = "N", default_value_t = QUEUED)]
        queued: u64,
    },
    /// Lists of operations with very many finished ones, against the same lists with a thousand
    Operations {
        /// Finished operations
        #[arg(long, value_name = "N", default_value_t = FINISHED)]
        finished: u64,
    },
    /// Execute to lease at an idle server, one job at a time, against fdatasync on the same disk
    Latency {
        /// Jobs to measure, one after the other
        #[arg(long, value_name = "N", default_value_t = LATENCY_JOBS)]
        jobs: u64,
    },
    /// Coordinate's cycle over CBOR-RPC (get units in batches, finish them) against a bare echo of the same frames plus a
    /// bare commit of the same rows, with few and with very many units in the spec
    Work {
        #[command(flatten)]
        load: Load,
    },
    /// Ten thousand of Coordinate's workers that only say that they live, beside a thousand work specs
    WorkWorkers,
    /// All of them, one after the other, except `load` and `operations`
    All {
        /// Rounds of each server in `e2e` and `wasm`
        #[arg(long, value_name = "N", default_value_t = ROUNDS)]
        rounds: usize,
    },
    /// The yardstick of `e2e`: answers Execute and UpdateBotSession, and does nothing
    #[command(hide = true)]
    BareServer,
    /// The yardstick of `work`: answers CBOR-RPC, and does nothing
    #[command(hide = true)]
    BareWorkServer,
}
