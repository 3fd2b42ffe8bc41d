//! `prioritize_work_units(spec, options)`: sooner or later than the others.

use berth_core::work::{Book, Prioritize, Priority, UnitKey};

use super::{
    Call,
    arguments::{Options, name, names, number},
    ask, done_or_false, in_band, once, words,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// Result: the pair of `true` and nothing, or of `false` and the reason. Keys that are not there are left out.
pub(super) fn prioritize_work_units(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = name(&args, 0, "work_spec_name")?;
    let options = Options::of(&args, 1)?;
    let keys: Option<Vec<UnitKey>> = options.strings("work_unit_keys")?.map(names);
    let number = |option| options.get(option).map(|value| number(value, option)).transpose();
    let change = match (number("priority")?, number("adjustment")?) {
        (Some(priority), _) => Some(Prioritize::To(Priority::new(priority))),
        (None, adjustment) => adjustment.map(Prioritize::By),
    };
    let adds = matches!(change, Some(Prioritize::By(_)));
    let prioritize = move |book: &mut Book| {
        let result = match (keys, change) {
            (None, _) => book.count_units(&spec).map(|_| false),
            (Some(keys), Some(change)) => book.prioritize_units(&spec, &keys, change).map(|()| true),
            // Neither a priority nor an adjustment: nothing to do, and done.
            (Some(_), None) => book.count_units(&spec).map(|_| true),
        };
        move |out: &mut Writer| match result {
            Ok(true) => done_or_false(out, &Ok(())),
            Ok(false) => in_band(out, |out| _ = out.bool(false), "missing work_unit_keys"),
            Err(refusal) => in_band(out, |out| _ = out.bool(false), words(&refusal)),
        }
    };
    Ok(if adds { once(prioritize) } else { ask(prioritize) })
}
