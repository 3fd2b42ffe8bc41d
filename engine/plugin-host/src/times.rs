//! How long calls took: fixed buckets, so that counting costs two additions and nothing is allocated.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Buckets to each doubling.
const STEPS: usize = 8;
/// Doublings from 64 ns on: beyond two minutes everything is in the last bucket.
const DOUBLINGS: usize = 31;
const SMALLEST_BITS: u32 = 6;
const BUCKETS: usize = STEPS * DOUBLINGS;

pub(crate) struct Times {
    nanos: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

/// What the buckets say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Snapshot {
    pub(crate) calls: u64,
    pub(crate) sum: Duration,
    pub(crate) p50: Duration,
    pub(crate) p99: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { nanos: AtomicU64::new(0), buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Times {
    pub(crate) fn add(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.nanos.fetch_add(nanos, Relaxed);
        self.buckets[bucket(nanos)].fetch_add(1, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let counts: Vec<u64> = self.buckets.iter().map(|bucket| bucket.load(Relaxed)).collect();
        let calls: u64 = counts.iter().sum();
        let quantile = |hundredths: u64| {
            let wanted = (calls * hundredths).div_ceil(100).max(1);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            found.map_or(Duration::ZERO, |found| Duration::from_nanos(upper(found)))
        };
        let sum = Duration::from_nanos(self.nanos.load(Relaxed));
        Snapshot { calls, sum, p50: quantile(50), p99: quantile(99) }
    }
}

fn bucket(nanos: u64) -> usize {
    let nanos = nanos.max(1 << SMALLEST_BITS);
    let doubling = nanos.ilog2();
    // The three bits below the leading one.
    let step = (nanos >> (doubling - 3)) as usize % STEPS;
    ((doubling - SMALLEST_BITS) as usize * STEPS + step).min(BUCKETS - 1)
}

/// The end of a bucket.
fn upper(bucket: usize) -> u64 {
    let (doubling, step) = (bucket / STEPS, (bucket % STEPS) as u64);
    (STEPS as u64 + step + 1) << (doubling + SMALLEST_BITS as usize - 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_an_eighth() {
        let times = Times::default();
        for nanos in 1..=10_000 {
            times.add(Duration::from_nanos(nanos * 100));
        }
        let seen = times.snapshot();
        assert_eq!((seen.calls, seen.sum), (10_000, Duration::from_nanos(100 * 10_000 * 10_001 / 2)));
        let near = |is: Duration, exact: f64| (is.as_nanos() as f64 / exact - 1.0).abs() < 0.13;
        assert!(near(seen.p50, 500_000.0) && near(seen.p99, 990_000.0), "{seen:?}");
    }

    #[test]
    fn every_duration_has_a_bucket_and_none_is_beyond_its_end() {
        for nanos in (0..63).map(|bits| 1_u64 << bits).flat_map(|power| [power - 1, power, power + power / 3]) {
            let found = bucket(nanos);
            assert!(found == BUCKETS - 1 || nanos < upper(found), "{nanos}");
            assert!(found == 0 || nanos >= upper(found - 1), "{nanos}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(Times::default().snapshot(), Snapshot::default());
    }
}
