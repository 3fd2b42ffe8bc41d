//! Dictionaries of clients between CBOR, as they are stored, and JSON, as people read and write them.

use anyhow::{Context, bail};
use minicbor::{
    Decoder, Encoder,
    data::{Tag, Type},
    decode::Error,
};
use serde_json::{Map, Number, Value, json};

/// Levels of lists and maps that are followed.
const DEPTH_MAX: u32 = 128;

/// As CBOR. Strings become text, as what Coordinate's own tools read from JSON does.
pub(super) fn to_cbor(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut Encoder::new(&mut out)).expect("memory takes it");
    out
}

type Memory<'a> = Encoder<&'a mut Vec<u8>>;

fn write(value: &Value, out: &mut Memory<'_>) -> Result<(), minicbor::encode::Error<std::convert::Infallible>> {
    match value {
        Value::Null => _ = out.null()?,
        Value::Bool(value) => _ = out.bool(*value)?,
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(whole), _) => _ = out.u64(whole)?,
            (None, Some(whole)) => _ = out.i64(whole)?,
            (None, None) => _ = out.f64(number.as_f64().unwrap_or(f64::NAN))?,
        },
        Value::String(text) => _ = out.str(text)?,
        Value::Array(items) => {
            out.array(items.len() as u64)?;
            items.iter().try_for_each(|item| write(item, out))?;
        }
        Value::Object(entries) => {
            out.map(entries.len() as u64)?;
            for (key, value) in entries {
                out.str(key)?;
                write(value, out)?;
            }
        }
    }
    Ok(())
}

/// As JSON, for people and scripts: what JSON has no type for is shown as what is most like it.
pub(super) fn to_json(cbor: &[u8]) -> Value {
    read(&mut Decoder::new(cbor), 0).unwrap_or_else(|error| json!({ "unreadable": error.to_string() }))
}

fn read(from: &mut Decoder<'_>, depth: u32) -> Result<Value, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::message("nested too deeply"));
    }
    Ok(match from.datatype()? {
        Type::Bool => from.bool()?.into(),
        Type::Null => {
            from.null()?;
            Value::Null
        }
        Type::Undefined => {
            from.undefined()?;
            Value::Null
        }
        Type::U8 | Type::U16 | Type::U32 | Type::U64 | Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
            let whole = i128::from(from.int()?);
            Number::from_i128(whole).map_or_else(|| whole.to_string().into(), Value::Number)
        }
        Type::F16 => float(from.f16()?.into()),
        Type::F32 => float(from.f32()?.into()),
        Type::F64 => float(from.f64()?),
        Type::Bytes => super::shown(from.bytes()?).into(),
        Type::BytesIndef => {
            let chunks: Vec<&[u8]> = from.bytes_iter()?.collect::<Result<_, Error>>()?;
            super::shown(&chunks.concat()).into()
        }
        Type::String => from.str()?.into(),
        Type::StringIndef => from.str_iter()?.collect::<Result<String, Error>>()?.into(),
        Type::Array | Type::ArrayIndef => {
            let mut items = Vec::new();
            let count = from.array()?;
            while more(from, count, items.len())? {
                items.push(read(from, depth + 1)?);
            }
            Value::Array(items)
        }
        Type::Map | Type::MapIndef => {
            let (mut entries, mut seen) = (Map::new(), 0);
            let count = from.map()?;
            while more(from, count, seen)? {
                let key = match read(from, depth + 1)? {
                    Value::String(text) => text,
                    other => other.to_string(),
                };
                entries.insert(key, read(from, depth + 1)?);
                seen += 1;
            }
            Value::Object(entries)
        }
        Type::Tag => tagged(from, depth)?,
        kind => return Err(Error::message(format!("{kind} is nothing that clients store"))),
    })
}

fn tagged(from: &mut Decoder<'_>, depth: u32) -> Result<Value, Error> {
    const UUID: Tag = Tag::new(37);
    let tag = from.tag()?;
    if tag == UUID && from.datatype()? == Type::Bytes {
        let bytes = from.bytes()?;
        return Ok(match uuid::Uuid::from_slice(bytes) {
            Ok(uuid) => uuid.to_string().into(),
            Err(_) => super::shown(bytes).into(),
        });
    }
    read(from, depth + 1)
}

/// Whether there is another item; of a list without a length its end is read.
fn more(from: &mut Decoder<'_>, count: Option<u64>, seen: usize) -> Result<bool, Error> {
    match count {
        Some(count) => Ok((seen as u64) < count),
        None if from.datatype()? == Type::Break => {
            from.skip()?;
            Ok(false)
        }
        None => Ok(true),
    }
}

fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
}

/// Items of a file, each in CBOR: JSON, one a line; YAML; or CBOR, one after the other. The first byte tells which: that of
/// a map, a list or a tuple of CBOR is not ASCII, and what is not JSON is YAML then.
pub(super) fn items(file: &[u8]) -> anyhow::Result<Vec<Vec<u8>>> {
    let first = file.iter().find(|byte| !byte.is_ascii_whitespace()).copied().unwrap_or(b'{');
    if first.is_ascii() {
        let text = std::str::from_utf8(file).context("JSON and YAML are text in UTF-8")?;
        if !matches!(first, b'{' | b'[') {
            return super::yaml::items(text);
        }
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        return lines
            .map(|(number, line)| {
                let value: Value = serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
                Ok(to_cbor(&value))
            })
            .collect();
    }
    let (mut items, mut from) = (Vec::new(), Decoder::new(file));
    while from.position() < file.len() {
        let start = from.position();
        if let Err(error) = from.skip() {
            bail!("item {} at byte {start} is no CBOR: {error}", items.len() + 1);
        }
        items.push(file[start..from.position()].to_vec());
    }
    Ok(items)
}

/// A file, or standard input for `-`.
pub(super) fn file(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    if path.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_json_can_say_comes_back_as_it_was() {
        let value = json!({ "a": [1, -2, 1.5, "text", true, null], "b": { "c": u64::MAX } });
        assert_eq!(to_json(&to_cbor(&value)), value);
    }

    #[test]
    fn what_clients_store_can_be_read() {
        // A tuple of a byte string that is no text, and of one that is; a list without a length.
        assert_eq!(to_json(b"\xd8\x80\x82\x41\xff\x41a"), json!(["\\xff", "a"]));
        assert_eq!(to_json(b"\x9f\x01\x02\xff"), json!([1, 2]));
        assert_eq!(to_json(b"\xa1\x01\xf6"), json!({ "1": null }));
        assert!(to_json(b"\x82\x01").get("unreadable").is_some());
    }

    #[test]
    fn a_file_is_json_or_yaml_or_cbor() {
        let expected = vec![to_cbor(&json!({ "k": 1 })), to_cbor(&json!(["k", {}]))];
        assert_eq!(items(b"{\"k\": 1}\n\n[\"k\", {}]\n").unwrap(), expected);
        assert_eq!(items(&expected.concat()).unwrap(), expected);
        assert!(items(b"{\"k\": 1}\nno\n").unwrap_err().to_string().contains("line 2"));
        assert_eq!(items(b"# units\nk: {}\n").unwrap(), [b"\xa1\x41k\xa0"]);
        assert!(items(b"\xa1\x01").is_err());
    }
}
