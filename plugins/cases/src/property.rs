//! A platform property as people write it: `"OSFamily=linux"`, or a table where the name has a `=` in it.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One property.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Property {
    /// May be empty, and may occur more than once.
    pub name: String,
    /// May be empty.
    pub value: String,
}

/// Sorts properties by name, then value, as Berth sends them.
pub(crate) fn sort(properties: &mut [Property]) {
    properties.sort();
}

/// For sets, where order and duplicates mean nothing.
pub(crate) fn sort_set(properties: &mut Vec<Property>) {
    properties.sort();
    properties.dedup();
}

impl Serialize for Property {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.name.contains('=') {
            let mut table = serializer.serialize_struct("Property", 2)?;
            table.serialize_field("name", &self.name)?;
            table.serialize_field("value", &self.value)?;
            return table.end();
        }
        serializer.collect_str(&format_args!("{}={}", self.name, self.value))
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextOrTable)
    }
}

struct TextOrTable;

impl<'de> Visitor<'de> for TextOrTable {
    type Value = Property;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a property: \"name=value\", or a table with name and value")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Property, E> {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| E::custom(format_args!("the property {text:?} has no `=` between name and value")))?;
        Ok(Property { name: name.to_owned(), value: value.to_owned() })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Property, A::Error> {
        let (mut name, mut value) = (None, None);
        while let Some(key) = table.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(table.next_value()?),
                "value" => value = Some(table.next_value()?),
                other => return Err(A::Error::unknown_field(other, &["name", "value"])),
            }
        }
        let name = name.ok_or_else(|| A::Error::missing_field("name"))?;
        let value = value.ok_or_else(|| A::Error::missing_field("value"))?;
        Ok(Property { name, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Property, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_property_is_a_text_with_an_equals_sign_or_a_table() {
        let property = |name: &str, value: &str| Ok(Property { name: name.to_owned(), value: value.to_owned() });
        assert_eq!(read(r#""OSFamily=linux""#), property("OSFamily", "linux"));
        assert_eq!(read(r#""a=b=c""#), property("a", "b=c"));
        assert_eq!(read(r#""=""#), property("", ""));
        assert_eq!(read(r#"{"name": "a=b", "value": ""}"#), property("a=b", ""));
    }

    #[test]
    fn what_is_neither_is_refused_with_a_reason() {
        assert!(read(r#""linux""#).unwrap_err().contains("has no `=`"));
        assert!(read(r#"{"name": "a"}"#).unwrap_err().contains("missing field `value`"));
        assert!(read(r#"{"name": "a", "value": "b", "v": ""}"#).unwrap_err().contains("unknown field `v`"));
        assert!(read("3").unwrap_err().contains("a property"));
    }

    #[test]
    fn every_property_is_written_so_that_it_is_read_as_itself() {
        for (name, value) in [("OSFamily", "linux"), ("", "x"), ("a=b", "c"), ("a", "="), ("ü\n", "\0")] {
            let property = Property { name: name.to_owned(), value: value.to_owned() };
            assert_eq!(read(&serde_json::to_string(&property).unwrap()), Ok(property));
        }
    }
}
