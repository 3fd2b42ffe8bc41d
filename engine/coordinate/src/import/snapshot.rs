//! A snapshot of the Python server: one CBOR item a spec, an array of dictionary, weight, status, continuous, units,
//! archived counts, interval, time of the next generated unit, `max_running`. Units are pairs of a key and a dictionary of
//! all that the server knew of them.

use std::{io::Read, path::Path, vec};

use super::{
    ImportError, Source, Spec, Unit,
    live::{control, standing},
};
use crate::cbor::{Number, Scan, Scanned, Value, Writer};

/// Units at a time.
const PAGE: usize = 2_000;

pub(super) struct Snapshot {
    name: String,
    bytes: Vec<u8>,
    /// Where the next spec begins.
    at: usize,
    /// Units of the spec that came last: where they are.
    units: vec::IntoIter<(usize, usize)>,
}

impl Snapshot {
    pub(super) fn open(file: &Path) -> Result<Self, ImportError> {
        let name = file.display().to_string();
        let failed = |error| ImportError::File(name.clone(), error);
        let mut bytes = Vec::new();
        if name == "-" {
            std::io::stdin().lock().read_to_end(&mut bytes).map_err(failed)?;
        } else {
            bytes = std::fs::read(file).map_err(failed)?;
        }
        Ok(Self { name, bytes, at: 0, units: Vec::new().into_iter() })
    }

    fn bad(&self, why: impl Into<String>) -> ImportError {
        ImportError::NoSnapshot(self.name.clone(), why.into())
    }

    /// Where an item is in the file.
    fn place(&self, value: Value<'_>) -> (usize, usize) {
        let start = value.raw().as_ptr() as usize - self.bytes.as_ptr() as usize;
        (start, start + value.raw().len())
    }
}

impl Source for Snapshot {
    fn next_spec(&mut self) -> Result<Option<Spec>, ImportError> {
        let rest = &self.bytes[self.at..];
        if rest.is_empty() {
            return Ok(None);
        }
        let end = match Scan::default().go_on(rest) {
            Ok(Scanned::Whole { end, bad_text: false }) => end,
            Ok(_) => return Err(self.bad("it ends too early, or is compressed: pipe it through zcat and name `-`")),
            Err(why) => return Err(self.bad(format!("{why}; is it compressed? Pipe it through zcat and name `-`"))),
        };
        let state = Value::checked(&rest[..end]);
        let fields: Vec<Value<'_>> = state.items().into_iter().flatten().collect();
        let [dictionary, weight, status, continuous, units, ..] = fields[..] else {
            return Err(self.bad("a spec is an array of five values and more"));
        };
        let (Some(name), Some(units)) = (dictionary.get("name"), units.items()) else {
            return Err(self.bad("a spec has a name, and a list of units"));
        };
        let declared = dictionary.get("continuous").is_some_and(Value::truthy);
        let mut meta = Writer::default();
        let optional = [("interval", fields.get(6)), ("max_running", fields.get(8))];
        let optional = optional.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
        meta.map(3 + optional.clone().count()).bytes("weight").raw(weight.raw()).bytes("status").raw(status.raw());
        meta.bytes("continuous").raw(continuous.raw());
        optional.for_each(|(name, value)| _ = meta.bytes(name).raw(value.raw()));
        let spec = Spec {
            name: name.raw().to_vec(),
            dictionary: dictionary.raw().to_vec(),
            control: control(Value::checked(meta.as_slice()), declared),
        };
        let units: Vec<_> = units.map(|unit| self.place(unit)).collect();
        self.units = units.into_iter();
        self.at += end;
        Ok(Some(spec))
    }

    fn next_units(&mut self) -> Result<Vec<Unit>, ImportError> {
        let places: Vec<_> = self.units.by_ref().take(PAGE).collect();
        let units = places.into_iter().map(|(start, end)| unit(Value::checked(&self.bytes[start..end])));
        units.collect::<Option<Vec<_>>>().ok_or_else(|| self.bad("a unit is a pair of a key and a dictionary"))
    }
}

fn unit(value: Value<'_>) -> Option<Unit> {
    let mut items = value.items()?;
    let (key, fields) = (items.next()?, items.next()?);
    let standing = standing(fields.get("status"), fields.get("lease_time"), fields.get("worker_id"));
    Some(Unit {
        key: key.raw().to_vec(),
        data: fields.get("data")?.raw().to_vec(),
        priority: fields.get("priority").and_then(Value::number).map(Number::float),
        standing,
    })
}
