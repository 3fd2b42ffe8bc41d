//! CBOR written as Python 2 would show it: `'bytes'`, `u'text'`, `(tuple,)`, `[list]`, `{key: value}`, numbers, `None`,
//! `True`, `False`; `Tag(37, 'x')` and `undefined` for what Python has no words for.

use minicbor::{
    Decoder, Encoder,
    data::{Tag, Type},
};

/// The bytes that a notation stands for.
///
/// # Panics
/// If it cannot be read.
pub(crate) fn encode(text: &str) -> Vec<u8> {
    let mut parser = Parser { rest: text.trim() };
    let bytes = parser.value();
    assert_eq!(parser.rest.trim(), "", "something follows in {text}");
    bytes
}

/// The bytes of several values with commas between them.
pub(crate) fn encode_all(text: &str) -> Vec<Vec<u8>> {
    let mut parser = Parser { rest: text.trim() };
    let mut values = Vec::new();
    while !parser.rest.is_empty() {
        values.push(parser.value());
        if !parser.eat(",") {
            assert_eq!(parser.rest, "", "a comma is missing in {text}");
        }
    }
    values
}

/// The notation of an item.
///
/// # Panics
/// If it is no item.
pub(crate) fn show(bytes: &[u8]) -> String {
    let mut decoder = Decoder::new(bytes);
    let mut out = String::new();
    show_next(&mut decoder, &mut out);
    assert_eq!(decoder.position(), bytes.len(), "something follows the item {out}");
    out
}

struct Parser<'a> {
    rest: &'a str,
}

fn encoder(bytes: &mut Vec<u8>) -> Encoder<&mut Vec<u8>> {
    Encoder::new(bytes)
}

impl Parser<'_> {
    fn eat(&mut self, token: &str) -> bool {
        self.rest = self.rest.trim_start();
        let there = self.rest.starts_with(token);
        if there {
            self.rest = self.rest[token.len()..].trim_start();
        }
        there
    }

    fn value(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        match self.rest.chars().next().unwrap_or_else(|| panic!("a value is missing")) {
            '(' => {
                let items = self.items("(", ")");
                encoder(&mut out).tag(Tag::new(128)).unwrap().array(items.len() as u64).unwrap();
                out.extend(items.concat());
            }
            '[' => {
                let items = self.items("[", "]");
                encoder(&mut out).array(items.len() as u64).unwrap();
                out.extend(items.concat());
            }
            '{' => {
                let items = self.items("{", "}");
                encoder(&mut out).map(items.len() as u64 / 2).unwrap();
                out.extend(items.concat());
            }
            '\'' => _ = encoder(&mut out).bytes(&self.string()).unwrap(),
            'u' if self.rest.starts_with("u'") => {
                self.eat("u");
                let text = self.string();
                encoder(&mut out).str(std::str::from_utf8(&text).expect("text is UTF-8")).unwrap();
            }
            _ => self.word(&mut out),
        }
        out
    }

    fn items(&mut self, open: &str, close: &str) -> Vec<Vec<u8>> {
        self.eat(open);
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(self.value());
            let _ = self.eat(",") || self.eat(":");
        }
        items
    }

    fn string(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let bytes = self.rest.as_bytes();
        let mut at = 1;
        while bytes[at] != b'\'' {
            if bytes[at] == b'\\' && bytes[at + 1] == b'x' {
                out.push(u8::from_str_radix(&self.rest[at + 2..at + 4], 16).expect("two digits"));
                at += 4;
            } else {
                at += usize::from(bytes[at] == b'\\');
                out.push(bytes[at]);
                at += 1;
            }
        }
        self.rest = self.rest[at + 1..].trim_start();
        out
    }

    fn word(&mut self, out: &mut Vec<u8>) {
        let end = self.rest.find([',', ')', ']', '}', ':', ' ', '(']).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        match word {
            "None" => _ = encoder(out).null().unwrap(),
            "undefined" => _ = encoder(out).undefined().unwrap(),
            "True" => _ = encoder(out).bool(true).unwrap(),
            "False" => _ = encoder(out).bool(false).unwrap(),
            "Tag" => {
                let items = self.items("(", ")");
                let tag = Decoder::new(&items[0]).u64().expect("a tag is a number");
                encoder(out).tag(Tag::new(tag)).unwrap();
                out.extend(&items[1]);
            }
            number => match number.parse::<i64>() {
                Ok(number) => _ = encoder(out).i64(number).unwrap(),
                Err(_) => {
                    let number: f64 = number.parse().unwrap_or_else(|_| panic!("no value: {number}"));
                    encoder(out).f64(number).unwrap();
                }
            },
        }
    }
}

