//! A look at a CBOR item where it lies. Only what was checked becomes a `Value`, so reading one cannot fail half-way.

use std::borrow::Cow;

use minicbor::{Decoder, data::Type};

use super::scan::{Malformed, Scan, Scanned, check};

/// One well-formed item, as it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Value<'a>(&'a [u8]);

/// A number as a client may send it: whole ones of any kind, bignums to 128 bits included, or floating.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Whole(i128),
    Float(f64),
}

/// Tags that clients use for what CBOR has no type for.
pub(crate) const TAG_CBOR: u64 = 24;
pub(crate) const TAG_TUPLE: u64 = 128;

impl<'a> Value<'a> {
    /// Checks an item that fills the input.
    pub(crate) fn check(input: &'a [u8]) -> Result<Self, Malformed> {
        check(input)?;
        Ok(Self(input))
    }

    /// An item that was checked before.
    pub(crate) fn checked(input: &'a [u8]) -> Self {
        debug_assert_eq!(check(input), Ok(()), "a value was checked when it came in");
        Self(input)
    }

    /// The item as it was sent.
    pub(crate) fn raw(self) -> &'a [u8] {
        self.0
    }

    fn kind(self) -> Type {
        self.decoder().datatype().expect("a value has a header")
    }

    fn decoder(self) -> Decoder<'a> {
        Decoder::new(self.0)
    }

    /// Null, or undefined, which Python reads as the same.
    pub(crate) fn is_null(self) -> bool {
        matches!(self.kind(), Type::Null | Type::Undefined)
    }

    /// A byte string or a text string: Python 2 takes either for the other, so that names are bytes here.
    pub(crate) fn string(self) -> Option<Cow<'a, [u8]>> {
        match self.kind() {
            Type::Bytes => self.decoder().bytes().ok().map(Cow::Borrowed),
            Type::String => self.decoder().str().ok().map(|text| Cow::Borrowed(text.as_bytes())),
            Type::BytesIndef => {
                let mut decoder = self.decoder();
                let chunks: Result<Vec<&[u8]>, _> = decoder.bytes_iter().ok()?.collect();
                Some(Cow::Owned(chunks.ok()?.concat()))
            }
            Type::StringIndef => {
                let mut decoder = self.decoder();
                let chunks: Result<Vec<&str>, _> = decoder.str_iter().ok()?.collect();
                Some(Cow::Owned(chunks.ok()?.concat().into_bytes()))
            }
            _ => None,
        }
    }

    /// Text, not a byte string.
    pub(crate) fn is_text(self) -> bool {
        matches!(self.kind(), Type::String | Type::StringIndef)
    }

    /// A number. `True` and `False` are 1 and 0, as in Python.
    pub(crate) fn number(self) -> Option<Number> {
        let mut decoder = self.decoder();
        match self.kind() {
            Type::F16 => decoder.f16().ok().map(|value| Number::Float(value.into())),
            Type::F32 => decoder.f32().ok().map(|value| Number::Float(value.into())),
            Type::F64 => decoder.f64().ok().map(Number::Float),
            Type::Bool => decoder.bool().ok().map(|value| Number::Whole(value.into())),
            _ => decoder.i128().ok().map(Number::Whole),
        }
    }

    /// Whether Python's `if` would take it: not for null, false, zero, and what is empty.
    pub(crate) fn truthy(self) -> bool {
        match self.kind() {
            Type::Null | Type::Undefined => false,
            Type::Array | Type::ArrayIndef => self.items().is_some_and(|mut items| items.next().is_some()),
            Type::Map | Type::MapIndef => self.pairs().is_some_and(|mut pairs| pairs.next().is_some()),
            Type::Tag => match self.items() {
                Some(mut tuple) => tuple.next().is_some(),
                None => self.number() != Some(Number::Whole(0)),
            },
            _ => match (self.string(), self.number()) {
                (Some(string), _) => !string.is_empty(),
                (None, Some(number)) => number.float() != 0.0,
                (None, None) => true,
            },
        }
    }

    /// The items of an array or of a tuple.
    pub(crate) fn items(self) -> Option<Items<'a>> {
        let mut decoder = self.decoder();
        if self.kind() == Type::Tag && decoder.tag().ok()?.as_u64() != TAG_TUPLE {
            return None;
        }
        let items = match decoder.datatype().ok()? {
            Type::Array | Type::ArrayIndef => decoder.array().ok()?,
            _ => return None,
        };
        Some(Items { rest: &self.0[decoder.position()..], left: items })
    }

    /// The pairs of a map.
    pub(crate) fn pairs(self) -> Option<Pairs<'a>> {
        let mut decoder = self.decoder();
        match self.kind() {
            Type::Map | Type::MapIndef => {}
            _ => return None,
        }
        let items = decoder.map().ok()?.map(|pairs| pairs * 2);
        Some(Pairs(Items { rest: &self.0[decoder.position()..], left: items }))
    }

    /// The value of a map's key that is a string. Of equal keys the last one holds, as in Python.
    pub(crate) fn get(self, key: &str) -> Option<Value<'a>> {
        let mut found = None;
        for (name, value) in self.pairs()? {
            if name.is(key) {
                found = Some(value);
            }
        }
        found
    }

    /// Whether this is a string of these bytes.
    pub(crate) fn is(self, string: &str) -> bool {
        // Most keys are short: their header is one byte, and this needs no decoder.
        let (header, rest) = (self.0[0], &self.0[1..]);
        match header {
            0x40..=0x57 | 0x60..=0x77 => rest == string.as_bytes(),
            _ => self.string().is_some_and(|own| *own == *string.as_bytes()),
        }
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(out),
            Self::Float(value) => value.fmt(out),
        }
    }
}

