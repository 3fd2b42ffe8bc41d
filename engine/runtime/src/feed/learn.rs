//! What is learnt of jobs with one history key: the newest durations, weighed by their age.
//!
//! The newest 32 durations are kept as they are. That is exact where a sketch would guess, small (about a hundred
//! bytes), and forgets what is old by itself.

use berth_proto::store as pb;

use crate::plugins::{events::Lesson, stats::Learnt};

/// Durations that are kept.
const KEPT: usize = 32;

/// What a duration weighs beside the next newer one.
const DECAY: f64 = 0.95;

/// How many outcomes are kept, a bit each.
const OUTCOMES_MASK: u32 = 0xffff;

/// One more job has ended.
pub(crate) fn learn(row: &mut pb::Learnt, lesson: &Lesson, ran_ms: u64, sequence: u64) {
    // A failure says little of how long a success takes.
    if !lesson.failed {
        row.ran_ms.insert(0, u32::try_from(ran_ms).unwrap_or(u32::MAX));
        row.ran_ms.truncate(KEPT);
    }
    row.failures = (row.failures << 1 | u32::from(lesson.failed)) & OUTCOMES_MASK;
    row.peak_memory_bytes = row.peak_memory_bytes.max(lesson.peak_memory_bytes);
    row.used = sequence;
}

/// What it adds up to.
pub(crate) fn summary(row: &pb::Learnt) -> Learnt {
    let mut weighed = Vec::with_capacity(row.ran_ms.len());
    let mut weight = 1.0;
    for ran_ms in &row.ran_ms {
        weighed.push((u64::from(*ran_ms), weight));
        weight *= DECAY;
    }
    let total: f64 = weighed.iter().map(|(_, weight)| weight).sum();
    let sum: f64 = weighed.iter().map(|(ran_ms, weight)| *ran_ms as f64 * weight).sum();
    weighed.sort_unstable_by_key(|(ran_ms, _)| *ran_ms);
    Learnt {
        samples: row.ran_ms.len() as u32,
        mean_ms: if total > 0.0 { (sum / total).round() as u64 } else { 0 },
        p50_ms: quantile(&weighed, total * 0.5),
        p90_ms: quantile(&weighed, total * 0.9),
        max_ms: weighed.last().map_or(0, |(ran_ms, _)| *ran_ms),
        peak_memory_bytes: row.peak_memory_bytes,
        failures: row.failures.count_ones(),
    }
}

/// The first value at which the weights of it and all smaller ones reach `target`.
fn quantile(sorted: &[(u64, f64)], target: f64) -> u64 {
    let mut sum = 0.0;
    let reaches = |(_, weight): &&(u64, f64)| {
        sum += weight;
        sum >= target
    };
    sorted.iter().find(reaches).or(sorted.last()).map_or(0, |(ran_ms, _)| *ran_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lesson(failed: bool, peak_memory_bytes: u64) -> Lesson {
        Lesson { history: "key".into(), failed, peak_memory_bytes }
    }

    #[test]
    fn nothing_is_known_at_first() {
        assert_eq!(summary(&pb::Learnt::default()), Learnt::default());
    }

    #[test]
    fn new_durations_weigh_more_than_old_ones() {
        let mut row = pb::Learnt::default();
        for ran_ms in [1_000; 20].into_iter().chain([100; 20]) {
            learn(&mut row, &lesson(false, 0), ran_ms, 1);
        }
        let learnt = summary(&row);
        assert_eq!((learnt.samples, learnt.p50_ms, learnt.p90_ms, learnt.max_ms), (32, 100, 1_000, 1_000));
        assert!((280..290).contains(&learnt.mean_ms), "{}", learnt.mean_ms);
        for _ in 0..12 {
            learn(&mut row, &lesson(false, 0), 100, 2);
        }
        assert_eq!(summary(&row).max_ms, 100);
        assert_eq!(row.used, 2);
    }

    #[test]
    fn failures_are_of_the_last_sixteen_and_tell_no_duration() {
        let mut row = pb::Learnt::default();
        (0..20).for_each(|_| learn(&mut row, &lesson(true, 7), 9, 1));
        assert_eq!(summary(&row), Learnt { failures: 16, peak_memory_bytes: 7, ..Learnt::default() });
        (0..10).for_each(|_| learn(&mut row, &lesson(false, 5), 9, 1));
        let learnt = summary(&row);
        assert_eq!((learnt.failures, learnt.samples, learnt.peak_memory_bytes), (6, 10, 7));
    }
}
