//! The command line of `berth quota`.

use clap::{Args, Subcommand};

use super::RemoteArgs;

#[derive(Args)]
pub(crate) struct QuotaArgs {
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    #[command(subcommand)]
    pub(crate) command: QuotaCommand,
}

#[derive(Subcommand)]
pub(crate) enum QuotaCommand {
    /// All quotas, with what runs and waits
    List {
        /// Only this instance
        #[arg(long, value_name = "NAME", default_value = "")]
        instance: String,
        /// Only this cohort
        #[arg(long, value_name = "NAME", default_value = "")]
        cohort: String,
    },
    /// One quota
    Show(Of),
    /// Set a quota, or set it anew; it holds at once, for jobs that run and wait too
    Set {
        #[command(flatten)]
        of: Of,
        /// While fewer jobs run and others wait, somebody else's job gives way after scheduler.preemption_delay_s
        #[arg(long, value_name = "N", default_value_t = 0)]
        min: u32,
        /// The most jobs that run at a time
        #[arg(long, value_name = "N")]
        max: u32,
    },
    /// Delete a quota: the instance has neither bound nor promise then
    Delete(Of),
}

/// Whose quota.
#[derive(Args)]
pub(crate) struct Of {
    /// Name of the cohort, as [[scheduler.cohorts]] has it
    pub(crate) cohort: String,
    /// Instance that it is about
    #[arg(long, value_name = "NAME", default_value = "main")]
    pub(crate) instance: String,
}