impl Number {
    pub(crate) fn float(self) -> f64 {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "as Python's float()")]
            Self::Whole(value) => value as f64,
            Self::Float(value) => value,
        }
    }

    /// As a whole number, cut off towards zero as Python's `int()` does, and into what fits.
    pub(crate) fn whole(self) -> Option<i64> {
        match self {
            Self::Whole(value) => Some(i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX })),
            // Casts saturate.
            Self::Float(value) if !value.is_nan() => Some(value as i64),
            Self::Float(_) => None,
        }
    }
}

/// Items one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Items<'a> {
    rest: &'a [u8],
    /// None: until a break.
    left: Option<u64>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        match &mut self.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None if self.rest.first() == Some(&0xff) => {
                self.left = Some(0);
                return None;
            }
            None => {}
        }
        let end = match Scan::default().go_on(self.rest) {
            Ok(Scanned::Whole { end, .. }) => end,
            other => unreachable!("a value was checked when it came in: {other:?}"),
        };
        let (item, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(Value(item))
    }
}

/// Keys and values one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Pairs<'a>(Items<'a>);

impl<'a> Iterator for Pairs<'a> {
    type Item = (Value<'a>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let key = self.0.next()?;
        Some((key, self.0.next().expect("a map has a value for each key")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bytes: &[u8]) -> Value<'_> {
        Value::check(bytes).unwrap()
    }

    #[test]
    fn strings_of_both_kinds_are_bytes() {
        for bytes in [&b"\x42ab"[..], b"\x62ab", b"\x5f\x41a\x41b\xff", b"\x7f\x61a\x61b\xff", b"\x58\x02ab"] {
            assert_eq!(value(bytes).string().as_deref(), Some(&b"ab"[..]));
            assert!(value(bytes).is("ab") && !value(bytes).is("a"));
        }
        assert_eq!(value(b"\x01").string(), None);
    }

    #[test]
    fn numbers_of_all_kinds_are_read() {
        let cases: [(&[u8], Number); 9] = [
            (b"\x18\x64", Number::Whole(100)),
            (b"\x20", Number::Whole(-1)),
            (b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff", Number::Whole(u64::MAX.into())),
            (b"\x3b\xff\xff\xff\xff\xff\xff\xff\xff", Number::Whole(-1 - i128::from(u64::MAX))),
            (b"\xc2\x49\x01\0\0\0\0\0\0\0\0", Number::Whole(1 << 64)),
            (b"\xf5", Number::Whole(1)),
            (b"\xf9\x3c\0", Number::Float(1.0)),
            (b"\xfa\x3f\xc0\0\0", Number::Float(1.5)),
            (b"\xfb\x3f\xf0\0\0\0\0\0\0", Number::Float(1.0)),
        ];
        for (bytes, number) in cases {
            assert_eq!(value(bytes).number(), Some(number), "{bytes:02x?}");
        }
        assert_eq!(value(b"\x61\x31").number(), None);
        assert_eq!(Number::Whole(1 << 100).whole(), Some(i64::MAX));
        assert_eq!(Number::Float(f64::NAN).whole(), None);
    }

    #[test]
    fn tuples_are_arrays_and_other_tags_are_not() {
        let keys = |bytes| value(bytes).items().map(|items| items.map(Value::raw).collect::<Vec<_>>());
        assert_eq!(keys(b"\xd8\x80\x82\x01\x9f\x02\xff"), Some(vec![&b"\x01"[..], b"\x9f\x02\xff"]));
        assert_eq!(keys(b"\x9f\x01\x02\xff"), Some(vec![&b"\x01"[..], b"\x02"]));
        assert_eq!(keys(b"\xd8\x25\x80"), None);
        assert_eq!(keys(b"\xd8\x80\x01"), None);
    }

    #[test]
    fn the_last_of_equal_keys_holds() {
        assert_eq!(value(b"\xa3\x41a\x01\x61a\x02\x01\x03").get("a"), Some(value(b"\x02")));
        assert_eq!(value(b"\xbf\x41a\xa1\x41b\x05\xff").get("b"), None);
    }

    #[test]
    fn truth_is_as_in_python() {
        for bytes in [
            &b"\xf6"[..],
            b"\xf7",
            b"\xf4",
            b"\0",
            b"\x40",
            b"\x60",
            b"\x80",
            b"\x9f\xff",
            b"\xa0",
            b"\xd8\x80\x80",
            b"\xf9\0\0",
            b"\xc2\x40",
        ] {
            assert!(!value(bytes).truthy(), "{bytes:02x?}");
        }
        for bytes in [
            &b"\xf5"[..],
            b"\x01",
            b"\x20",
            b"\x41\0",
            b"\x61\0",
            b"\x81\0",
            b"\xa1\0\0",
            b"\xd8\x80\x81\0",
            b"\xd8\x25\x40",
            b"\xe0",
        ] {
            assert!(value(bytes).truthy(), "{bytes:02x?}");
        }
    }
}
