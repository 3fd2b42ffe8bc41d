//! The rule: what a job wants of each property, whether an offer has it, and how tightly it fits.

use std::collections::{BTreeMap, BTreeSet};

use berth_policy_sdk::Property;
use berth_policy_sdk::matching::Pairs;

use crate::amount::Amount;
use crate::config::Config;

/// The value that stands for any.
pub(crate) const ANY: &str = "*";
/// What a value begins with that must not be there.
pub(crate) const NOT: &str = "!";

/// The score of an offer that has exactly what is asked for.
const EXACT: u32 = 1 << 24;
/// What an offer of another kind of property that nobody asked for takes away: little, a tie is broken by it.
const UNASKED: u32 = 1;

/// What a job wants of one property.
#[derive(Debug, PartialEq)]
enum Wish<'a> {
    Is(&'a str),
    AtLeast(Amount),
    Any,
    Not(&'a str),
    Absent,
}

struct Need<'a> {
    wishes: Vec<(&'a str, Wish<'a>)>,
    /// The largest amount that is asked for, by name.
    asked: BTreeMap<&'a str, Amount>,
    names: BTreeSet<&'a str>,
}

/// One capability set of an offer.
struct Set<'a> {
    values: BTreeMap<&'a str, Vec<&'a str>>,
    amounts: BTreeMap<&'a str, Amount>,
}

/// Judges all pairs of a batch. Needs and offers are read once, however many pairs they are in.
pub(crate) fn matches(config: &Config, pairs: &Pairs) -> Vec<u32> {
    let needs: Vec<Need> = pairs.needs.iter().map(|need| Need::read(config, &need.requirements)).collect();
    let sets = pairs.offers.iter().map(|offer| offer.capabilities.iter().map(|set| Set::read(config, set)).collect());
    let offers: Vec<Vec<Set>> = sets.collect();
    let judged = pairs.need.iter().zip(&pairs.offer).map(|(need, offer)| {
        match (needs.get(*need as usize), offers.get(*offer as usize)) {
            (Some(need), Some(sets)) => sets.iter().map(|set| set.score(need)).max().unwrap_or(0),
            _ => 0,
        }
    });
    judged.collect()
}

impl<'a> Need<'a> {
    fn read(config: &Config, requirements: &'a [Property]) -> Self {
        let mut need = Self { wishes: Vec::new(), asked: BTreeMap::new(), names: BTreeSet::new() };
        for Property { name, value } in requirements {
            let wish = wish(value, config.numeric.contains(name));
            if let Wish::AtLeast(amount) = wish {
                let asked = need.asked.entry(name).or_insert(amount);
                *asked = amount.max(*asked);
            }
            need.names.insert(name);
            need.wishes.push((name, wish));
        }
        need
    }
}

fn wish(value: &str, numeric: bool) -> Wish<'_> {
    match value.strip_prefix(NOT) {
        Some("" | ANY) => Wish::Absent,
        Some(value) => Wish::Not(value),
        None if value == ANY => Wish::Any,
        // What cannot be read was refused, so that only a need of an older policy comes here: nothing has it.
        None if numeric => Amount::parse(value).map_or(Wish::Is(value), Wish::AtLeast),
        None => Wish::Is(value),
    }
}

impl<'a> Set<'a> {
    fn read(config: &Config, properties: &'a [Property]) -> Self {
        let mut set = Self { values: BTreeMap::new(), amounts: BTreeMap::new() };
        for Property { name, value } in properties {
            set.values.entry(name.as_str()).or_default().push(value);
            let amount = if config.numeric.contains(name) { Amount::parse(value) } else { None };
            if let Some(amount) = amount {
                let most = set.amounts.entry(name).or_insert(amount);
                *most = amount.max(*most);
            }
        }
        set
    }

    /// 0 if it does not fit; otherwise less, the more is left over.
    fn score(&self, need: &Need<'_>) -> u32 {
        if !need.wishes.iter().all(|(name, wish)| self.meets(name, wish)) {
            return 0;
        }
        let left_over = |(name, amount): (&&str, &Amount)| {
            amount.bits() - need.asked.get(name).map_or(0, |asked| asked.bits().min(amount.bits()))
        };
        let numbers = self.amounts.iter().map(left_over).fold(0, u32::saturating_add);
        let unasked =
            self.values.keys().filter(|name| !self.amounts.contains_key(*name) && !need.names.contains(*name));
        let unasked = UNASKED.saturating_mul(unasked.count() as u32);
        EXACT.saturating_sub(numbers).saturating_sub(unasked).max(1)
    }

    fn meets(&self, name: &str, wish: &Wish<'_>) -> bool {
        let values = self.values.get(name).map_or(&[][..], Vec::as_slice);
        match wish {
            // A bot may say that it is whatever a job wants it to be.
            Wish::Is(value) => values.contains(value) || values.contains(&ANY),
            Wish::AtLeast(asked) => self.amounts.get(name).is_some_and(|amount| amount >= asked),
            Wish::Any => !values.is_empty(),
            Wish::Not(value) => !values.contains(value),
            Wish::Absent => values.is_empty(),
        }
    }
}

#[cfg(test)]
mod tests;
