//! Work specs: `get_work_spec`, `list_work_specs`, `del_work_spec`, `clear`.

use berth_core::work::{STEP_MAX, SpecName, Value};

use super::{
    Call,
    arguments::{Options, name},
    ask, done_or_false, once, once_in_steps,
};
use crate::{cbor::Writer, config::Config, envelope::Args, refusal::Refusal};

/// `get_work_spec(name)`. Result: the dictionary as it was sent, or null.
pub(super) fn get_work_spec(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec: SpecName = name(&args, 0, "work_spec_name")?;
    Ok(ask(move |book| {
        let spec: Option<Value> = book.spec(&spec);
        move |out: &mut _| match spec {
            Some(spec) => _ = out.raw(&spec),
            None => _ = out.null(),
        }
    }))
}

/// `list_work_specs({start, limit})`. Result: the pair of the dictionaries of the specs from `start` on, in the order of
/// their names, and the name of the first that is not among them, or null. All of them, if there is no limit.
pub(super) fn list_work_specs(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let options = Options::of(&args, 0)?;
    let start: Option<SpecName> = options.string("start")?.map(Into::into);
    let limit = options.int("limit")?.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(0));
    Ok(ask(move |book| {
        // Who wants no more is not told where to go on: the Python client would go on for ever.
        let (specs, next) = if limit == 0 { (Vec::new(), None) } else { book.specs(start.as_ref(), limit) };
        move |out: &mut _| {
            out.tuple(2).array(specs.len());
            specs.iter().for_each(|spec| _ = out.raw(spec));
            match next {
                Some(next) => out.bytes(next.as_bytes()),
                None => out.null(),
            };
        }
    }))
}

/// `del_work_spec(name)`: the spec, and its units. Result: the pair of `true` and nothing, or of `false` and the reason.
pub(super) fn del_work_spec(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec: SpecName = name(&args, 0, "work_spec_name")?;
    Ok(once(move |book| {
        let result = book.delete_spec(&spec);
        move |out: &mut _| done_or_false(out, &result)
    }))
}

/// `clear()`: all specs, and their units. Result: how many specs there were.
pub(super) fn clear(_: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let (mut last, mut cleared) = (None, 0);
    Ok(once_in_steps(move |book| {
        let (count, more) = book.clear(&mut last, STEP_MAX);
        cleared += count;
        let specs = cleared;
        (!more).then_some(move |out: &mut Writer| _ = out.uint(specs))
    }))
}
