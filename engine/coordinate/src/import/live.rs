//! A server that runs. Nobody should change its work meanwhile: pages of a list that changes have gaps.

use std::{
    collections::VecDeque,
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    ImportError, Source, Spec, Standing, Unit,
    remote::{Answer, Remote},
};
use crate::{
    cbor::{Value, Writer},
    python,
};

/// Units a page: the most that both old servers give.
const PAGE: i64 = 10_000;

pub(super) struct Live {
    remote: Remote,
    /// Names, in CBOR.
    specs: VecDeque<Vec<u8>>,
    /// Of the spec that came last, and the last key of the last page.
    spec: Vec<u8>,
    last: Option<Vec<u8>>,
    ended: bool,
}

impl Live {
    pub(super) fn new(mut remote: Remote) -> Result<Self, ImportError> {
        // One page of all: the Python server cannot give another.
        let answer = remote.call("list_work_specs", &[&[0xa0]])?;
        let specs = answer.first().and_then(Value::items).into_iter().flatten();
        let specs = specs.filter_map(|spec| Some(spec.get("name")?.raw().to_vec())).collect();
        Ok(Self { remote, specs, spec: Vec::new(), last: None, ended: true })
    }

    fn page(&mut self) -> Result<Answer, ImportError> {
        let mut options = Writer::default();
        options.map(1 + usize::from(self.last.is_some())).bytes("limit").int(PAGE);
        if let Some(last) = &self.last {
            options.bytes("start").raw(last);
        }
        self.remote.call("get_work_units", &[&self.spec, options.as_slice()])
    }
}

impl Source for Live {
    fn next_spec(&mut self) -> Result<Option<Spec>, ImportError> {
        let Some(name) = self.specs.pop_front() else { return Ok(None) };
        let dictionary = self.remote.call("get_work_spec", &[&name])?;
        let meta = self.remote.call("get_work_spec_meta", &[&name])?;
        (self.spec, self.last, self.ended) = (name.clone(), None, false);
        let continuous = dictionary.value().get("continuous").is_some_and(Value::truthy);
        let control = control(meta.first().unwrap_or(meta.value()), continuous);
        Ok(Some(Spec { name, dictionary: dictionary.value().raw().to_vec(), control }))
    }

    fn next_units(&mut self) -> Result<Vec<Unit>, ImportError> {
        if self.ended {
            return Ok(Vec::new());
        }
        let page = self.page()?;
        let list = page.first().and_then(Value::items).into_iter().flatten();
        let pairs: Vec<(Value<'_>, Value<'_>)> = list.filter_map(|unit| pair(unit)).collect();
        self.ended = pairs.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        // The page may begin with the unit that the last one ended with.
        let last = self.last.as_deref().and_then(|last| Some(Value::checked(last).string()?.into_owned()));
        let fresh: Vec<_> = pairs.into_iter().filter(|(key, _)| key.string().as_deref() != last.as_deref()).collect();
        let greatest = fresh.iter().max_by_key(|(key, _)| key.string().unwrap_or_default());
        self.last = greatest.map(|(key, _)| key.raw().to_vec()).or(self.last.take());
        let mut keys = Writer::default();
        keys.array(fresh.len());
        fresh.iter().for_each(|(key, _)| _ = keys.raw(key.raw()));
        let statuses = self.remote.call("get_work_unit_status", &[&self.spec, keys.as_slice()])?;
        let statuses = statuses.first().and_then(Value::items).into_iter().flatten();
        Ok(fresh.iter().zip(statuses).map(|((key, data), status)| unit(*key, *data, status)).collect())
    }
}

fn pair(unit: Value<'_>) -> Option<(Value<'_>, Value<'_>)> {
    let mut items = unit.items()?;
    Some((items.next()?, items.next()?))
}

fn unit(key: Value<'_>, data: Value<'_>, status: Value<'_>) -> Unit {
    let standing = standing(status.get("status"), status.get("expiration"), status.get("worker_id"));
    Unit { key: key.raw().to_vec(), data: data.raw().to_vec(), priority: None, standing }
}

/// Of the words that both a running server and its snapshot use. A lease that has run out makes the unit available.
pub(super) fn standing(status: Option<Value<'_>>, expires: Option<Value<'_>>, worker: Option<Value<'_>>) -> Standing {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
    let seconds = expires.and_then(python::float).map_or(0.0, |expires| expires - now);
    match status.and_then(python::int) {
        Some(3) if seconds > 0.0 => {
            let worker = worker.filter(|worker| !worker.is_null()).map(|worker| worker.raw().to_vec());
            Standing::Pending { seconds, worker }
        }
        Some(4) => Standing::Finished,
        Some(5) => Standing::Failed,
        _ => Standing::Available,
    }
}

/// What `control_work_spec` is told so that the spec is as it was. The old servers show 0 where there is no limit.
pub(super) fn control(meta: Value<'_>, continuous: bool) -> Vec<u8> {
    let names = ["status", "weight", "interval", "max_running"];
    let mut out = Writer::default();
    let values = || names.iter().filter_map(|name| Some((*name, meta.get(name)?)));
    out.map(values().count() + usize::from(continuous));
    for (name, value) in values() {
        out.bytes(name);
        match name {
            "interval" if !value.truthy() => out.null(),
            _ => out.raw(value.raw()),
        };
    }
    if continuous {
        out.bytes("continuous").bool(meta.get("continuous").is_some_and(Value::truthy));
    }
    out.into_bytes()
}
