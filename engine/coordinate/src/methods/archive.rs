//! `archive({work_spec_names})`: completed units that are too old or too many are forgotten. They stay counted.

use berth_core::work::SpecName;

use super::{
    Call,
    arguments::{Options, names},
    ask,
};
use crate::{config::Config, envelope::Args, refusal::Refusal};

/// Steps of a call. Each forgets a bounded number of units; what is left, the server does by itself later.
const STEPS_MAX: usize = 64;

/// Result: null. Names of specs that are not there are ignored; without names, it is about all specs.
pub(super) fn archive(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let options = Options::of(&args, 0)?;
    let specs: Option<Vec<SpecName>> = options.strings("work_spec_names")?.map(names);
    Ok(ask(move |book| {
        // False: there is no more to do.
        let _ = (0..STEPS_MAX).all(|_| book.archive(specs.as_deref()));
        |out: &mut _| _ = out.null()
    }))
}
