//! Platform properties as sets: what a job requires and what a bot offers.
//!
//! A set is sorted and free of duplicates, so that equal sets are equal values whatever order they arrived
//! in: one class a set. Not for REAPI's `Platform` message: `api` parses that one.

use std::sync::Arc;

/// One platform property: a name and one value. A name that has several values is several properties.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Property {
    /// The property's name, for example `OSFamily`.
    pub name: Box<str>,
    /// The property's value, for example `linux`.
    pub value: Box<str>,
}

impl Property {
    /// A property from its two halves.
    pub fn new(name: impl Into<Box<str>>, value: impl Into<Box<str>>) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A sorted set of properties without duplicates. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertySet(Arc<[Property]>);

impl Default for PropertySet {
    fn default() -> Self {
        Self(Arc::from([]))
    }
}

impl PropertySet {
    /// Whether every property of `needed` is in this set: the built-in rule of matching.
    pub fn contains_all(&self, needed: &PropertySet) -> bool {
        if needed.0.len() > self.0.len() {
            return false;
        }
        let mut offered = self.0.iter();
        needed.0.iter().all(|want| offered.by_ref().find(|have| *have >= want) == Some(want))
    }

    /// The properties in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Property> {
        self.0.iter()
    }

    /// How many properties the set holds.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the set is empty: as a requirement, any bot will do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Property> for PropertySet {
    fn from_iter<I: IntoIterator<Item = Property>>(properties: I) -> Self {
        let mut sorted: Vec<_> = properties.into_iter().collect();
        sorted.sort();
        sorted.dedup();
        Self(sorted.into())
    }
}

impl<'a> IntoIterator for &'a PropertySet {
    type Item = &'a Property;
    type IntoIter = std::slice::Iter<'a, Property>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl std::fmt::Display for PropertySet {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, property) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{}={}", property.name, property.value)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(pairs: &[(&str, &str)]) -> PropertySet {
        pairs.iter().map(|(name, value)| Property::new(*name, *value)).collect()
    }

    #[test]
    fn equal_sets_are_equal_whatever_their_order() {
        assert_eq!(set(&[("b", "2"), ("a", "1"), ("b", "2")]), set(&[("a", "1"), ("b", "2")]));
    }

    #[test]
    fn a_set_contains_its_subsets_and_nothing_else() {
        let offer = set(&[("ISA", "x86-64"), ("OSFamily", "Linux"), ("OSFamily", "linux"), ("pool", "default")]);
        assert!(offer.contains_all(&set(&[])));
        assert!(offer.contains_all(&set(&[("OSFamily", "linux"), ("pool", "default")])));
        assert!(offer.contains_all(&offer));
        assert!(!offer.contains_all(&set(&[("OSFamily", "linux"), ("pool", "custom")])));
        assert!(!set(&[]).contains_all(&set(&[("a", "")])));
    }
}
