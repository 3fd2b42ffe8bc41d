//! `set_work_spec(spec)`: makes a work spec, or gives one another dictionary. All that is told of a spec besides its name
//! comes from the dictionary.

use berth_core::work::{self, SpecSettings, Value as Kept};

use super::{
    Call,
    arguments::{Options, expected},
    kept, once, pair,
    units::seconds,
};
use crate::{
    cbor::{Value, Writer},
    config::Config,
    envelope::Args,
    refusal::Refusal,
};

/// Weight of a spec that is neither nice nor says its weight.
const WEIGHT: i64 = 20;

/// What workers look up by name. Python 2's import takes byte strings only.
const IMPORTED: [&str; 2] = ["module", "run_function"];

/// Result: the pair of `true` and nothing. Units of a spec that was there before stay.
pub(super) fn set_work_spec(args: Args<'_>, _: &Config) -> Result<Call, Refusal> {
    let spec = settings(args.at(0))?;
    Ok(once(move |book| {
        book.set_spec(spec);
        |out: &mut _| pair(out, |out| _ = out.bool(true))
    }))
}

/// Reads a dictionary. `None` as a value is as good as no key.
pub(crate) fn settings(value: Value<'_>) -> Result<SpecSettings, Refusal> {
    let options = Options::read(value).ok_or_else(|| expected("work_spec", "a dictionary"))?;
    let name = options.string("name")?.ok_or_else(|| expected("work_spec: name", "a string"))?;
    let limit = |name| Ok::<_, Refusal>(options.int(name)?.filter(|limit| *limit > 0).map(i64::unsigned_abs));
    Ok(SpecSettings {
        paused: options.truthy("disabled"),
        weight: weight(&options)?,
        priority: options.int("priority")?.unwrap_or_default(),
        continuous: options.truthy("continuous"),
        interval: options.float("interval")?.map(seconds),
        max_running: limit("max_running")?,
        max_getwork: limit("max_getwork")?,
        max_retries: limit("max_retries")?.map(|retries| retries.try_into().unwrap_or(u32::MAX)),
        then: options.string("then")?.filter(|then| !then.is_empty()).map(Into::into),
        then_preempts: !options.has("then_preempts") || options.truthy("then_preempts"),
        runtime: options.string("runtime")?.unwrap_or_default().into(),
        min_gb: options.float("min_gb")?.unwrap_or_default(),
        ..SpecSettings::new(name.into(), importable(value))
    })
}

/// `weight`, or what `nice` leaves of 20; at least 1, so that a spec is never forgotten.
fn weight(options: &Options<'_>) -> Result<i64, Refusal> {
    if let Some(weight) = options.int("weight")?.filter(|weight| *weight != 0) {
        return Ok(weight.max(1));
    }
    Ok(WEIGHT.saturating_sub(options.int("nice")?.unwrap_or_default()).max(1))
}

/// The dictionary as it was sent, but that what workers import is named by byte strings.
fn importable(value: Value<'_>) -> Kept {
    let is_text = |(key, value): &(Value<'_>, Value<'_>)| IMPORTED.iter().any(|name| key.is(name)) && value.is_text();
    let Some(pairs) = value.pairs().filter(|pairs| pairs.clone().any(|pair| is_text(&pair))) else {
        return kept(value);
    };
    let mut out = Writer::default();
    out.map(pairs.clone().count());
    for (key, value) in pairs {
        out.raw(key.raw());
        match value.string().filter(|_| is_text(&(key, value))) {
            Some(string) => out.bytes(string),
            None => out.raw(value.raw()),
        };
    }
    work::Value::from(out.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(map: impl Fn(&mut Writer)) -> Result<SpecSettings, Refusal> {
        let mut out = Writer::default();
        map(&mut out);
        settings(Value::check(out.as_slice()).unwrap())
    }

    #[test]
    fn weight_is_never_nothing() {
        let weight = |name: &'static str, value: i64| {
            read(|out| _ = out.map(2).bytes("name").bytes("p").bytes(name).int(value)).unwrap().weight
        };
        assert_eq!(weight("other", 0), 20);
        assert_eq!(weight("weight", 7), 7);
        assert_eq!(weight("weight", 0), 20);
        assert_eq!(weight("weight", -3), 1);
        assert_eq!(weight("nice", 5), 15);
        assert_eq!(weight("nice", 50), 1);
        assert_eq!(weight("nice", -5), 25);
    }

    #[test]
    fn what_is_imported_is_named_by_byte_strings_and_all_else_stays() {
        let spec = read(|out| {
            _ = out
                .map(3)
                .raw(b"\x64name")
                .raw(b"\x61p")
                .raw(b"\x66module")
                .raw(b"\x61m")
                .raw(b"\x61x")
                .raw(b"\x9f\xff")
        });
        assert_eq!(&*spec.unwrap().raw, b"\xa3\x64name\x61p\x66module\x41m\x61x\x9f\xff");
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let message = |map: &dyn Fn(&mut Writer)| String::from_utf8(read(map).unwrap_err().message().to_vec()).unwrap();
        assert_eq!(message(&|out| _ = out.map(0)), "work_spec: name: expected a string");
        assert_eq!(message(&|out| _ = out.array(0)), "work_spec: expected a dictionary");
        assert_eq!(
            message(&|out| _ = out.map(2).bytes("name").bytes("p").bytes("weight").bytes("heavy")),
            "weight: expected a whole number"
        );
    }
}
