//! What a partition counts of its jobs since the process began: how they end and how long they take. For whoever shows
//! metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use berth_core::{Book, Fact, JobId, Outcome, Timestamp};

/// Upper bounds of the groups that times are counted in, in milliseconds. What takes longer is in one more.
const BOUNDS_MS: [u64; 15] =
    [1, 5, 10, 50, 100, 500, 1_000, 5_000, 10_000, 30_000, 60_000, 300_000, 900_000, 3_600_000, 14_400_000];

/// Times, by how long they are. Adding one is two additions, from any thread.
#[derive(Debug, Default)]
pub struct Times {
    micros: AtomicU64,
    groups: [AtomicU64; BOUNDS_MS.len() + 1],
}

/// What was counted of some times.
#[derive(Clone, Debug, PartialEq)]
pub struct TimesRead {
    /// How many there were.
    pub count: u64,
    /// All together.
    pub seconds: f64,
    /// Upper bound in seconds, and how many were no longer, but longer than the bound before.
    pub groups: Vec<(f64, u64)>,
}

impl Times {
    /// One more.
    pub fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let group = BOUNDS_MS.partition_point(|bound| bound * 1_000 < micros);
        self.groups[group].fetch_add(1, Relaxed);
        self.micros.fetch_add(micros, Relaxed);
    }

    /// As they are now.
    pub fn read(&self) -> TimesRead {
        let bounds = BOUNDS_MS.iter().map(|bound| *bound as f64 / 1e3).chain([f64::INFINITY]);
        let groups: Vec<(f64, u64)> = bounds.zip(&self.groups).map(|(bound, n)| (bound, n.load(Relaxed))).collect();
        let count = groups.iter().map(|(_, count)| count).sum();
        TimesRead { count, seconds: self.micros.load(Relaxed) as f64 / 1e6, groups }
    }
}

/// How a job ended, in words for labels.
const OUTCOMES: [&str; 9] = [
    "completed",
    "failed",
    "cached",
    "cancelled",
    "queue-timeout",
    "execution-timeout",
    "attempts-exhausted",
    "policy-failed",
    "refused",
];

/// The counts of one partition.
#[derive(Debug, Default)]
pub struct Tally {
    outcomes: [AtomicU64; OUTCOMES.len()],
    retries: AtomicU64,
    pruned: AtomicU64,
    /// From acceptance until a bot was first heard to work on an attempt.
    queued: Times,
    /// From acceptance until the end, of jobs that a bot had.
    total: Times,
}

impl Tally {
    /// A fact that the book has applied.
    pub(crate) fn note(&self, fact: &Fact, book: &Book) {
        match fact {
            Fact::LeaseStarted { lease, at, .. } => add_since(&self.queued, book, lease.job, *at),
            Fact::AttemptFailed(_) | Fact::AttemptLost { .. } => _ = self.retries.fetch_add(1, Relaxed),
            Fact::JobCompleted { job, at, outcome, .. } => {
                self.outcomes[place(*outcome)].fetch_add(1, Relaxed);
                if matches!(outcome, Outcome::Reported { .. } | Outcome::Failed { .. } | Outcome::ExecutionTimeout) {
                    add_since(&self.total, book, *job, *at);
                }
            }
            _ => {}
        }
    }

    /// How jobs ended, in words, and how many did so.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        OUTCOMES.into_iter().zip(&self.outcomes).map(|(name, count)| (name, count.load(Relaxed))).collect()
    }

    /// Attempts that failed or whose bot was lost.
    pub fn failed_attempts(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Finished jobs that retention deleted.
    pub fn pruned(&self) -> u64 {
        self.pruned.load(Relaxed)
    }

    /// Retention deleted so many.
    pub(crate) fn note_pruned(&self, jobs: usize) {
        self.pruned.fetch_add(jobs as u64, Relaxed);
    }

    /// Times of jobs by phase: `queued` and `total`.
    pub fn times(&self) -> [(&'static str, TimesRead); 2] {
        [("queued", self.queued.read()), ("total", self.total.read())]
    }
}

fn add_since(times: &Times, book: &Book, job: JobId, at: Timestamp) {
    if let Some(queued_at) = book.queued_at(job) {
        times.add(at.since(queued_at));
    }
}

fn place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Reported { code: 0, .. } => 0,
        Outcome::Reported { .. } => 1,
        Outcome::Cached => 2,
        Outcome::Cancelled => 3,
        Outcome::QueueTimeout => 4,
        Outcome::ExecutionTimeout => 5,
        Outcome::AttemptsExhausted { .. } => 6,
        Outcome::Failed { .. } => 7,
        Outcome::Refused => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_once_and_where_it_belongs() {
        let times = Times::default();
        for micros in [0, 1_000, 1_001, 5_000_000, u64::MAX] {
            times.add(Duration::from_micros(micros));
        }
        let read = times.read();
        assert_eq!(read.count, 5);
        assert_eq!(read.groups[..2], [(0.001, 2), (0.005, 1)]);
        assert_eq!(read.groups[7], (5.0, 1));
        assert_eq!(read.groups[15], (f64::INFINITY, 1));
    }

    #[test]
    fn each_outcome_has_a_word_of_its_own() {
        let all = [
            Outcome::Reported { code: 0, cacheable: true },
            Outcome::Reported { code: 13, cacheable: false },
            Outcome::Cached,
            Outcome::Cancelled,
            Outcome::QueueTimeout,
            Outcome::ExecutionTimeout,
            Outcome::AttemptsExhausted { code: 14 },
            Outcome::Failed { code: 0 },
            Outcome::Refused,
        ];
        assert_eq!(all.map(place), [0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
}
