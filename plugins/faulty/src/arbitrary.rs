//! Any answer at all: the fault `arbitrary-N` makes one from the number N. Most parts are as they should be, so that
//! what is wrong with a part is found behind good ones too.

use berth_policy_sdk::after_attempt::{Action, Retry, Verdict};
use berth_policy_sdk::priority::{Affinity, Limit};
use berth_policy_sdk::{ExecutionAnswer, Places, Property, Refusal, WorkerAnswer, create_job, queue_job, unmatched};

use crate::misdeeds::not_a_text;

/// Numbers that follow from one number (splitmix64).
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of a fault, if it asks for any answer at all.
    pub(crate) fn of(fault: &str) -> Option<Self> {
        Some(Self(fault.strip_prefix("arbitrary-")?.parse().ok()?))
    }

    pub(crate) fn execution(&mut self) -> Result<ExecutionAnswer, Refusal> {
        self.refusal()?;
        let preferred = self.rarely().then(|| self.properties());
        Ok(ExecutionAnswer { label: self.text(64), requirements: self.properties(), preferred })
    }

    pub(crate) fn worker(&mut self) -> Result<WorkerAnswer, Refusal> {
        self.refusal()?;
        let labels = self.many(64, |dice| dice.text(64));
        let capabilities = self.many(64, Self::properties);
        Ok(WorkerAnswer { labels, capabilities, score: self.number() as u32 })
    }

    pub(crate) fn scores(&mut self, pairs: usize) -> Vec<u32> {
        self.column(pairs, |dice| dice.number() as u32)
    }

    pub(crate) fn nobody(&mut self) -> unmatched::Verdict {
        match self.refusal() {
            Ok(()) => unmatched::Verdict::Wait(self.number()),
            Err(refusal) => unmatched::Verdict::Refuse(refusal),
        }
    }

    pub(crate) fn places(&mut self, jobs: usize, strings: usize) -> Places {
        let own = self.many(300, |dice| dice.text(256));
        let limits = self.many(9, |dice| Limit {
            name: dice.text(256),
            max_running: dice.perhaps(|dice| dice.number() as u32),
            max_queued: dice.perhaps(|dice| dice.number() as u32),
            min_running: dice.number() as u32,
            evict_after_ms: dice.perhaps(|dice| dice.number() as u32),
            cool_down_ms: dice.number() as u32,
        });
        let affinities = self.many(5, |dice| Affinity {
            key: dice.text(256),
            weight: dice.number() as u32,
            wait_ms: dice.number() as u32,
        });
        let all = strings + own.len();
        Places {
            lane: self.perhaps(|dice| dice.column(jobs, |dice| dice.index(all))),
            weight: self.perhaps(|dice| dice.column(jobs, |dice| dice.number() as u32)),
            rank: self.perhaps(|dice| dice.column(jobs, |dice| dice.number() as i64)),
            counters: self.perhaps(|dice| dice.indexes(jobs, limits.len(), 8)),
            affine: self.perhaps(|dice| dice.indexes(jobs, affinities.len(), 4)),
            history: self.perhaps(|dice| dice.column(jobs, |dice| dice.index(all))),
            again_ms: self.perhaps(|dice| dice.column(jobs, |dice| dice.number() as u32)),
            strings: own,
            limits,
            affinities,
        }
    }

    pub(crate) fn lane(&mut self, lanes: usize) -> Option<u32> {
        self.perhaps(|dice| dice.index(lanes))
    }

    pub(crate) fn create(&mut self) -> Result<create_job::Amendments, Refusal> {
        self.refusal()?;
        Ok(create_job::Amendments {
            platform: self.perhaps(Self::properties),
            priority: self.perhaps(|dice| dice.number() as i32),
            timeout_ms: self.perhaps(Self::number),
            queue_timeout_ms: self.perhaps(Self::number),
        })
    }

    pub(crate) fn queue(&mut self) -> Result<queue_job::Amendments, Refusal> {
        self.refusal()?;
        let rank = self.perhaps(|dice| dice.number() as i64);
        Ok(queue_job::Amendments { rank, queue_timeout_ms: self.perhaps(Self::number) })
    }

    pub(crate) fn verdict(&mut self) -> Verdict {
        let action = match self.below(3) {
            0 => Action::Complete,
            1 => Action::Fail(self.text(1024)),
            _ => Action::Retry(Retry {
                after_ms: self.number(),
                elsewhere: self.rarely(),
                requirements: self.perhaps(Self::properties),
                counts: self.rarely(),
            }),
        };
        Verdict { action, quarantine_bot_ms: self.number() }
    }

    pub(crate) fn keep(&mut self, jobs: usize) -> Vec<u64> {
        self.column(jobs, Self::number)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    fn rarely(&mut self) -> bool {
        self.below(16) == 0
    }

    fn perhaps<T>(&mut self, make: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 0).then(|| make(self))
    }

    /// The bounds of the contract, what is beside them, and the ends of what a number can be.
    fn number(&mut self) -> u64 {
        const BOUNDS: [u64; 8] = [0, 1, 1000, 10_000, i32::MAX as u64, u32::MAX as u64, i64::MAX as u64, u64::MAX];
        match self.below(4) {
            0 => BOUNDS[self.below(BOUNDS.len())].wrapping_add(self.next() % 3).wrapping_sub(1),
            1 => self.next(),
            _ => 1000 + self.next() % 9000,
        }
    }

    fn index(&mut self, length: usize) -> u32 {
        if self.rarely() { self.number() as u32 } else { self.below(length) as u32 }
    }

    fn text(&mut self, bytes_max: usize) -> String {
        match self.below(64) {
            0 => String::new(),
            1 => not_a_text(),
            2 => "x".repeat(bytes_max),
            3 => "x".repeat(bytes_max + 1),
            4 => "ü".repeat(bytes_max / 2 + 1),
            5 => "two words\t\u{1f6a2}\0".to_owned(),
            6 => "=".to_owned(),
            _ => format!("word-{}", self.below(8)),
        }
    }

    fn properties(&mut self) -> Vec<Property> {
        self.many(1024, |dice| Property { name: dice.text(1024), value: dice.text(4096) })
    }

    /// Usually a few; now and then as many as there may be, or one more.
    fn many<T>(&mut self, most: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = match self.below(64) {
            0 => most,
            1 => most + 1,
            2 => 0,
            _ => 1 + self.below(3),
        };
        (0..length).map(|_| make(self)).collect()
    }

    /// Usually one entry a row.
    fn column<T>(&mut self, rows: usize, mut make: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let length = match self.below(32) {
            0 => rows + 1,
            1 => rows.saturating_sub(1),
            _ => rows,
        };
        (0..length).map(|_| make(self)).collect()
    }

    /// For each row, indexes into a table.
    fn indexes(&mut self, rows: usize, length: usize, most: usize) -> Vec<Vec<u32>> {
        self.column(rows, |dice| match dice.below(8) {
            0 => dice.many(most, |dice| dice.index(length)),
            1 => Vec::new(),
            _ => vec![dice.index(length)],
        })
    }

    fn refusal(&mut self) -> Result<(), Refusal> {
        if !self.rarely() {
            return Ok(());
        }
        let text = self.text(4096);
        Err(match self.below(6) {
            0 => Refusal::unknown_property(text, self.text(4096)),
            1 => Refusal::DuplicateProperty(text),
            2 => Refusal::malformed_property(text, self.text(4096)),
            3 => Refusal::FailedPrecondition(text),
            4 => Refusal::Denied(text),
            _ => Refusal::exhausted(text, self.number()),
        })
    }
}
