//! Workers: their signs of life, what they told of themselves, and what their children work on.

use std::collections::BTreeMap;

use berth_core::work::{ChildUnit, Heartbeat, Lifetime, Value as Kept, WorkerId, WorkerInfo};

use super::{
    Call,
    arguments::{expected, name, number, string},
    ask, done_or_false, in_band, kept, once, pair,
};
use crate::{
    cbor::{Value, Writer, canonical},
    config::Config,
    envelope::{Args, NULL},
    refusal::Refusal,
};

/// Modes are words. They are compared each time that they are counted.
const MODE_BYTES_MAX: usize = 4096;

/// The key under which a worker's information tells how old it is.
const AGE: &str = "age_seconds";

/// `worker_heartbeat(id, mode, expire_seconds, data, parent)`. Result: the pair of `true` and nothing, or what was made of
/// a lifetime that cannot be.
pub(super) fn worker_heartbeat(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let null = Value::checked(NULL);
    let mode = args.at(1);
    if mode.raw().len() > MODE_BYTES_MAX {
        return Err(expected("mode", &format!("at most {MODE_BYTES_MAX} bytes")));
    }
    let expire_s = number(args.at(2), "expire_seconds")?;
    let parent = args.given(4).map(|parent| string(parent, "parent")).transpose()?;
    let heartbeat = Heartbeat {
        worker: name(&args, 0, "worker_id")?,
        mode: kept(mode),
        expire_s,
        data: kept(args.given(3).unwrap_or(null)),
        parent: parent.filter(|parent| !parent.is_empty()).map(Into::into),
    };
    Ok(ask(move |book| {
        let lifetime = book.heartbeat(heartbeat);
        move |out: &mut _| match lifetime {
            Lifetime::AsAsked => pair(out, |out| _ = out.bool(true)),
            Lifetime::WasNegative => {
                in_band(
                    out,
                    |out| _ = out.bool(true),
                    format!("negative expire time {expire_s} defaulted to 5 minutes"),
                );
            }
            Lifetime::WasTooLong => {
                in_band(out, |out| _ = out.bool(true), format!("huge expire time {expire_s} defaulted to one hour"));
            }
        }
    }))
}

/// `worker_unregister(id)`. Result: the pair of `true` and nothing, or of `false` and the reason.
pub(super) fn worker_unregister(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let worker: WorkerId = name(&args, 0, "worker_id")?;
    Ok(once(move |book| {
        let result = book.unregister(&worker);
        move |out: &mut _| done_or_false(out, &result)
    }))
}

/// `list_worker_modes()`. Result: the pair of a dictionary of worker to mode and nothing.
pub(super) fn list_worker_modes(_: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    Ok(ask(|book| {
        let modes = book.worker_modes();
        move |out: &mut _| {
            pair(out, |out| {
                out.map(modes.len());
                modes.iter().for_each(|(worker, mode)| _ = out.bytes(worker.as_bytes()).raw(mode));
            });
        }
    }))
}

/// `mode_counts()`. Result: the pair of a dictionary of mode to number of workers and nothing.
pub(super) fn mode_counts(_: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    Ok(ask(|book| {
        let modes = book.worker_modes();
        move |out: &mut _| {
            // A mode that one worker sends as text and another as a byte string is one key of a Python dictionary.
            let mut counts: BTreeMap<Vec<u8>, (Kept, u64)> = BTreeMap::new();
            for (_, mode) in modes {
                counts.entry(canonical(Value::checked(&mode))).or_insert((mode, 0)).1 += 1;
            }
            pair(out, |out| {
                out.map(counts.len());
                counts.values().for_each(|(mode, count)| _ = out.raw(mode).uint(*count));
            });
        }
    }))
}

/// `worker_stats()`. Result: a dictionary of numbers, and no pair.
pub(super) fn worker_stats(_: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    Ok(ask(|book| {
        let stats = book.worker_stats();
        move |out: &mut _| {
            out.map(3);
            out.bytes("num_workers").uint(stats.workers);
            out.bytes("num_children").uint(stats.children);
            out.bytes("num_expirable").uint(stats.workers);
        }
    }))
}

/// `get_worker_info(id)`. Result: the pair of what the worker last told, with the seconds since then, and nothing; or of
/// null and nothing.
pub(super) fn get_worker_info(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let worker: WorkerId = name(&args, 0, "worker_id")?;
    Ok(ask(move |book| {
        let info = book.worker_info(&worker);
        move |out: &mut _| {
            pair(out, |out| match &info {
                Some(info) => write_info(info, out),
                None => _ = out.null(),
            });
        }
    }))
}

/// What is no dictionary goes back as it came, but for null, which is as good as an empty one.
fn write_info(info: &WorkerInfo, out: &mut Writer) {
    let data = Value::checked(&info.data);
    if data.pairs().is_none() && !data.is_null() {
        out.raw(data.raw());
        return;
    }
    let pairs = || data.pairs().into_iter().flatten().filter(|(key, _)| !key.is(AGE));
    out.map(pairs().count() + 1);
    pairs().for_each(|(key, value)| _ = out.raw(key.raw()).raw(value.raw()));
    out.bytes(AGE).float(info.age.as_secs_f64());
}

/// `get_child_work_units(id)`. Result: the pair of a dictionary, of each child to a list of the units that it has or
/// believes to have, and nothing.
pub(super) fn get_child_work_units(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let worker: WorkerId = name(&args, 0, "worker_id")?;
    Ok(ask(move |book| {
        let children = book.child_units(&worker);
        move |out: &mut _| {
            pair(out, |out| {
                out.map(children.len());
                for (child, units) in &children {
                    out.bytes(child.as_bytes()).array(units.len());
                    units.iter().for_each(|unit| write_unit(unit, out));
                }
            });
        }
    }))
}

fn write_unit(unit: &ChildUnit, out: &mut Writer) {
    out.map(5);
    out.bytes("work_spec_name").bytes(unit.spec.as_bytes());
    out.bytes("work_unit_key").bytes(unit.key.as_bytes());
    out.bytes("work_unit_data").raw(&unit.data);
    out.bytes("worker_id");
    match &unit.worker {
        Some(worker) => out.bytes(worker.as_bytes()),
        None => out.null(),
    };
    out.bytes("expires");
    match unit.expires {
        Some(expires) => out.seconds(expires.0),
        None => out.null(),
    };
}
