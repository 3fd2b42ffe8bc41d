//! `archive({work_spec_names})`: completed units that are too old or too many are forgotten. They stay counted.

use berth_core::work::{STEP_MAX, SpecName};

use super::{
    Call,
    arguments::{Options, names},
    in_steps,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// Result: null. Names of specs that are not there are ignored; without names, it is about all specs.
pub(super) fn archive(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let options = Options::of(&args, 0)?;
    let specs: Option<Vec<SpecName>> = options.strings("work_spec_names")?.map(names);
    Ok(in_steps(move |book| (!book.archive(specs.as_deref(), STEP_MAX)).then_some(|out: &mut Writer| _ = out.null())))
}
