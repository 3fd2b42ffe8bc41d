//! What came of it, and how a test tells.

use std::collections::BTreeMap;
use std::fmt::Display;

/// One run of a job.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The number of the job in the list that was given.
    pub job: usize,
    /// The number of the bot.
    pub bot: usize,
    /// When it began, in milliseconds.
    pub started_ms: u64,
    /// When it ended, in milliseconds.
    pub ended_ms: u64,
    /// The weights of the keys that the bot shared with the job.
    pub shared: u64,
}

/// What came of all jobs.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In the order in which they began.
    pub runs: Vec<Run>,
    /// Jobs that a full counter kept out.
    pub refused: Vec<usize>,
    /// The most that ever ran and was queued at a time, by counter.
    pub peaks: BTreeMap<String, (u32, u32)>,
    /// How often the policy was asked to choose a lane.
    pub chosen: u64,
    /// For how many milliseconds a bot had nothing to do while a job waited, over all bots.
    pub idle_ms: u64,
}

impl Outcome {
    /// The time that bots spent on jobs that `counts`, of the time that they spent on any, from `from_ms` to `to_ms`.
    pub fn share(&self, from_ms: u64, to_ms: u64, counts: impl Fn(usize) -> bool) -> f64 {
        let spent = |run: &Run| run.ended_ms.min(to_ms).saturating_sub(run.started_ms.max(from_ms)) as f64;
        let all: f64 = self.runs.iter().map(spent).sum();
        let ours: f64 = self.runs.iter().filter(|run| counts(run.job)).map(spent).sum();
        if all == 0.0 { 0.0 } else { ours / all }
    }

    /// When the last job that `counts` ended.
    pub fn end_ms(&self, counts: impl Fn(usize) -> bool) -> u64 {
        self.runs.iter().filter(|run| counts(run.job)).map(|run| run.ended_ms).max().unwrap_or(0)
    }
}

/// Prints one line of the table of outcomes: the policy, what was looked at, what is wanted, and what was found. Seen
/// with `--nocapture`.
pub fn report(policy: &str, what: &str, wanted: &str, found: impl Display) {
    println!("| {policy:<18} | {what:<64} | {wanted:>12} | {found:>10} |");
}
