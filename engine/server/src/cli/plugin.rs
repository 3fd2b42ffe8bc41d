//! The command line of `berth plugin`.

use std::path::PathBuf;

use anyhow::{Context, bail};
use berth_plugin_host::Grants;
use clap::{Args, Subcommand};

use super::RemoteArgs;
use crate::plugins::settings::{self, Settings};

#[derive(Args)]
pub(crate) struct PluginArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(subcommand)]
    pub(crate) command: PluginCommand,
}

/// For authors first, then for operators.
#[derive(Subcommand)]
pub(crate) enum PluginCommand {
    /// Write a new policy crate that compiles and passes its own test
    New(NewArgs),
    /// Build a policy crate into a component
    Build(BuildArgs),
    /// Say what a component is: contract, imports, what it will be asked, size; and whether its examples hold
    Check(LoadArgs),
    /// Run the examples of a component, or those of a file
    Test(TestArgs),
    /// Time each function that the examples ask
    Bench(BenchArgs),
    /// Ask one question; JSON in, JSON out
    Run(RunArgs),
    #[command(flatten)]
    Server(ServerCommands),
}

/// What a running server is asked.
#[derive(Subcommand)]
pub(crate) enum ServerCommands {
    /// Store a version on a server: checked and compiled, but asked nothing yet
    Load {
        #[command(flatten)]
        load: LoadArgs,
        /// Only let the server check it; nothing is kept
        #[arg(long)]
        check: bool,
    },
    /// Versions that a server has, and what they answer
    List,
    /// One version: exports, grants, calls, faults, time a call
    Show(VersionArgs),
    /// Ask a version beside the active one, on live traffic
    Observe(ObserveArgs),
    /// Where the observed version differs from the active one
    Diff(DiffArgs),
    /// Make a version active; queued jobs are placed again in the background
    Activate(ActivateArgs),
    /// Go back to the set that was active before, or to the one that is named
    Rollback(RollbackArgs),
    /// Take a version out of service, or release it
    Quarantine(QuarantineArgs),
    /// Forget a version that is not in use
    Unload(VersionArgs),
    /// The sets that were active
    Sets,
    /// Rows that a plugin keeps
    Kv(KvArgs),
}

/// A plugin by name, and one of its versions.
#[derive(Args, Clone)]
pub(crate) struct VersionArgs {
    /// Name of the plugin
    pub(crate) name: String,
    /// First digits of the digest [default: the active version, else the newest]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) digest: String,
}

/// The same, where the newest version is meant.
#[derive(Args, Clone)]
pub(crate) struct CandidateArgs {
    /// Name of the plugin
    pub(crate) name: String,
    /// First digits of the digest [default: the version that was loaded last]
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) digest: String,
}

/// A component with what an operator says of it.
#[derive(Args, Clone)]
pub(crate) struct LoadArgs {
    /// Component (FILE.wasm), folder in OCI image layout (FOLDER or FOLDER:REF), or policy that comes with Berth
    /// (bundled:NAME)
    pub(crate) source: String,
    /// Name of the plugin [default: the name of the file]
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Refuse any other component than the one with this SHA-256
    #[arg(long, value_name = "SHA256")]
    pub(crate) digest: Option<String>,
    /// Settings of the plugin: a TOML file as a `[plugins.NAME]` table has them (config, grants, limits, on_fault)
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// What it may import, beside what --settings grants, or beside log and config
    #[arg(long, value_name = "IMPORT")]
    pub(crate) grant: Vec<String>,
    /// Detached Ed25519 signature of the component, 64 bytes
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
}

impl LoadArgs {
    /// The settings, from the file and the flags.
    pub(crate) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match &self.settings {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("{} cannot be used", path.display()))?
            }
            None => Settings::default(),
        };
        if !self.grant.is_empty() {
            if settings.grants.is_empty() {
                settings.grants = Grants::default().iter().map(|grant| grant.name().to_owned()).collect();
            }
            settings.grants.extend(self.grant.iter().cloned());
            settings.grants.sort();
            settings.grants.dedup();
        }
        let problems = settings.problems();
        if !problems.is_empty() {
            bail!("the settings cannot be used:\n  {}", problems.join("\n  "));
        }
        Ok(settings)
    }

    /// The policy that comes with Berth, if the source is one.
    pub(crate) fn bundled(&self) -> Option<&str> {
        self.source.strip_prefix("bundled:")
    }

    /// `--name`, or the name of the file without its ending.
    pub(crate) fn plugin_name(&self) -> anyhow::Result<String> {
        let from_file = || {
            if let Some(bundled) = self.bundled() {
                return Some(bundled.to_owned());
            }
            let path = self.source.rsplit_once(':').map_or(self.source.as_str(), |(folder, _)| folder);
            let stem = std::path::Path::new(path).file_stem()?.to_str()?;
            Some(stem.trim_end_matches(".component").replace('_', "-").to_ascii_lowercase())
        };
        let name = self.name.clone().or_else(from_file).unwrap_or_default();
        if !settings::is_plugin_name(&name) {
            bail!("the plugin's name is {name:?}: {} (--name NAME sets it)", settings::NAME_EXPECTED);
        }
        Ok(name)
    }
}

