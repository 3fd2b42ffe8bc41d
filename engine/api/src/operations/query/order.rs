//! What comes first.

use std::cmp::Ordering;

use berth_core::Timestamp;
use berth_runtime::operations::Listed;

use super::key::Key;

/// A part of the order: a key, and whether the greatest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operations) struct SortKey {
    pub(in crate::operations) key: Key,
    pub(in crate::operations) descending: bool,
}

/// A value to be ordered. Values of one key are of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operations) enum Value {
    Number(i64),
    /// No time is after all times.
    Time(Option<Timestamp>),
    Text(String),
    Name(u128),
}

/// An operation and its place in an order.
#[derive(Clone, Debug)]
pub(in crate::operations) struct Ordered {
    /// One value for each key of the order, the name last: so no two operations have the same place.
    pub(in crate::operations) place: Vec<Value>,
    pub(in crate::operations) listed: Listed,
}

impl SortKey {
    pub(in crate::operations) const fn ascending(key: Key) -> Self {
        Self { key, descending: false }
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b)) => a.is_none().cmp(&b.is_none()).then(a.cmp(b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Name(a), Self::Name(b)) => a.cmp(b),
            (Self::Number(_) | Self::Time(_) | Self::Text(_) | Self::Name(_), _) => {
                unreachable!("values of one key are of one kind: a token is checked for it")
            }
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Which of two places of an order comes first.
pub(in crate::operations) fn compare(sort: &[SortKey], a: &[Value], b: &[Value]) -> Ordering {
    let parts = sort.iter().zip(a.iter().zip(b));
    let mut parts = parts.map(|(sort, (a, b))| if sort.descending { b.cmp(a) } else { a.cmp(b) });
    parts.find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}
