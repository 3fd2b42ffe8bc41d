//! What became of each line of the file.

use std::fmt;

use serde::Serialize;

/// One key of the file, or one thing that the file leaves to a default.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Line {
    /// Where it stands, counted from 1.
    pub(super) line: usize,
    /// What it is a key of, and the key: `!sql-scheduler.max-job-attempts`.
    pub(super) key: String,
    pub(super) outcome: Outcome,
    /// What is written instead, where something is.
    #[serde(rename = "as")]
    pub(super) becomes: String,
    /// Why it is another, or nothing. Empty where it is kept.
    pub(super) because: String,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Outcome {
    /// Berth does the same.
    Kept,
    /// Berth does something else in its place.
    Changed,
    /// Berth does nothing of the kind.
    NoCounterpart,
}

impl fmt::Display for Line {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, outcome, becomes, because } = self;
        write!(out, "line {line}: {key}: ")?;
        match outcome {
            Outcome::Kept => write!(out, "kept as {becomes}"),
            Outcome::Changed if becomes.is_empty() => write!(out, "changed because {because}"),
            Outcome::Changed => write!(out, "changed to {becomes} because {because}"),
            Outcome::NoCounterpart => write!(out, "no counterpart because {because}"),
        }
    }
}
