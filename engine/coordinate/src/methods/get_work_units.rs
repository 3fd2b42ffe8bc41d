//! `get_work_units(spec, options)`: keys and data of units, by keys, by states, or a page of all.

use berth_core::work::{self, UnitKey, UnitQuery, UnitState};

use super::{
    Call,
    arguments::{Options, expected, name, names},
    ask, in_band, pair, words,
};
use crate::{
    cbor::{Value, Writer},
    config::Config,
    envelope::Args,
    python,
    refusal::Refusal,
};

/// Units a page, where the client does not say, and where it says more.
const LIMIT: i64 = 1_000;
const LIMIT_MAX: i64 = 10_000;

/// Result: the pair of a list of tuples of key and data, in the order of the keys, and nothing; or of null and the reason.
pub(super) fn get_work_units(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = name(&args, 0, "work_spec_name")?;
    let options = Options::of(&args, 1)?;
    if let Some(keys) = options.strings("work_unit_keys")? {
        let keys: Vec<UnitKey> = names(keys);
        return Ok(ask(move |book| {
            let units = book.units_by_key(&spec, &keys);
            move |out: &mut _| write(units, out, |units, out| write_each(&keys, &units, out))
        }));
    }
    let limit = options.int("limit")?.unwrap_or(LIMIT).clamp(0, LIMIT_MAX);
    let states = options.get("state").map(states).transpose()?;
    // For the book, no states are all of them; for the client, a list that names none asks for nothing.
    let nothing = limit == 0 || states.as_ref().is_some_and(Vec::is_empty);
    let query = UnitQuery {
        states: states.unwrap_or_default(),
        start: options.string("start")?.map(Into::into),
        limit: if nothing { 0 } else { usize::try_from(limit).unwrap_or_default() },
    };
    Ok(ask(move |book| {
        let units = if nothing { book.units_by_key(&spec, &[]).map(|_| Vec::new()) } else { book.units(&spec, &query) };
        move |out: &mut _| write(units, out, |units, out| write_page(&units, out))
    }))
}

/// A state, or a list or tuple of them. What is no state has no units.
fn states(value: Value<'_>) -> Result<Vec<UnitState>, Refusal> {
    let state = |value| match python::int(value) {
        Some(number) => Ok(number.try_into().ok().and_then(UnitState::from_number)),
        None => Err(expected("state", "a number or a list of numbers")),
    };
    match value.items() {
        Some(items) => items.filter_map(|item| state(item).transpose()).collect(),
        None => Ok(state(value)?.into_iter().collect()),
    }
}

fn write<T>(units: Result<T, work::Refusal>, out: &mut Writer, list: impl FnOnce(T, &mut Writer)) {
    match units {
        Ok(units) => pair(out, |out| list(units, out)),
        Err(refusal) => in_band(out, |out| _ = out.null(), words(&refusal)),
    }
}

fn write_page(units: &[(UnitKey, work::Value)], out: &mut Writer) {
    out.array(units.len());
    for (key, data) in units {
        out.tuple(2).bytes(key.as_bytes()).raw(data);
    }
}

/// One tuple a key; null for the data of a unit that is not there.
fn write_each(keys: &[UnitKey], units: &[Option<work::Value>], out: &mut Writer) {
    out.array(keys.len());
    for (key, data) in keys.iter().zip(units) {
        out.tuple(2).bytes(key.as_bytes());
        match data {
            Some(data) => out.raw(data),
            None => out.null(),
        };
    }
}
