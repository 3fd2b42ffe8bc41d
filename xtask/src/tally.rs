//! Counts tests by reading what their runners print, so that `test` can end with one line.

use std::ops::AddAssign;

/// How many tests ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Tally {
    /// The counts that a line states, if it is one of:
    /// - cargo test's `test result: ok. 3 passed; 0 failed; 1 ignored; ...`
    /// - `3 passed, 0 failed` alone on a line, `, 1 skipped` may follow; so do our own runners.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let line = line.trim();
        let counts = match line.strip_prefix("test result: ") {
            Some(result) => result.split_once(". ")?.1,
            None if line.starts_with(|c: char| c.is_ascii_digit()) => line,
            None => return None,
        };
        let mut tally = Self::default();
        let mut seen = 0;
        for count in counts.split([';', ',']) {
            let Some((number, word)) = count.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse() else { continue };
            match word {
                "passed" => tally.passed = number,
                "failed" => tally.failed = number,
                "skipped" | "ignored" => tally.skipped = number,
                _ => continue,
            }
            seen += 1;
        }
        (seen >= 2).then_some(tally)
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::default()
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_lines_are_read() {
        let cargo = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 4 filtered out; finished in 0.1s";
        assert_eq!(Tally::read(cargo), Some(Tally { passed: 3, failed: 2, skipped: 1 }));
        assert_eq!(Tally::read("12 passed, 0 failed"), Some(Tally { passed: 12, failed: 0, skipped: 0 }));
        assert_eq!(Tally::read("12 passed, 3 failed, 1 skipped\n"), Some(Tally { passed: 12, failed: 3, skipped: 1 }));
    }

    #[test]
    fn other_lines_are_not() {
        for line in ["running 3 tests", "test a ... ok", "3 passed", "it says 3 passed, 0 failed", "", "7 jobs, 2 bots"]
        {
            assert_eq!(Tally::read(line), None, "{line}");
        }
    }
}
