//! A value of `kv` as people write it: a text, a number (its digits), or a table with the bytes as hexadecimal digits.

use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The bytes of a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Ok(text) = std::str::from_utf8(&self.0) {
            return serializer.serialize_str(text);
        }
        let digits: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut table = serializer.serialize_map(Some(1))?;
        table.serialize_entry("hex", &digits)?;
        table.end()
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextNumberOrTable)
    }
}

struct TextNumberOrTable;

impl<'de> Visitor<'de> for TextNumberOrTable {
    type Value = Bytes;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "a value of kv: a text, a whole number, or {{ hex = \"00ff\" }}")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Bytes, E> {
        Ok(Bytes(text.as_bytes().to_vec()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Bytes, E> {
        Ok(Bytes(number.to_string().into_bytes()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Bytes, E> {
        Ok(Bytes(number.to_string().into_bytes()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Bytes, A::Error> {
        let Some((key, digits)) = table.next_entry::<String, String>()? else {
            return Err(A::Error::missing_field("hex"));
        };
        if key != "hex" {
            return Err(A::Error::unknown_field(&key, &["hex"]));
        }
        let byte = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes.map(Bytes).ok_or_else(|| A::Error::custom(format_args!("{digits:?} is not pairs of hexadecimal digits")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_a_text_a_number_or_hexadecimal_digits() {
        let read = |json: &str| serde_json::from_str::<Bytes>(json).map_err(|error| error.to_string());
        assert_eq!(read(r#""ab""#), Ok(Bytes(b"ab".to_vec())));
        assert_eq!(read("12"), Ok(Bytes(b"12".to_vec())));
        assert_eq!(read(r#"{"hex": "00ff"}"#), Ok(Bytes(vec![0, 255])));
        for bad in [r#"{"hex": "0"}"#, r#"{"hex": "zz"}"#, r#"{"hex": "ü"}"#, "{}", r#"{"bytes": ""}"#, "1.5"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        for bytes in [vec![], b"text".to_vec(), vec![0xff, 0, 1]] {
            let json = serde_json::to_string(&Bytes(bytes.clone())).unwrap();
            assert_eq!(read(&json), Ok(Bytes(bytes)));
        }
    }
}
