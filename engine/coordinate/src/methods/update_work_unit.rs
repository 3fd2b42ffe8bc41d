//! `update_work_unit(spec, key, options)`: renew a lease, give a unit back, finish it, fail it, try it again.

use berth_core::work::{self, Book, SpecName, UnitKey, UnitState, UpdateUnit};

use super::{
    Call,
    arguments::{Options, name},
    ask, in_band, kept, once, pair, words,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// Result: the pair of whether something was done, and why not.
pub(super) fn update_work_unit(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec: SpecName = name(&args, 0, "work_spec_name")?;
    let key: UnitKey = name(&args, 1, "work_unit_key")?;
    let options = Options::of(&args, 2)?;
    // The document: 0 makes no change.
    let number = options.int("status")?.filter(|number| *number != 0);
    let state = number.and_then(|number| UnitState::from_number(number.try_into().ok()?));
    let update = UpdateUnit {
        lease_s: options.float("lease_time")?,
        state,
        data: options.get("data").map(kept),
        worker: options.string("worker_id")?.map(Into::into),
    };
    if let (Some(number), None) = (number, state) {
        // A state that nobody knows would be one that the unit never leaves.
        return Ok(ask(move |book| {
            let missing = book.unit_status(&spec, &[key]).err();
            move |out: &mut _| {
                let message = missing.map_or_else(|| format!("no such status {number}").into_bytes(), |no| words(&no));
                in_band(out, |out| _ = out.bool(false), message);
            }
        }));
    }
    // What ends a unit is told that it has ended, and a lease may be renewed twice. What gives it back or takes it might
    // meet somebody else's work the second time.
    let harms = update.lease_s.is_some_and(|seconds| seconds <= 0.0)
        || matches!(update.state, Some(UnitState::Available | UnitState::Pending));
    let change = move |book: &mut Book| {
        let result: Result<bool, work::Refusal> = book.update_unit(&spec, &key, update);
        move |out: &mut Writer| match result {
            Ok(done) => pair(out, |out| _ = out.bool(done)),
            Err(refusal) => in_band(out, |out| _ = out.bool(false), words(&refusal)),
        }
    };
    Ok(if harms { once(change) } else { ask(change) })
}
