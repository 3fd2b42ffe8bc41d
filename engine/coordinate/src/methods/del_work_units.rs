//! `del_work_units(spec, options)`: all units, these units, or those in a state.

use berth_core::work::{DeleteUnits, UnitState};

use super::{
    Call,
    arguments::{Options, name, names},
    in_band, once, pair, words,
};
use crate::{config::Config, envelope::Args, refusal::Refusal};

/// Result: the pair of how many were deleted and nothing, or of 0 and the reason. Without an option that says which ones,
/// nothing is deleted.
pub(super) fn del_work_units(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = name(&args, 0, "work_spec_name")?;
    let options = Options::of(&args, 1)?;
    let keys = options.strings("work_unit_keys")?;
    let number = options.int("state")?;
    let state = number.and_then(|number| UnitState::from_number(number.try_into().ok()?));
    let which = if options.truthy("all") {
        Ok(DeleteUnits::All)
    } else if number.is_some() && state.is_none() {
        // No unit is ever in it.
        Err(None)
    } else {
        match (keys, state) {
            (Some(keys), state) => Ok(DeleteUnits::Keys(names(keys), state)),
            (None, Some(state)) => Ok(DeleteUnits::State(state)),
            (None, None) => Err(Some("no usable options to del_work_units")),
        }
    };
    Ok(once(move |book| {
        let (deleted, nothing) = match which {
            Ok(which) => (book.delete_units(&spec, which), None),
            Err(why) => (book.count_units(&spec).map(|_| 0), why),
        };
        move |out: &mut _| match (deleted, nothing) {
            (Err(refusal), _) => in_band(out, |out| _ = out.uint(0), words(&refusal)),
            (Ok(_), Some(why)) => in_band(out, |out| _ = out.uint(0), why),
            (Ok(deleted), None) => pair(out, |out| _ = out.uint(deleted)),
        }
    }))
}
