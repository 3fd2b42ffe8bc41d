//! Work units as clients write them, alone and as the output of another unit; and how many a spec has.

use std::time::Duration;

use berth_core::work::{NewUnit, Outputs, Priority, UnitKey, UnitState};

use super::{
    Call,
    arguments::{Options, float, name, string},
    ask, in_band, kept, pair, words,
};
use crate::{cbor::Value, config::Config, envelope::Args, refusal::Refusal};

/// An empty dictionary.
const NO_DATA: &[u8] = &[0xa0];

/// Reads the output of units, for the book: it knows no CBOR.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chaining;

impl Outputs for Chaining {
    /// What stands under `output`: a dictionary of keys and data, or a list of keys or of tuples as in `add_work_units`.
    /// What cannot be read is left out.
    fn children(&self, data: &[u8]) -> Vec<NewUnit> {
        let Ok(data) = Value::check(data) else { return Vec::new() };
        let Some(output) = data.get("output") else { return Vec::new() };
        if let Some(pairs) = output.pairs() {
            return pairs.filter_map(|(key, data)| pair_unit(key, data).ok()).collect();
        }
        output.items().into_iter().flatten().filter_map(|item| new_unit(item).ok()).collect()
    }
}

/// A key, or a list or tuple of key, data, and if wanted a dictionary of `priority` and `delay`, and a priority, which
/// wins.
pub(super) fn new_unit(value: Value<'_>) -> Result<NewUnit, Refusal> {
    if let Some(key) = value.string() {
        return Ok(NewUnit { key: key.into_owned().into(), data: NO_DATA.into(), priority: None, delay: None });
    }
    let bad = || Refusal::new("work unit: expected (key, data), (key, data, meta) or (key, data, meta, priority)");
    let mut items = value.items().ok_or_else(bad)?;
    let (Some(key), Some(data)) = (items.next(), items.next()) else { return Err(bad()) };
    let (meta, priority) = (items.next(), items.next());
    if items.next().is_some() {
        return Err(bad());
    }
    let mut unit = pair_unit(key, data)?;
    if let Some(meta) = meta.filter(|meta| !meta.is_null()) {
        let meta = Options::read(meta).ok_or_else(|| Refusal::new("work unit: meta: expected a dictionary"))?;
        unit.priority = meta.float("priority")?.map(Priority::new);
        unit.delay = meta.float("delay")?.map(seconds);
    }
    if let Some(priority) = priority.filter(|priority| !priority.is_null()) {
        unit.priority = Some(Priority::new(float(priority, "work unit: priority")?));
    }
    Ok(unit)
}

pub(super) fn pair_unit(key: Value<'_>, data: Value<'_>) -> Result<NewUnit, Refusal> {
    let key: UnitKey = string(key, "work unit: key")?.into();
    Ok(NewUnit { key, data: kept(data), priority: None, delay: None })
}

/// Seconds as a duration: none if negative, and no longer than there is time.
pub(super) fn seconds(seconds: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(1 << 40);
    if seconds > 0.0 { Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST) } else { Duration::ZERO }
}

/// `count_work_units(spec)`. Result: the pair of a dictionary, of each state that has units to their number, and nothing;
/// or of null and the reason.
pub(super) fn count_work_units(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = name(&args, 0, "work_spec_name")?;
    Ok(ask(move |book| {
        let counts = book.count_units(&spec);
        move |out: &mut _| match counts {
            Err(refusal) => in_band(out, |out| _ = out.null(), words(&refusal)),
            Ok(counts) => pair(out, |out| {
                let states = UnitState::ALL.into_iter().filter(|state| counts.of(*state) > 0);
                out.map(states.clone().count());
                states.for_each(|state| _ = out.uint(state.number().into()).uint(counts.of(state)));
            }),
        }
    }))
}
