//! The command line of `berth work`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::cli::RemoteArgs;

#[derive(Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    pub(super) remote: RemoteArgs,
    /// Namespace of the work
    #[arg(long, value_name = "NAME", default_value = "main", global = true)]
    pub(super) namespace: String,
    #[command(subcommand)]
    pub(super) command: WorkCommand,
}

#[derive(Subcommand)]
pub(super) enum WorkCommand {
    /// Work specs: list, show, set, drain, delete
    #[command(subcommand)]
    Specs(SpecsCommand),
    /// Work units: list, show, add, retry, delete
    #[command(subcommand)]
    Units(UnitsCommand),
    /// Workers that were heard of
    #[command(subcommand)]
    Workers(WorkersCommand),
    /// Locks that are held
    #[command(subcommand)]
    Locks(ListCommand),
    /// What happened, in order: units, specs, workers and locks
    Events {
        /// Number of the first event; 0: the oldest that is kept
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// Go on with what happens next
        #[arg(long)]
        follow: bool,
    },
    /// Namespaces: each has work of its own, and knows nothing of the others
    #[command(subcommand)]
    Namespaces(NamespacesCommand),
    /// Move the work of another Coordinate job server here. May be run again: it goes on where it stopped
    Import(ImportArgs),
}

#[derive(Subcommand)]
pub(super) enum SpecsCommand {
    /// Names, what holds for them, and how many units they have
    List,
    /// One spec, with its dictionary
    Show {
        /// Name of the spec
        spec: String,
    },
    /// Make specs or set them again, from a file of dictionaries: JSON, one a line; YAML; or CBOR, one after the other
    Set {
        /// The file; `-` reads standard input
        file: PathBuf,
    },
    /// Hand out no more units of a spec; what is being done is finished
    Drain {
        /// Name of the spec
        spec: String,
        /// Return only when nothing is pending any more
        #[arg(long)]
        wait: bool,
        /// Hand out units again
        #[arg(long)]
        undo: bool,
    },
    /// Delete a spec with all of its units
    Delete {
        /// Name of the spec
        spec: String,
    },
}

#[derive(Subcommand)]
pub(super) enum UnitsCommand {
    /// Units in order of their keys
    List {
        /// Name of the spec
        spec: String,
        /// Only this state; may be given several times
        #[arg(long, value_enum, value_name = "STATE")]
        state: Vec<State>,
        /// No key below this one
        #[arg(long, value_name = "KEY", default_value = "")]
        start: String,
        /// At most this many
        #[arg(long, default_value_t = 100)]
        limit: u32,
    },
    /// One unit, with its dictionary
    Show {
        /// Name of the spec
        spec: String,
        /// Key of the unit
        key: String,
    },
    /// Add units from a file: JSON, one a line; YAML; or CBOR, one after the other
    ///
    /// A unit is {"key": KEY, "data": {...}}, with "priority" and "delay" (in seconds) where they are wanted, or
    /// [KEY, {...}]. A map of the shape {KEY: {...}, ...} adds a unit for each key. In YAML each document is such an item,
    /// or a list of them. The first byte tells which encoding it is. All of the file is read before anything is added;
    /// progress is told on standard error.
    Add {
        /// Name of the spec
        spec: String,
        /// The file; `-` reads standard input
        file: PathBuf,
    },
    /// Make failed units available again
    Retry {
        /// Name of the spec
        spec: String,
        /// Keys; without any: all that have failed
        keys: Vec<String>,
    },
    /// Give units another priority: units of a higher one are handed out first
    #[command(group(clap::ArgGroup::new("how").required(true)))]
    Prioritize {
        /// Name of the spec
        spec: String,
        /// Keys
        #[arg(required = true)]
        keys: Vec<String>,
        /// The new priority
        #[arg(long, group = "how", value_name = "NUMBER", allow_negative_numbers = true)]
        to: Option<f64>,
        /// What is added to the old one
        #[arg(long, group = "how", value_name = "NUMBER", allow_negative_numbers = true)]
        by: Option<f64>,
    },
    /// Delete units
    Delete {
        /// Name of the spec
        spec: String,
        /// Keys
        #[arg(required = true)]
        keys: Vec<String>,
    },
}

#[derive(Subcommand)]
pub(super) enum NamespacesCommand {
    /// All of them. One comes when something is first set in it
    List,
    /// Delete a namespace with everything in it
    Delete {
        /// Name of the namespace
        name: String,
    },
}

#[derive(Subcommand)]
pub(super) enum WorkersCommand {
    /// All of them
    List,
    /// One worker, with what it tells of itself
    Show {
        /// Name of the worker
        worker: String,
    },
}

#[derive(Subcommand)]
pub(super) enum ListCommand {
    /// All of them
    List,
}

/// A state of units, as clients of Coordinate call it.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum State {
    Available,
    Pending,
    Finished,
    Failed,
}

#[derive(Args)]
pub(super) struct ImportArgs {
    /// Server to move from, as HOST:PORT; nobody should change its work meanwhile
    #[arg(long, value_name = "ADDR", required_unless_present = "snapshot", conflicts_with = "snapshot")]
    pub(super) from: Option<String>,
    /// Snapshot file of the Python server to move from, uncompressed; `-` reads standard input
    #[arg(long, value_name = "FILE")]
    pub(super) snapshot: Option<PathBuf>,
    /// Where this Berth serves Coordinate's clients, as HOST:PORT
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:5932")]
    pub(super) to: String,
}