fn show_next(decoder: &mut Decoder<'_>, out: &mut String) {
    match decoder.datatype().expect("an item") {
        Type::Bytes | Type::BytesIndef => {
            let chunks: Vec<&[u8]> = decoder.bytes_iter().unwrap().collect::<Result<_, _>>().unwrap();
            out.push_str(&quoted(&chunks.concat()));
        }
        Type::String | Type::StringIndef => {
            let chunks: Vec<&str> = decoder.str_iter().unwrap().collect::<Result<_, _>>().unwrap();
            out.push_str(&format!("u'{}'", chunks.concat()));
        }
        Type::Array | Type::ArrayIndef => {
            let items = decoder.array().unwrap();
            show_items(decoder, items, ["[", "]"], out);
        }
        Type::Map | Type::MapIndef => {
            let items = decoder.map().unwrap().map(|pairs| pairs * 2);
            show_items(decoder, items, ["{", "}"], out);
        }
        Type::Tag => match decoder.tag().unwrap().as_u64() {
            128 if matches!(decoder.datatype(), Ok(Type::Array | Type::ArrayIndef)) => {
                let items = decoder.array().unwrap();
                show_items(decoder, items, ["(", ")"], out);
            }
            tag => {
                out.push_str(&format!("Tag({tag}, "));
                show_next(decoder, out);
                out.push(')');
            }
        },
        Type::Null => {
            decoder.null().unwrap();
            out.push_str("None");
        }
        Type::Undefined => {
            decoder.undefined().unwrap();
            out.push_str("undefined");
        }
        Type::Bool => out.push_str(if decoder.bool().unwrap() { "True" } else { "False" }),
        Type::F16 => out.push_str(&format!("{:?}", decoder.f16().unwrap())),
        Type::F32 => out.push_str(&format!("{:?}", decoder.f32().unwrap())),
        Type::F64 => out.push_str(&format!("{:?}", decoder.f64().unwrap())),
        Type::Simple => out.push_str(&format!("simple{}", decoder.simple().unwrap())),
        _ => out.push_str(&decoder.int().unwrap().to_string()),
    }
}

/// A map is shown in the order of its keys: which order a server sends means nothing.
fn show_items(decoder: &mut Decoder<'_>, count: Option<u64>, [open, close]: [&str; 2], out: &mut String) {
    let mut items = Vec::new();
    while count.is_none_or(|count| (items.len() as u64) < count) {
        if count.is_none() && decoder.datatype().expect("an item") == Type::Break {
            decoder.set_position(decoder.position() + 1);
            break;
        }
        let mut item = String::new();
        show_next(decoder, &mut item);
        items.push(item);
    }
    if open == "{" {
        let mut pairs: Vec<String> = items.chunks(2).map(|pair| pair.join(": ")).collect();
        pairs.sort();
        items = pairs;
    }
    let comma = if open == "(" && items.len() == 1 { "," } else { "" };
    out.push_str(&format!("{open}{}{comma}{close}", items.join(", ")));
}

fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("'");
    for byte in bytes {
        match byte {
            b'\'' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=b'~' => out.push(char::from(*byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out.push('\'');
    out
}

#[test]
fn what_is_read_is_shown_again() {
    for text in [
        "'a'",
        "u'\u{fc}'",
        "('a', {'b': 1}, None)",
        "[]",
        "()",
        "('a',)",
        "{'a': -1, 2: 1.5}",
        "Tag(37, '\\x00\\xff')",
        "[True, False, undefined]",
        "'it\\'s'",
    ] {
        assert_eq!(show(&encode(text)), text);
    }
}
