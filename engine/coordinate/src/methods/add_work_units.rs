//! `add_work_units(spec, units)`: all of them, or none if one cannot be read.

use super::{
    Call,
    arguments::{LIST_MAX, at_most, expected, name},
    done_or_false, once,
    units::{new_unit, pair_unit},
};
use crate::{config::Config, envelope::Args, refusal::Refusal};

/// Result: the pair of `true` and nothing, or of `false` and the reason.
pub(super) fn add_work_units(args: Args<'_>, config: &Config) -> Result<Call, Refusal> {
    config.takes_work()?;
    let spec = name(&args, 0, "work_spec_name")?;
    let units = args.at(1);
    let units: Vec<_> = match (units.items(), units.pairs()) {
        (Some(items), _) => at_most(LIST_MAX, items, "work units")?.map(new_unit).collect::<Result<_, _>>()?,
        // The client makes a list of a dictionary before it sends it; so can we.
        (None, Some(pairs)) if pairs.clone().nth(LIST_MAX).is_none() => {
            pairs.map(|(key, data)| pair_unit(key, data)).collect::<Result<_, _>>()?
        }
        (None, _) => return Err(expected("work units", "a list")),
    };
    Ok(once(move |book| {
        let result = book.add_units(&spec, units);
        move |out: &mut _| done_or_false(out, &result)
    }))
}
