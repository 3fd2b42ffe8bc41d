//! What holds for a spec beside its dictionary: `control_work_spec` changes it, `get_work_spec_meta` tells it.

use berth_core::work::{Control, SpecName};

use super::{
    Call,
    arguments::{Options, expected, name},
    ask, in_band, once, pair, words,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// The states of a spec on the wire.
const RUNNABLE: i64 = 1;
const PAUSED: i64 = 2;

/// `control_work_spec(name, {continuous, status, weight, interval, max_running})`: what is not named stays; a null takes
/// interval and max_running away. Result: the pair of `true` and nothing, or of `false` and the reason.
pub(super) fn control_work_spec(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec: SpecName = name(&args, 0, "work_spec_name")?;
    let options = Options::of(&args, 1)?;
    let paused = match options.int("status")? {
        None => None,
        Some(RUNNABLE) => Some(false),
        Some(PAUSED) => Some(true),
        Some(_) => return Err(expected("status", "1 (runnable) or 2 (paused)")),
    };
    let control = Control {
        continuous: options.get("continuous").map(crate::cbor::Value::truthy),
        paused,
        weight: options.int("weight")?,
        interval: changed(&options, "interval", options.float("interval")?.map(super::units::seconds)),
        max_running: changed(&options, "max_running", limit(options.int("max_running")?)),
    };
    Ok(once(move |book| {
        let result = book.control_spec(&spec, control);
        move |out: &mut _| match result {
            Ok(()) => pair(out, |out| _ = out.bool(true)),
            Err(refusal) => in_band(out, |out| _ = out.bool(false), plain(&refusal)),
        }
    }))
}

/// `get_work_spec_meta(name)`. Result: the pair of a dictionary of what `control_work_spec` takes and nothing, or of null
/// and the reason.
pub(super) fn get_work_spec_meta(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec: SpecName = name(&args, 0, "work_spec_name")?;
    Ok(ask(move |book| {
        let meta = book.spec_meta(&spec);
        move |out: &mut _| match meta {
            Err(refusal) => in_band(out, |out| _ = out.null(), plain(&refusal)),
            Ok(meta) => pair(out, |out| {
                out.map(5);
                out.bytes("status").int(if meta.paused { PAUSED } else { RUNNABLE });
                out.bytes("continuous").bool(meta.continuous);
                out.bytes("interval");
                write_or_null(out, meta.interval, |out, interval| _ = out.float(interval.as_secs_f64()));
                out.bytes("max_running");
                write_or_null(out, meta.max_running, |out, limit| _ = out.uint(limit));
                out.bytes("weight").int(meta.weight);
            }),
        }
    }))
}

fn changed<T>(options: &Options<'_>, name: &str, value: Option<T>) -> Option<Option<T>> {
    options.has(name).then_some(value)
}

fn limit(limit: Option<i64>) -> Option<u64> {
    limit.filter(|limit| *limit > 0).map(i64::unsigned_abs)
}

/// These two methods show the name as it is, where all others show it in quotes.
fn plain(refusal: &berth_core::work::Refusal) -> Vec<u8> {
    match refusal {
        berth_core::work::Refusal::NoSpec(name) => [b"no such work spec ", name.as_bytes()].concat(),
        other => words(other),
    }
}

fn write_or_null<T>(out: &mut Writer, value: Option<T>, write: impl FnOnce(&mut Writer, T)) {
    match value {
        Some(value) => write(out, value),
        None => _ = out.null(),
    }
}
