//! What the candidate answered in another way: counted by where the answers differ, and the last ones whole.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::Value;

use super::{Difference, Differing};
use crate::stats::Function;

/// The last differences are kept.
const KEPT_MAX: usize = 200;
/// Kinds of differences that are counted apart; what comes beyond is counted as one kind.
const KINDS_MAX: usize = 200;
/// Places of a kind that are named.
const PLACES_MAX: usize = 4;

/// Differences so far.
#[derive(Default)]
pub(super) struct Differences {
    kept: VecDeque<Difference>,
    kinds: BTreeMap<(Function, String), u64>,
}

impl Differences {
    pub(super) fn add(&mut self, difference: Difference) {
        let mut kind = (difference.function, difference.place.clone());
        if self.kinds.len() >= KINDS_MAX && !self.kinds.contains_key(&kind) {
            kind.1 = "elsewhere".to_owned();
        }
        *self.kinds.entry(kind).or_default() += 1;
        if self.kept.len() == KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(difference);
    }

    pub(super) fn kept(&self) -> Vec<Difference> {
        self.kept.iter().cloned().collect()
    }

    /// The most frequent first.
    pub(super) fn kinds(&self) -> Vec<Differing> {
        let kind = |((function, place), count): (&(Function, String), &u64)| Differing {
            function: *function,
            place: place.clone(),
            count: *count,
        };
        let mut kinds: Vec<_> = self.kinds.iter().map(kind).collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.count));
        kinds
    }
}

/// Where two answers differ: names of fields, joined by dots, `*` for any entry of a list; the first few of them.
pub(super) fn places(one: &Value, other: &Value) -> String {
    let mut found = BTreeSet::new();
    walk(one, other, &mut Vec::new(), &mut found);
    let more = if found.len() > PLACES_MAX { ", ..." } else { "" };
    found.into_iter().take(PLACES_MAX).collect::<Vec<_>>().join(", ") + more
}

fn walk<'a>(one: &'a Value, other: &'a Value, path: &mut Vec<&'a str>, found: &mut BTreeSet<String>) {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let names: BTreeSet<_> = one.keys().chain(other.keys()).collect();
            for name in names {
                // An answer of the one kind and one of the other differ as a whole.
                let (one, other) = (one.get(name).unwrap_or(&Value::Null), other.get(name).unwrap_or(&Value::Null));
                // Every answer is within one.
                let deeper = name != "answer";
                if deeper {
                    path.push(name);
                }
                walk(one, other, path, found);
                if deeper {
                    path.pop();
                }
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            path.push("*");
            one.iter().zip(other).for_each(|(one, other)| walk(one, other, path, found));
            path.pop();
        }
        _ if one == other => {}
        _ => {
            let place = path.join(".");
            found.insert(if place.is_empty() { "answer".to_owned() } else { place });
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_fields_that_differ_are_named_once() {
        let place = |rank: i64, lane: &str| json!({ "rank": rank, "lane": lane });
        let of = |places: &[Value]| json!({ "answer": { "places": places } });
        let one = of(&[place(1, "a"), place(2, "b")]);
        assert_eq!(places(&one, &of(&[place(5, "a"), place(6, "b")])), "places.*.rank");
        assert_eq!(places(&one, &of(&[place(5, "a"), place(2, "c")])), "places.*.lane, places.*.rank");
        assert_eq!(places(&one, &of(&[place(1, "a")])), "places");
        assert_eq!(places(&one, &json!({ "refusal": { "denied": "no" } })), "answer, refusal");
        assert_eq!(places(&one, &Value::Null), "answer");
    }

    #[test]
    fn many_kinds_and_many_differences_take_no_more_room() {
        let mut all = Differences::default();
        for number in 0..1_000 {
            all.add(Difference {
                function: Function::Place,
                place: format!("field-{number}"),
                question_digest: String::new(),
                question: String::new(),
                active: String::new(),
                candidate: format!("{number}"),
            });
        }
        assert_eq!(all.kept().len(), KEPT_MAX);
        assert_eq!(all.kept().last().map(|last| last.candidate.as_str()), Some("999"));
        let kinds = all.kinds();
        assert_eq!(kinds.len(), KINDS_MAX + 1);
        assert_eq!((kinds[0].place.as_str(), kinds[0].count), ("elsewhere", 800));
    }
}
