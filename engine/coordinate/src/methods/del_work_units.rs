//! `del_work_units(spec, options)`: all units, these units, or those in a state.

use berth_core::work::{DeleteUnits, STEP_MAX, UnitState};

use super::{
    Call,
    arguments::{Options, name, names},
    in_band, once_in_steps, pair, words,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

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
    let (mut which, nothing) = match which {
        Ok(which) => (which, None),
        // Nothing, but whether there is such a spec is told.
        Err(why) => (DeleteUnits::Keys(Vec::new(), None), why),
    };
    let mut deleted = 0;
    Ok(once_in_steps(move |book| {
        let step = match book.delete_units(&spec, &mut which, STEP_MAX) {
            Ok((count, more)) => {
                deleted += count;
                if more {
                    return None;
                }
                Ok(deleted)
            }
            // It was deleted meanwhile, as a whole.
            Err(_) if deleted > 0 => Ok(deleted),
            Err(refusal) => Err(refusal),
        };
        Some(move |out: &mut Writer| match (step, nothing) {
            (Err(refusal), _) => in_band(out, |out| _ = out.uint(0), words(&refusal)),
            (Ok(_), Some(why)) => in_band(out, |out| _ = out.uint(0), why),
            (Ok(deleted), None) => pair(out, |out| _ = out.uint(deleted)),
        })
    }))
}
