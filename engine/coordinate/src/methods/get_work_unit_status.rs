//! `get_work_unit_status(spec, keys)`: how each of these units is.

use berth_core::work::{UnitKey, UnitState, UnitView};

use super::{
    Call,
    arguments::{name, names, strings},
    ask, in_band, pair, words,
};
use crate::{
    cbor::{Value, Writer},
    config::Config,
    envelope::Args,
    refusal::Refusal,
};

/// Result: the pair of a list, of a dictionary for each key and null where there is no such unit, and nothing; or of null
/// and the reason.
pub(super) fn get_work_unit_status(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = name(&args, 0, "work_spec_name")?;
    let keys: Vec<UnitKey> = names(strings(args.at(1), "work_unit_keys")?);
    Ok(ask(move |book| {
        let units = book.unit_status(&spec, &keys);
        move |out: &mut _| match units {
            Err(refusal) => in_band(out, |out| _ = out.null(), words(&refusal)),
            Ok(units) => pair(out, |out| {
                out.array(units.len());
                units.iter().for_each(|unit| match unit {
                    Some(unit) => write(unit, out),
                    None => _ = out.null(),
                });
            }),
        }
    }))
}

fn write(unit: &UnitView, out: &mut Writer) {
    let data = Value::checked(&unit.data);
    let traceback = data.get("traceback");
    // Of a unit that nobody has, nothing is told of who had it.
    let worker = unit.worker.as_ref().filter(|_| unit.state != UnitState::Available);
    out.map(2 + usize::from(worker.is_some()) + usize::from(traceback.is_some()));
    out.bytes("status").uint(unit.state.number().into());
    out.bytes("expiration");
    match unit.expiration {
        Some(time) => out.seconds(time.0),
        None => out.null(),
    };
    if let Some(worker) = worker {
        out.bytes("worker_id").bytes(worker.as_bytes());
    }
    if let Some(traceback) = traceback {
        out.bytes("traceback").raw(traceback.raw());
    }
}
