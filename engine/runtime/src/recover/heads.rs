//! One pass over the rows of jobs: those with a lease, and of each line (jobs of one class in one lane) those that go
//! first. Keeps the rows that may be wanted as bytes, in bounded room, and decodes what it kept at the end.

use std::{cmp::Ordering, collections::BinaryHeap};

use berth_core::{Hidden, HiddenLine, JobId, JobRow};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::codec::{self, CodecError};

/// How much is restored before bots are served. More takes longer; less runs out of work before the rest is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Jobs without a lease, over all lines; each line has at least one.
    pub jobs: usize,
    /// Lines. Where there are more, nobody is given work before all jobs are loaded.
    pub lines: usize,
}

impl Default for Limits {
    /// Work for some seconds; read in less than a tenth of one.
    fn default() -> Self {
        Self { jobs: 8_192, lines: 16_384 }
    }
}

pub(super) struct Heads {
    limits: Limits,
    has_lease: FxHashSet<JobId>,
    leased: Vec<Vec<u8>>,
    /// Emptied for good once there are too many.
    lines: Vec<Line>,
    by_bytes: FxHashMap<Box<[u8]>, usize>,
    blind: bool,
    /// Jobs that each line may keep; halved when all lines together keep too many.
    share: usize,
    kept: usize,
    /// Jobs without a lease.
    waiting: usize,
    scratch: Vec<u8>,
}

/// Jobs that differ in nothing but their place.
struct Line {
    /// The first of them, one more than the share: the last of these is the first that is not restored, if there is
    /// any.
    first: BinaryHeap<Candidate>,
    jobs: usize,
    /// Age and weight of the newest.
    newest: (u64, u32),
}

struct Candidate {
    place: (i64, u64),
    row: Vec<u8>,
}

impl Heads {
    pub(super) fn new(limits: Limits, has_lease: impl Iterator<Item = JobId>) -> Self {
        Self {
            limits,
            has_lease: has_lease.collect(),
            leased: Vec::new(),
            lines: Vec::new(),
            by_bytes: FxHashMap::default(),
            blind: false,
            share: limits.jobs.max(1),
            kept: 0,
            waiting: 0,
            scratch: Vec::new(),
        }
    }

    pub(super) fn look(&mut self, key: &[u8], row: &[u8]) -> Result<(), CodecError> {
        let job = codec::key_id(key).map(JobId).ok_or(CodecError::Field("key"))?;
        if !self.has_lease.is_empty() && self.has_lease.contains(&job) {
            self.leased.push(row.to_vec());
            return Ok(());
        }
        self.waiting += 1;
        if self.blind {
            return Ok(());
        }
        let turn = codec::read_turn(row)?;
        let line = self.line(&turn);
        let line = &mut self.lines[line];
        line.jobs += 1;
        line.newest = line.newest.max((turn.place.1, turn.weight));
        if line.first.len() <= self.share {
            line.first.push(Candidate { place: turn.place, row: row.to_vec() });
            self.kept += 1;
            self.tighten();
        } else if let Some(mut last) = line.first.peek_mut()
            && turn.place < last.place
        {
            last.place = turn.place;
            last.row.clear();
            last.row.extend_from_slice(row);
        }
        Ok(())
    }

    /// The rows to restore now, and what is hidden; `None`: nothing is.
    pub(super) fn finish(self) -> Result<(Vec<JobRow>, Option<Hidden>), CodecError> {
        let mut jobs = Vec::with_capacity(self.leased.len() + self.kept);
        for row in self.leased {
            jobs.push(codec::decode_job(&row)?);
        }
        let mut hidden = Vec::new();
        let mut shown = 0;
        for mut line in self.lines {
            if line.jobs > line.first.len() {
                let first = line.first.pop().expect("a line has a job, and its share is one at least");
                let (newest, weight) = line.newest;
                hidden.push(HiddenLine { first: codec::decode_job(&first.row)?, weight, newest });
            }
            shown += line.first.len();
            for candidate in line.first {
                jobs.push(codec::decode_job(&candidate.row)?);
            }
        }
        let left = self.waiting - shown;
        let hidden = (left > 0).then_some(Hidden { jobs: left, lines: (!self.blind).then_some(hidden) });
        Ok((jobs, hidden))
    }

    /// Keeps what is kept within bounds.
    fn tighten(&mut self) {
        while self.kept > self.limits.jobs + self.lines.len() && self.share > 1 {
            self.share /= 2;
            for line in &mut self.lines {
                while line.first.len() > self.share + 1 {
                    line.first.pop();
                    self.kept -= 1;
                }
            }
        }
        if self.lines.len() > self.limits.lines {
            self.blind = true;
            (self.lines, self.by_bytes, self.kept) = (Vec::new(), FxHashMap::default(), 0);
        }
    }

