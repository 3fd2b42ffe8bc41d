//! Figures that a plugin reports through `metrics`, bounded by number, for the server's `/metrics`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Names of one plugin.
const NAMES_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 64;
/// Upper ends of a histogram's buckets: powers of ten with two steps between, whatever the unit.
const ENDS: [f64; 22] = [
    1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1e3, 1e4,
    1e5, 1e6,
];

/// One figure.
#[derive(Clone, Debug, PartialEq)]
pub enum Figure {
    /// Only grows.
    Counter(u64),
    /// As it was set last.
    Gauge(f64),
    /// Values that were seen.
    Histogram {
        /// How many.
        count: u64,
        /// All together.
        sum: f64,
        /// How many were in each bucket: its upper end, and the count. The last one is open.
        buckets: Vec<(f64, u64)>,
    },
}

/// All figures of a plugin.
#[derive(Default)]
pub(crate) struct Figures(Mutex<Inner>);

#[derive(Default)]
struct Inner {
    by_name: BTreeMap<String, Figure>,
    dropped: u64,
}

impl Figures {
    pub(crate) fn count(&self, name: &str, by: u64) -> Result<(), String> {
        self.change(
            name,
            || Figure::Counter(0),
            |figure| {
                let Figure::Counter(value) = figure else { return false };
                *value = value.saturating_add(by);
                true
            },
        )
    }

    pub(crate) fn gauge(&self, name: &str, to: f64) -> Result<(), String> {
        finite(name, to)?;
        self.change(
            name,
            || Figure::Gauge(0.0),
            |figure| {
                let Figure::Gauge(value) = figure else { return false };
                *value = to;
                true
            },
        )
    }

    pub(crate) fn observe(&self, name: &str, seen: f64) -> Result<(), String> {
        finite(name, seen)?;
        let empty = || {
            let buckets = ENDS.iter().chain([&f64::INFINITY]).map(|end| (*end, 0)).collect();
            Figure::Histogram { count: 0, sum: 0.0, buckets }
        };
        self.change(name, empty, |figure| {
            let Figure::Histogram { count, sum, buckets } = figure else { return false };
            *count += 1;
            *sum += seen;
            let place = buckets.partition_point(|(end, _)| *end < seen);
            buckets[place].1 += 1;
            true
        })
    }

    /// All figures by name, and how many changes were dropped because there were too many names.
    pub(crate) fn snapshot(&self) -> (Vec<(String, Figure)>, u64) {
        let inner = self.lock();
        (inner.by_name.iter().map(|(name, figure)| (name.clone(), figure.clone())).collect(), inner.dropped)
    }

    fn change(
        &self,
        name: &str,
        empty: impl FnOnce() -> Figure,
        change: impl FnOnce(&mut Figure) -> bool,
    ) -> Result<(), String> {
        let mut inner = self.lock();
        if let Some(figure) = inner.by_name.get_mut(name) {
            return if change(figure) { Ok(()) } else { Err(format!("metric {name:?} is of another kind")) };
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
            let shown = crate::instance::cut(name, 100);
            return Err(format!("a metric named {shown:?}; 1 to {NAME_BYTES_MAX} of [a-z0-9_] are allowed"));
        }
        if inner.by_name.len() == NAMES_MAX {
            inner.dropped += 1;
            return Ok(());
        }
        let mut figure = empty();
        change(&mut figure);
        inner.by_name.insert(name.to_owned(), figure);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics under this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn finite(name: &str, value: f64) -> Result<(), String> {
    if value.is_finite() { Ok(()) } else { Err(format!("metric {:?} is {value}", crate::instance::cut(name, 100))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_add_up() {
        let figures = Figures::default();
        for value in [0.5, 3.0, 1e9] {
            figures.count("jobs", 2).unwrap();
            figures.gauge("open", value).unwrap();
            figures.observe("size", value).unwrap();
        }
        let (all, dropped) = figures.snapshot();
        assert_eq!(dropped, 0);
        assert_eq!(all[0], ("jobs".to_owned(), Figure::Counter(6)));
        assert_eq!(all[1], ("open".to_owned(), Figure::Gauge(1e9)));
        let Figure::Histogram { count, sum, buckets } = &all[2].1 else { panic!("{:?}", all[2]) };
        assert_eq!((*count, *sum), (3, 1e9 + 3.5));
        let filled: Vec<_> = buckets.iter().filter(|(_, count)| *count > 0).map(|(end, _)| *end).collect();
        assert_eq!(filled, [0.5, 5.0, f64::INFINITY]);
    }

    #[test]
    fn names_are_few_and_plain_and_values_are_numbers() {
        let figures = Figures::default();
        for number in 0..200 {
            figures.count(&format!("name_{number}"), 1).unwrap();
        }
        let (all, dropped) = figures.snapshot();
        assert_eq!((all.len(), dropped), (100, 100));
        for name in ["", "Upper", "with space", &"x".repeat(65)] {
            assert!(figures.count(name, 1).is_err(), "{name}");
        }
        assert!(figures.gauge("name_1", 1.0).unwrap_err().contains("another kind"));
        assert!(figures.gauge("g", f64::NAN).is_err() && figures.observe("h", f64::INFINITY).is_err());
    }
}
