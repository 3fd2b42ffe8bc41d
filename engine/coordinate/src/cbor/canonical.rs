//! One encoding for all values that Python holds for equal, so that they can be compared as bytes: `'a' == u'a'`,
//! `1 == 1.0 == True`, and here a tuple equals a list of the same items, too.

use super::{Number, Value, Writer};

/// The value in the encoding that all its equals have.
pub(crate) fn canonical(value: Value<'_>) -> Vec<u8> {
    let mut writer = Writer::default();
    write(value, &mut writer);
    writer.into_bytes()
}

fn write(value: Value<'_>, out: &mut Writer) {
    if value.is_null() {
        out.null();
    } else if let Some(string) = value.string() {
        out.bytes(string);
    } else if let Some(number) = value.number() {
        self::number(value, number, out);
    } else if let Some(items) = value.items() {
        let items: Vec<_> = items.collect();
        out.array(items.len());
        items.into_iter().for_each(|item| write(item, out));
    } else if let Some(pairs) = value.pairs() {
        let mut pairs: Vec<_> = pairs.map(|(key, value)| (canonical(key), canonical(value))).collect();
        pairs.sort();
        out.map(pairs.len());
        for (key, value) in pairs {
            out.raw(&key).raw(&value);
        }
    } else {
        out.raw(value.raw());
    }
}

fn number(value: Value<'_>, number: Number, out: &mut Writer) {
    // Up to here every whole number has a float of its own.
    const EXACT: f64 = (1_u64 << 53) as f64;
    match number {
        Number::Whole(whole) => match i64::try_from(whole) {
            Ok(whole) => out.int(whole),
            Err(_) => out.raw(value.raw()),
        },
        #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small enough")]
        Number::Float(float) if float.fract() == 0.0 && float.abs() <= EXACT => out.int(float as i64),
        Number::Float(float) => out.float(float),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_holds_for_equal_is_equal() {
        let same = |left: &[u8], right: &[u8]| {
            canonical(Value::check(left).unwrap()) == canonical(Value::check(right).unwrap())
        };
        for (left, right) in [
            (&b"\x41a"[..], &b"\x61a"[..]),
            (b"\x7f\x61a\xff", b"\x41a"),
            (b"\x01", b"\xf9\x3c\x00"),
            (b"\x01", b"\xf5"),
            (b"\x18\x05", b"\x05"),
            (b"\x82\x01\x02", b"\xd8\x80\x9f\x01\x02\xff"),
            (b"\xa2\x01\x02\x61a\xf6", b"\xbf\x41a\xf7\x01\x02\xff"),
        ] {
            assert!(same(left, right), "{left:02x?} {right:02x?}");
        }
        assert!(!same(b"\x41a", b"\x41b"));
        assert!(!same(b"\xfb\x3f\xf8\0\0\0\0\0\0", b"\x01"));
        assert!(!same(b"\xd8\x25\x40", b"\x40"));
    }
}