    /// Where the line of a job is.
    fn line(&mut self, turn: &codec::Turn<'_>) -> usize {
        self.scratch.clear();
        self.scratch.extend_from_slice(turn.instance);
        // A zero byte cannot stand in an instance name.
        self.scratch.push(0);
        self.scratch.extend_from_slice(turn.line);
        self.scratch.extend_from_slice(turn.limits);
        if let Some(line) = self.by_bytes.get(&self.scratch[..]) {
            return *line;
        }
        self.lines.push(Line { first: BinaryHeap::new(), jobs: 0, newest: (0, 0) });
        self.by_bytes.insert(self.scratch.clone().into(), self.lines.len() - 1);
        self.lines.len() - 1
    }
}

/// By place: the last of a line is the greatest.
impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Candidate {}

#[cfg(test)]
mod tests {
    use berth_core::{
        Digest, InstanceName, JobRowState, LaneKey, OperationId, OperationRow, Property, PropertySet, Timestamp,
    };

    use super::*;

    /// Jobs of `lines` lines, their ranks scattered; ages begin at 1.
    fn rows(count: u64, lines: u64) -> Vec<JobRow> {
        let row = |age: u64| JobRow {
            job: JobId(u128::from(age)),
            instance: InstanceName::from("main"),
            action: Digest { hash: [1; 32], size_bytes: 1 },
            do_not_cache: false,
            requirements: [Property::new("pool", (age % lines).to_string())].into_iter().collect(),
            label: "".into(),
            lane: LaneKey::default(),
            weight: age as u32,
            rank: (age.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60) as i64,
            limits: Vec::new(),
            affinities: Vec::new(),
            age,
            queued_at: Timestamp(1),
            again: None,
            queue_timeout: None,
            execution_timeout: None,
            offers: 0,
            attempts_used: 0,
            operations: vec![OperationRow { operation: OperationId(u128::from(age)), cancelled: None, deleted: false }],
            setbacks: None,
            past: Vec::new(),
            started_at: None,
            state: JobRowState::Queued,
            preferred: None,
        };
        (1..=count).map(row).collect()
    }

    fn pass(rows: &[JobRow], limits: Limits, leased: &[u128]) -> (Vec<JobRow>, Option<Hidden>) {
        let mut heads = Heads::new(limits, leased.iter().copied().map(JobId));
        for row in rows {
            let mut bytes = Vec::new();
            codec::encode_job(row, &mut bytes);
            heads.look(&codec::id_key(row.job.0), &bytes).unwrap();
        }
        heads.finish().unwrap()
    }

    #[test]
    fn what_is_restored_of_a_line_comes_before_what_is_hidden_of_it() {
        for (count, lines, jobs) in [(1_000, 1, 10), (1_000, 7, 100), (1_000, 300, 20), (50, 60, 1), (9, 2, 8)] {
            let all = rows(count, lines);
            let leased = [3, 8];
            let (now, hidden) = pass(&all, Limits { jobs, lines: 400 }, &leased);
            let hidden = hidden.unwrap_or(Hidden { jobs: 0, lines: Some(Vec::new()) });
            let by_line = hidden.lines.unwrap();
            assert_eq!(now.len() + hidden.jobs, all.len());
            assert!(now.len() <= jobs.max(lines as usize) + leased.len(), "{} of {jobs} jobs", now.len());
            let is_now = |row: &&JobRow| now.contains(row);
            assert!(leased.iter().all(|id| now.iter().any(|row| row.job.0 == *id)));
            let of = |requirements: &PropertySet| {
                let mut line: Vec<_> = all.iter().filter(|row| row.requirements == *requirements).collect();
                line.retain(|row| !leased.contains(&row.job.0));
                line.sort_by_key(|row| (row.rank, row.age));
                line
            };
            for row in &all {
                let line = of(&row.requirements);
                let shown = line.iter().copied().filter(is_now).count();
                assert!(line.is_empty() || shown > 0, "each line has a job that is restored");
                assert!(line[..shown].iter().all(is_now), "the first of the line are");
                let told = by_line.iter().find(|told| told.first.requirements == row.requirements);
                assert_eq!(told.map(|told| &told.first), line.get(shown).copied());
                if let Some(told) = told {
                    let newest = line.iter().map(|row| row.age).max().unwrap();
                    assert_eq!((told.newest, told.weight), (newest, newest as u32));
                }
            }
        }
    }

    #[test]
    fn a_short_queue_is_restored_at_once() {
        let (now, hidden) = pass(&rows(20, 3), Limits { jobs: 20, lines: 3 }, &[1]);
        assert_eq!((now.len(), hidden), (20, None));
    }

    #[test]
    fn of_too_many_lines_nothing_is_said() {
        let (now, hidden) = pass(&rows(20, 5), Limits { jobs: 20, lines: 4 }, &[1]);
        assert_eq!((now.len(), hidden), (1, Some(Hidden { jobs: 19, lines: None })));
    }
}
