//! `berth work units add`: units from a file, with progress.

use std::{path::Path, time::Instant};

use anyhow::{Context, bail};
use berth_proto::work::{AddUnitsRequest, NewUnit};
use minicbor::{Decoder, data::Type, decode::Error};
use serde_json::json;

use super::{Asking, name, specs::tell, values};
use crate::admin::answer;

/// Units that are added at a time, all or none.
const AT_A_TIME: usize = 1_000;

pub(super) async fn run(mut asking: Asking, spec: &str, file: &Path) -> anyhow::Result<()> {
    // Everything is read before anything is sent: a mistake in the last line adds nothing.
    let mut units = Vec::new();
    for (place, item) in values::items(&values::file(file)?)?.iter().enumerate() {
        units.extend(read(item).with_context(|| format!("item {}", place + 1))?);
    }
    let (total, mut added, mut told) = (units.len(), 0, Instant::now());
    for some in units.chunks(AT_A_TIME) {
        let request = AddUnitsRequest { namespace: asking.namespace.clone(), spec: name(spec), units: some.to_vec() };
        answer(asking.client.add_units(request).await)?;
        added += some.len();
        if told.elapsed().as_secs() >= 1 {
            eprintln!("berth: {added} of {total} units");
            told = Instant::now();
        }
    }
    tell(asking.json, &json!({ "added": added }), &format!("{added} units are added to {spec}"));
    Ok(())
}

/// The units of one item: one with its fields, a list of key and dictionary, or a map of keys to dictionaries.
fn read(item: &[u8]) -> anyhow::Result<Vec<NewUnit>> {
    let mut from = Decoder::new(item);
    if matches!(from.datatype()?, Type::Array | Type::Tag) {
        if from.datatype()? == Type::Tag {
            from.tag()?;
        }
        if from.array()? != Some(2) {
            bail!("a list of a key and a dictionary is expected");
        }
        let (key, data) = (string(&mut from)?, raw(&mut from, item)?);
        return Ok(vec![unit(key, data)]);
    }
    let count = from.map().context("a map or a list is expected")?.context("a map of known length is expected")?;
    let mut entries = Vec::new();
    for _ in 0..count {
        entries.push((string(&mut from)?, raw(&mut from, item)?));
    }
    if !entries.iter().any(|(key, _)| key == b"key") {
        return Ok(entries.into_iter().map(|(key, data)| unit(key, data)).collect());
    }
    let mut unit = NewUnit::default();
    for (field, value) in entries {
        let mut value_of = Decoder::new(value);
        match &field[..] {
            b"key" => unit.key = string(&mut value_of)?.into(),
            b"data" => unit.data = value.to_vec().into(),
            b"priority" => unit.priority = number(&mut value_of).context("priority")?,
            b"delay" => {
                let delay = std::time::Duration::try_from_secs_f64(number(&mut value_of).context("delay")?)?;
                unit.delay = Some(prost_types::Duration::try_from(delay)?);
            }
            _ => bail!("{:?} is no field of a unit; expected key, data, priority, delay", super::shown(&field)),
        }
    }
    Ok(vec![unit])
}

fn unit(key: Vec<u8>, data: &[u8]) -> NewUnit {
    NewUnit { key: key.into(), data: data.to_vec().into(), ..NewUnit::default() }
}

fn string(from: &mut Decoder<'_>) -> Result<Vec<u8>, Error> {
    match from.datatype()? {
        Type::String => Ok(from.str()?.as_bytes().to_vec()),
        _ => Ok(from.bytes()?.to_vec()),
    }
}

fn raw<'a>(from: &mut Decoder<'_>, item: &'a [u8]) -> Result<&'a [u8], Error> {
    let start = from.position();
    from.skip()?;
    Ok(&item[start..from.position()])
}

fn number(from: &mut Decoder<'_>) -> Result<f64, Error> {
    match from.datatype()? {
        Type::F16 | Type::F32 | Type::F64 => from.f64(),
        _ => Ok(i128::from(from.int()?) as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(json: serde_json::Value) -> anyhow::Result<Vec<NewUnit>> {
        read(&values::to_cbor(&json))
    }

    #[test]
    fn a_unit_comes_in_three_shapes() {
        let data = values::to_cbor(&json!({ "n": 1 }));
        let plain = NewUnit { key: "k".into(), data: data.clone().into(), ..NewUnit::default() };
        for shape in [json!({ "key": "k", "data": { "n": 1 } }), json!(["k", { "n": 1 }]), json!({ "k": { "n": 1 } })] {
            assert_eq!(units(shape).unwrap(), std::slice::from_ref(&plain));
        }
        assert_eq!(units(json!({ "a": {}, "b": {} })).unwrap().len(), 2);
        let with = units(json!({ "key": "k", "data": {}, "priority": 2, "delay": 1.5 })).unwrap().remove(0);
        assert_eq!((with.priority, with.delay.unwrap().nanos), (2.0, 500_000_000));
    }

    #[test]
    fn what_is_no_unit_is_told() {
        for bad in [json!({ "key": "k", "date": {} }), json!(["k"]), json!(7), json!({ "key": "k", "delay": -1 })] {
            assert!(units(bad.clone()).is_err(), "{bad}");
        }
    }
}