#[derive(Args)]
pub(crate) struct ObserveArgs {
    #[command(flatten)]
    pub(crate) version: CandidateArgs,
    /// End it
    #[arg(long)]
    pub(crate) stop: bool,
}

#[derive(Args)]
pub(crate) struct DiffArgs {
    /// Name of the plugin
    pub(crate) name: String,
    /// At most this many differences
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
}

#[derive(Args)]
pub(crate) struct ActivateArgs {
    #[command(flatten)]
    pub(crate) version: CandidateArgs,
    /// What it is to answer (properties, lane, rank, limits, affinity, history, again, choose, create-job, queue-job,
    /// after-attempt, before-prune, events); may be given several times [default: what the plugin of this name answers
    /// now, else everything that it exports, and the columns that its examples show]
    #[arg(long = "as", value_name = "ROLE")]
    pub(crate) roles: Vec<String>,
    /// For instance names of this pattern (a name, the beginning of some and `*`, or `*` alone); may be given several
    /// times [default: all]
    #[arg(long = "instance", value_name = "PATTERN")]
    pub(crate) instances: Vec<String>,
}

#[derive(Args)]
pub(crate) struct RollbackArgs {
    /// Number of the set, as `berth plugin sets` prints it [default: the one before]
    #[arg(default_value_t = 0, hide_default_value = true)]
    pub(crate) set: u64,
}

#[derive(Args)]
pub(crate) struct QuarantineArgs {
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Why, for those who read it later
    #[arg(long, default_value = "by an operator")]
    pub(crate) reason: String,
    /// End the quarantine; nothing becomes active by this
    #[arg(long)]
    pub(crate) release: bool,
}

#[derive(Args)]
pub(crate) struct KvArgs {
    /// Name of the plugin
    pub(crate) name: String,
    /// Only keys that begin with this
    #[arg(long, default_value = "")]
    pub(crate) prefix: String,
    /// Only keys greater than this: to go on where the last list ended
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) after: String,
    /// At most this many
    #[arg(long, default_value_t = 100)]
    pub(crate) limit: u32,
    /// Of the copy that the observed version works on
    #[arg(long)]
    pub(crate) observed: bool,
    /// What it keeps of the work of this namespace, instead of executions
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "observed")]
    pub(crate) namespace: String,
}

#[derive(Args)]
pub(crate) struct NewArgs {
    /// Name of the policy, and of the folder that is made
    pub(crate) name: String,
    /// What it answers
    #[arg(long, value_enum, default_value_t = Kind::Priority)]
    pub(crate) kind: Kind,
    /// Folder in which the new folder is made
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
}

/// Kinds of new policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// What a job needs and a bot offers
    Properties,
    /// How well a job and a bot fit where containment does not tell
    Matching,
    /// Who goes first: lanes, ranks, limits
    Priority,
    /// Which lane a bot serves
    Choosing,
    /// Who may come in
    Admission,
    /// What happens after a failure
    Retry,
    /// Which finished jobs are kept longer
    Prune,
    /// What happened, with state of its own
    Events,
}

#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Folder of the crate
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Where the component goes [default: NAME.wasm in the crate's folder]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Cases to run instead of those that the component carries (TOML)
    #[arg(long, value_name = "FILE")]
    pub(crate) cases: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct BenchArgs {
    #[command(flatten)]
    pub(crate) test: TestArgs,
    /// Seconds for each function
    #[arg(long, default_value_t = 1)]
    pub(crate) seconds: u64,
}

#[derive(Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) load: LoadArgs,
    /// Function, such as execution-properties or place
    pub(crate) function: String,
    /// The question as JSON [default: read from standard input]
    pub(crate) question: Option<String>,
}
