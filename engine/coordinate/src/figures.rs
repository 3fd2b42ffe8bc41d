//! What the door counts: requests, errors and durations, by method. For whoever shows metrics.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use crate::methods;

/// Upper bounds of the groups that durations are counted in, in microseconds. What takes longer is in one more.
const BOUNDS_US: [u64; 12] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 100_000, 500_000, 2_500_000, 10_000_000];

/// The counts of one door, of all its connections.
#[derive(Debug)]
pub struct Figures(Vec<Counted>);

#[derive(Debug, Default)]
struct Counted {
    errors: AtomicU64,
    micros: AtomicU64,
    groups: [AtomicU64; BOUNDS_US.len() + 1],
}

/// What was counted of one method.
#[derive(Clone, Debug, PartialEq)]
pub struct MethodFigures {
    /// Its name; `other` stands for all that are no method.
    pub method: &'static str,
    /// Requests that were answered.
    pub requests: u64,
    /// Those that were answered with an error. What is refused within a result is none.
    pub errors: u64,
    /// Time from the reading of requests to their replies, in seconds, all together.
    pub seconds: f64,
    /// Requests by how long they took: upper bound in seconds, and how many took no longer, but longer than the bound before.
    pub groups: Vec<(f64, u64)>,
}

impl Default for Figures {
    fn default() -> Self {
        Self(methods::names().map(|_| Counted::default()).collect())
    }
}

impl Figures {
    /// A request was answered.
    pub(crate) fn count(&self, method: usize, error: bool, took: Duration) {
        let counted = &self.0[method];
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let group = BOUNDS_US.partition_point(|bound| *bound < micros);
        counted.groups[group].fetch_add(1, Relaxed);
        counted.micros.fetch_add(micros, Relaxed);
        if error {
            counted.errors.fetch_add(1, Relaxed);
        }
    }

    /// Of each method that was ever asked for.
    pub fn read(&self) -> Vec<MethodFigures> {
        let bounds = BOUNDS_US.iter().map(|bound| *bound as f64 / 1e6).chain([f64::INFINITY]);
        let figures = methods::names().zip(&self.0).map(|(method, counted)| {
            let groups: Vec<(f64, u64)> =
                bounds.clone().zip(&counted.groups).map(|(bound, count)| (bound, count.load(Relaxed))).collect();
            MethodFigures {
                method,
                requests: groups.iter().map(|(_, count)| count).sum(),
                errors: counted.errors.load(Relaxed),
                seconds: counted.micros.load(Relaxed) as f64 / 1e6,
                groups,
            }
        });
        figures.filter(|figures| figures.requests > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_counted_once_and_where_it_belongs() {
        let figures = Figures::default();
        assert!(figures.read().is_empty());
        let get_work = methods::number(b"get_work");
        for (micros, error) in [(90, false), (100, false), (101, true), (u64::MAX, false)] {
            figures.count(get_work, error, Duration::from_micros(micros));
        }
        figures.count(methods::number(b"nosuch"), true, Duration::ZERO);
        let [get_work, other] = &figures.read()[..] else { panic!("two were asked for") };
        assert_eq!((get_work.method, get_work.requests, get_work.errors), ("get_work", 4, 1));
        let groups: Vec<u64> = get_work.groups.iter().map(|(_, count)| *count).collect();
        assert_eq!(groups, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((other.method, other.requests, other.errors), ("other", 1, 1));
    }
}
