//! Which finished operations are looked at for a page, and in which order.
//!
//! The order of the list decides, where its first key has rows of its own: then a page ends as soon as it is full. A
//! condition decides where few operations can meet it. Else all of them are looked at.
//!
//! Stages and times change while a client turns pages. In the order of a list they count as they were when its first
//! page was made, so that nothing is met twice and nothing is left out: what ended since stands with what has not ended.

use std::ops::Range;

use berth_core::{InstanceName, OperationId, Timestamp};
use berth_runtime::{
    History,
    operations::{self as orders, Index, Order, Walk},
    store::StoreError,
};

use super::query::{COMPLETED, Condition, Key, Operand, Operator, Query, SortKey, Value, digest_of};

/// If no more rows than this meet a condition, they are all looked at.
const FEW: usize = 5_000;

/// The walks over what is finished, one after the other.
pub(super) struct Plan {
    pub(super) parts: Vec<Part>,
    /// The key of the order by which the parts are walked.
    pub(super) primary: usize,
}

/// One walk.
pub(super) struct Part {
    pub(super) walk: Walk,
    pub(super) sequence: Sequence,
    /// All of it has this value of the primary key.
    pub(super) floor: Option<Value>,
}

/// What the order of a walk says of the order of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sequence {
    /// Nothing.
    None,
    /// Values of the primary key follow each other.
    Primary,
    /// Places do.
    Total,
}

/// What a plan is made for.
pub(super) struct Wanted<'a> {
    pub(super) instance: &'a InstanceName,
    pub(super) query: &'a Query,
    pub(super) after: Option<&'a [Value]>,
    pub(super) as_of: Timestamp,
}

