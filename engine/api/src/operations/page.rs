//! A page in the making: the first operations of an order that come after a place, as many as a page has and one more,
//! so that it is known whether there are more. What it holds does not grow with what it is offered.

use std::cmp::Ordering;

use berth_core::Timestamp;
use berth_runtime::operations::Listed;

use super::query::{Ordered, Query, Value, compare};

pub(super) struct Page<'a> {
    query: &'a Query,
    as_of: Timestamp,
    after: Option<&'a [Value]>,
    size: usize,
    /// In order.
    best: Vec<Ordered>,
}

impl<'a> Page<'a> {
    pub(super) fn new(query: &'a Query, as_of: Timestamp, after: Option<&'a [Value]>, size: usize) -> Self {
        Self { query, as_of, after, size, best: Vec::new() }
    }

    /// The operation's place in the order.
    pub(super) fn place(&self, listed: &Listed) -> Vec<Value> {
        self.query.sort.iter().map(|part| part.key.value(listed, Some(self.as_of))).collect()
    }

    /// Takes the operation in if it matches and is among the first. One that is there already is replaced: who comes
    /// later has seen it later.
    pub(super) fn offer(&mut self, listed: Listed) {
        if !self.query.conditions.iter().all(|condition| condition.holds(&listed)) {
            return;
        }
        let place = self.place(&listed);
        let sort = &self.query.sort;
        let is_before = |bound: &[Value]| compare(sort, &place, bound).is_lt();
        if self.after.is_some_and(|after| compare(sort, &place, after).is_le()) {
            return;
        }
        if self.best.len() > self.size && !is_before(&self.best[self.size].place) {
            return;
        }
        self.best.retain(|known| known.listed.view.operation != listed.view.operation);
        let at = self.best.partition_point(|known| compare(sort, &known.place, &place).is_lt());
        self.best.insert(at, Ordered { place, listed });
        self.best.truncate(self.size + 1);
    }

    /// Whether there are more than a page has: then what comes after the last of these is of no use.
    pub(super) fn last(&self) -> Option<&[Value]> {
        self.best.get(self.size).map(|last| &last.place[..])
    }

    /// Whether the page is full and everything that has this value of a key of its order, or one behind it, comes too
    /// late. Keys before that one are equal.
    pub(super) fn is_past(&self, part: usize, value: &Value) -> bool {
        let descending = self.query.sort[part].descending;
        let behind = if descending { Ordering::Less } else { Ordering::Greater };
        self.last().is_some_and(|last| value.cmp(&last[part]) == behind)
    }

    /// Whether the page is full and what has this place, or one behind it, comes too late.
    pub(super) fn is_past_place(&self, place: &[Value]) -> bool {
        self.last().is_some_and(|last| compare(&self.query.sort, place, last).is_gt())
    }

    /// The operations so far.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &Listed> {
        self.best.iter().map(|known| &known.listed)
    }

    /// The page, and the place after which the next one begins if there is one. `until`: what stands behind this place
    /// was not looked at.
    pub(super) fn finish(mut self, until: Option<Vec<Value>>) -> (Vec<Ordered>, Option<Vec<Value>>) {
        if let Some(until) = &until {
            let sort = &self.query.sort;
            self.best.retain(|known| compare(sort, &known.place, until).is_le());
        }
        let is_more = self.best.len() > self.size;
        self.best.truncate(self.size);
        let last = || self.best.last().map(|last| last.place.clone());
        let next = if is_more { last() } else { until };
        (self.best, next)
    }
}
