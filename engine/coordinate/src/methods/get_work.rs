//! `get_work(worker, options)`: units to work on, all of one spec, with a lease.

use berth_core::work::{Assignment, GetWork, Value};

use super::{
    Call,
    arguments::{Options, name, names},
    pair,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// The most units that a call is given. It may always be given fewer than it asked for.
const JOBS_MAX: i64 = 10_000;

/// Result: the pair of the work and nothing. Who asks for one unit is given a tuple of spec, key and data, or of three
/// nulls; who asks for another number a list of such tuples.
pub(super) fn get_work(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let worker = name(&args, 0, "worker_id")?;
    let options = Options::of(&args, 1)?;
    let jobs = options.int("max_jobs")?.unwrap_or(1);
    let mut get = GetWork {
        worker,
        lease_s: options.float("lease_time")?,
        max_jobs: jobs.clamp(1, JOBS_MAX).unsigned_abs(),
        specs: names(options.strings("work_spec_names")?.unwrap_or_default()),
        // Clients of this protocol are for Python: they name no runtime.
        runtimes: vec![Value::default()],
        available_gb: options.float("available_gb")?.filter(|available| *available != 0.0),
        call: None,
    };
    // The book itself knows the call again: dictionaries are not kept twice.
    Ok(Call::Once(Box::new(move |book, call| {
        get.call = Some(call);
        let work = book.get_work(&get);
        Box::new(move |out: &mut _| {
            pair(out, |out| if jobs == 1 { write_one(work.first(), out) } else { write_all(&work, out) });
        })
    })))
}

fn write_one(unit: Option<&Assignment>, out: &mut Writer) {
    match unit {
        Some(unit) => write(unit, out),
        None => _ = out.tuple(3).null().null().null(),
    }
}

fn write_all(units: &[Assignment], out: &mut Writer) {
    out.array(units.len());
    units.iter().for_each(|unit| write(unit, out));
}

fn write(unit: &Assignment, out: &mut Writer) {
    out.tuple(3).bytes(unit.spec.as_bytes()).bytes(unit.key.as_bytes()).raw(&unit.data);
}