impl Wanted<'_> {
    pub(super) async fn plan(&self, history: &History) -> Result<Plan, StoreError> {
        let primary = self.query.sort.iter().take_while(|part| part.key == Key::Stage).count();
        let mut plan = Plan { parts: Vec::new(), primary };
        if !self.wants_completed() {
            return Ok(plan);
        }
        let own = self.query.sort[primary].key.index();
        if let Some(few) = self.few(history, own).await? {
            plan.parts.push(few);
            return Ok(plan);
        }
        if primary > 0 {
            // What ended since the first page does not stand with the other finished ones.
            let range = self.range(Index::Completed);
            let since = self.since(Index::Completed);
            plan.parts.push(self.part(Index::Completed, meet(&range, &since), Order::Forward, Sequence::None));
        }
        match own {
            Some(index) => plan.parts.extend(self.ordered(index, primary)),
            None => plan.parts.push(self.part(Index::Name, self.range(Index::Name), Order::Forward, Sequence::None)),
        }
        Ok(plan)
    }

    /// Whether operations that are over can match.
    fn wants_completed(&self) -> bool {
        let stages = self.query.conditions.iter().filter(|condition| condition.key == Key::Stage);
        let mut bounds = stages.filter_map(|condition| match condition.operand {
            Operand::Number(stage) => Some((condition.operator, stage)),
            Operand::Text(_) | Operand::Property { .. } | Operand::Time(_) => None,
        });
        bounds.all(|(operator, stage)| operator.holds(COMPLETED.cmp(&stage)))
    }

    /// The shortest walk among those that conditions allow, if it is short.
    async fn few(&self, history: &History, own: Option<Index>) -> Result<Option<Part>, StoreError> {
        let mut best: Option<(usize, Index)> = None;
        for index in [Index::Name, Index::Action, Index::Invocation, Index::Queued, Index::Started, Index::Completed] {
            let range = self.range(index);
            if Some(index) == own || range == index.all(self.instance) {
                continue;
            }
            let count = history.count(index, range, FEW + 1).await?;
            if count <= FEW && best.is_none_or(|(least, _)| count < least) {
                best = Some((count, index));
            }
        }
        Ok(best.map(|(_, index)| self.part(index, self.range(index), Order::Forward, Sequence::None)))
    }

    /// The walk in the order of the list.
    fn ordered(&self, index: Index, primary: usize) -> Vec<Part> {
        let sort = &self.query.sort[primary..];
        let names = if let [_, SortKey { key: Key::Name, descending }] = sort { Some(*descending) } else { None };
        let (order, sequence) = match (sort[0].descending, sort[0].key == Key::Name, names) {
            (false, true, _) | (false, _, Some(false)) => (Order::Forward, Sequence::Total),
            (true, true, _) | (true, _, Some(true)) => (Order::Backward, Sequence::Total),
            (false, false, Some(true)) => (Order::ForwardNamesBackward, Sequence::Total),
            (true, false, Some(false)) => (Order::BackwardNamesForward, Sequence::Total),
            (false, false, None) => (Order::Forward, Sequence::Primary),
            (true, false, None) => (Order::Backward, Sequence::Primary),
        };
        let range = self.range(index);
        let mut parts = vec![self.part(index, range.clone(), order, sequence)];
        if matches!(index, Index::Started | Index::Completed) {
            let (since, never) = (self.since(index), index.group(self.instance, orders::Value::Time(None)));
            parts[0].walk.range = meet(&range, &(range.start.clone()..since.start.clone()));
            let by_name = if names == Some(true) { Order::Backward } else { Order::Forward };
            let late = [
                self.part(index, meet(&range, &(since.start..never.start.clone())), Order::Forward, Sequence::None),
                self.part(index, meet(&range, &never), by_name, sequence),
            ];
            let late = late.map(|part| Part { floor: Some(Value::Time(None)), ..part });
            let at = if sort[0].descending { 0 } else { parts.len() };
            parts.splice(at..at, late);
        }
        self.begin(&mut parts, primary);
        parts
    }

    /// Skips what comes before the place after which the page begins.
    fn begin(&self, parts: &mut Vec<Part>, primary: usize) {
        let Some(after) = self.after else { return };
        if primary > 0 {
            let (Value::Number(stage), descending) = (&after[0], self.query.sort[0].descending) else { return };
            match COMPLETED.cmp(stage) {
                std::cmp::Ordering::Equal => {}
                // All that is finished comes after the place, or before it.
                ordering if ordering.is_gt() != descending => return,
                _ => return parts.clear(),
            }
        }
        let (value, Some(Value::Name(name))) = (&after[primary], after.last()) else { return };
        let descending = self.query.sort[primary].descending;
        parts.retain(|part| match &part.floor {
            Some(floor) => {
                if descending {
                    floor <= value
                } else {
                    floor >= value
                }
            }
            // No time: the page begins behind all that has one, unless the greatest come first.
            None => descending || *value != Value::Time(None),
        });
        for part in parts {
            let is_own = match &part.floor {
                Some(floor) => floor == value,
                None => *value != Value::Time(None),
            };
            if !is_own {
                continue;
            }
            let (index, range) = (part.walk.index, &part.walk.range);
            match part.sequence {
                Sequence::Total => {
                    let key = |value: orders::Value<'_>| index.key(self.instance, value, OperationId(*name));
                    part.walk.after = with_walked(index, value, key);
                }
                Sequence::Primary => {
                    let group = |value: orders::Value<'_>| index.group(self.instance, value);
                    let Some(group) = with_walked(index, value, group) else { continue };
                    let rest = if descending { range.start.clone()..group.end } else { group.start..range.end.clone() };
                    part.walk.range = meet(range, &rest);
                }
                Sequence::None => {}
            }
        }
    }

    fn part(&self, index: Index, range: Range<Vec<u8>>, order: Order, sequence: Sequence) -> Part {
        let walk = Walk { index, instance: self.instance.clone(), range, order, after: None };
        Part { walk, sequence, floor: None }
    }

    /// The keys of times since the first page was made, none included.
    fn since(&self, index: Index) -> Range<Vec<u8>> {
        let group = |time| index.group(self.instance, orders::Value::Time(time));
        group(Some(self.as_of)).end..group(None).end
    }

    /// The keys that the conditions allow.
    fn range(&self, index: Index) -> Range<Vec<u8>> {
        let own = self.query.conditions.iter().filter(|condition| condition.key.index() == Some(index));
        own.fold(index.all(self.instance), |range, condition| meet(&range, &self.allowed(index, condition)))
    }

    fn allowed(&self, index: Index, condition: &Condition) -> Range<Vec<u8>> {
        let all = index.all(self.instance);
        let nothing = all.end.clone()..all.end.clone();
        let group = |value: orders::Value<'_>| index.group(self.instance, value);
        match (&condition.operand, condition.operator) {
            (Operand::Text(text), Operator::Equal) => match condition.key {
                Key::Name => match text.parse::<OperationId>() {
                    Ok(id) => {
                        let key = id.0.to_be_bytes().to_vec();
                        let end = [&key[..], &[0]].concat();
                        key..end
                    }
                    Err(_) => nothing,
                },
                Key::ActionDigest => digest_of(text).map_or(nothing, |digest| group(orders::Value::Action(&digest))),
                _ => group(orders::Value::Text(text)),
            },
            (Operand::Time(time), operator) => {
                let (own, never) = (group(orders::Value::Time(*time)), group(orders::Value::Time(None)));
                match operator {
                    Operator::Equal => own,
                    Operator::NotEqual => all,
                    Operator::Less => all.start..own.start,
                    Operator::LessOrEqual => all.start..own.end,
                    Operator::Greater => own.end..never.start,
                    Operator::GreaterOrEqual => own.start..never.start,
                }
            }
            (Operand::Number(_) | Operand::Text(_) | Operand::Property { .. }, _) => all,
        }
    }
}

/// A value of the list's order as the walk knows it; `None`: it has no such value.
fn with_walked<R>(index: Index, value: &Value, make: impl FnOnce(orders::Value<'_>) -> R) -> Option<R> {
    match (index, value) {
        (_, Value::Time(time)) => Some(make(orders::Value::Time(*time))),
        (Index::Invocation, Value::Text(text)) => Some(make(orders::Value::Text(text))),
        (Index::Action, Value::Text(text)) => digest_of(text).map(|digest| make(orders::Value::Action(&digest))),
        // The key is the name itself.
        (Index::Name, _) => Some(make(orders::Value::Text(""))),
        _ => None,
    }
}

fn meet(a: &Range<Vec<u8>>, b: &Range<Vec<u8>>) -> Range<Vec<u8>> {
    a.start.clone().max(b.start.clone())..a.end.clone().min(b.end.clone())
}
