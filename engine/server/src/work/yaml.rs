//! YAML into CBOR, with the types that Coordinate's own tools give to it: Python 2 makes a byte string of a string that is
//! ASCII, and text of any other.

use anyhow::{Context, bail};
use minicbor::Encoder;
use yaml_rust2::{Yaml, YamlLoader};

/// What cannot fail.
const MEMORY: &str = "memory takes it";

/// Items of a text, each in CBOR: a document is one, and of a document that is a list each entry is one.
pub(super) fn items(text: &str) -> anyhow::Result<Vec<Vec<u8>>> {
    let documents = YamlLoader::load_from_str(text).context("the file is neither JSON nor YAML")?;
    let items = documents.into_iter().flat_map(|document| match document {
        Yaml::Array(entries) => entries,
        Yaml::Null => Vec::new(),
        other => vec![other],
    });
    items
        .enumerate()
        .map(|(place, item)| {
            let mut out = Vec::new();
            write(&item, &mut Encoder::new(&mut out)).with_context(|| format!("item {}", place + 1))?;
            Ok(out)
        })
        .collect()
}

fn write(value: &Yaml, out: &mut Encoder<&mut Vec<u8>>) -> anyhow::Result<()> {
    match value {
        Yaml::Null => _ = out.null().expect(MEMORY),
        Yaml::Boolean(value) => _ = out.bool(*value).expect(MEMORY),
        Yaml::Integer(number) => _ = out.i64(*number).expect(MEMORY),
        Yaml::Real(shown) => {
            let Some(number) = value.as_f64() else { bail!("{shown} is no number") };
            out.f64(number).expect(MEMORY);
        }
        Yaml::String(text) if text.is_ascii() => _ = out.bytes(text.as_bytes()).expect(MEMORY),
        Yaml::String(text) => _ = out.str(text).expect(MEMORY),
        Yaml::Array(items) => {
            out.array(items.len() as u64).expect(MEMORY);
            items.iter().try_for_each(|item| write(item, out))?;
        }
        Yaml::Hash(entries) => {
            out.map(entries.len() as u64).expect(MEMORY);
            for (key, value) in entries {
                write(key, out)?;
                write(value, out)?;
            }
        }
        Yaml::Alias(_) | Yaml::BadValue => bail!("a value that YAML cannot tell"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_those_of_python_2() {
        let text = "k: {a: [1, -2.5, true, ~], b: plain, c: ü, 7: yes}\n";
        let expected =
            b"\xa1\x41k\xa4\x41a\x84\x01\xfb\xc0\x04\0\0\0\0\0\0\xf5\xf6\x41b\x45plain\x41c\x62\xc3\xbc\x07\x43yes";
        assert_eq!(items(text).unwrap(), [expected]);
    }

    #[test]
    fn documents_and_entries_of_lists_are_items() {
        let two = [b"\xa1\x41a\xa0".to_vec(), b"\xa1\x41b\xa0".to_vec()];
        assert_eq!(items("a: {}\n---\nb: {}\n").unwrap(), two);
        assert_eq!(items("- a: {}\n- b: {}\n").unwrap(), two);
        assert!(items("").unwrap().is_empty());
        assert!(items("a: [").is_err());
    }
}
