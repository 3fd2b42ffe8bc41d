//! How Python 2 shows and reads values, as far as clients see it.

use crate::cbor::{Number, Value};

/// A byte string as Python 2's `repr()` shows it: `'p'`.
pub(crate) fn repr(string: &[u8]) -> Vec<u8> {
    let quote = if string.contains(&b'\'') && !string.contains(&b'"') { b'"' } else { b'\'' };
    let mut shown = vec![quote];
    for &byte in string {
        match byte {
            b'\\' => shown.extend_from_slice(b"\\\\"),
            b'\n' => shown.extend_from_slice(b"\\n"),
            b'\r' => shown.extend_from_slice(b"\\r"),
            b'\t' => shown.extend_from_slice(b"\\t"),
            byte if byte == quote => shown.extend_from_slice(&[b'\\', quote]),
            b' '..=b'~' => shown.push(byte),
            byte => shown.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
        }
    }
    shown.push(quote);
    shown
}

/// Python's `int()`: a number, cut off towards zero, or a string that shows a whole one.
pub(crate) fn int(value: Value<'_>) -> Option<i64> {
    match value.string() {
        Some(string) => std::str::from_utf8(&string).ok()?.trim().parse().ok(),
        None => value.number()?.whole(),
    }
}

/// Python's `float()`: a number, or a string that shows one.
pub(crate) fn float(value: Value<'_>) -> Option<f64> {
    match value.string() {
        Some(string) => std::str::from_utf8(&string).ok()?.trim().parse().ok(),
        None => value.number().map(Number::float),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_strings_are_shown_as_python_shows_them() {
        for (string, shown) in [
            (&b"p"[..], &br"'p'"[..]),
            (b"it's", br#""it's""#),
            (b"it's \"x\"", br#"'it\'s "x"'"#),
            (b"\xff\x00\n\\", br"'\xff\x00\n\\'"),
        ] {
            assert_eq!(repr(string), shown, "{}", String::from_utf8_lossy(shown));
        }
    }

    #[test]
    fn numbers_may_be_strings() {
        let value = |bytes| Value::check(bytes).unwrap();
        assert_eq!(int(value(b"\x43 5 ")), Some(5));
        assert_eq!(int(value(b"\xf9\xc1\x00")), Some(-2));
        assert_eq!(int(value(b"\x431.5")), None);
        assert_eq!(float(value(b"\x631.5")), Some(1.5));
        assert_eq!(float(value(b"\x80")), None);
    }
}
