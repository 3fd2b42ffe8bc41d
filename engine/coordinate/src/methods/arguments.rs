//! Arguments and options, read as what a method expects them to be. What is not that is an error reply, which names it.

use crate::{
    cbor::{Items, Number, Value},
    envelope::Args,
    python,
    refusal::Refusal,
};

/// The most units, keys or names of a call.
pub(super) const LIST_MAX: usize = 1_000_000;

/// A dictionary of options. Options that nobody asks for are ignored, and `None` is as good as no option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Options<'a>(Option<Value<'a>>);

impl<'a> Options<'a> {
    /// Of an argument that may be missing.
    pub(super) fn of(args: &Args<'a>, place: usize) -> Result<Self, Refusal> {
        match args.given(place) {
            None => Ok(Self(None)),
            Some(value) => Self::read(value).ok_or_else(|| Refusal::new("options: expected a dictionary")),
        }
    }

    pub(super) fn read(value: Value<'a>) -> Option<Self> {
        value.pairs().map(|_| Self(Some(value)))
    }

    /// Whether the option is there, be it null.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.is_some_and(|options| options.get(name).is_some())
    }

    pub(super) fn get(&self, name: &str) -> Option<Value<'a>> {
        self.0?.get(name).filter(|value| !value.is_null())
    }

    /// A number, or a string that shows one.
    pub(super) fn float(&self, name: &str) -> Result<Option<f64>, Refusal> {
        self.get(name).map(|value| float(value, name)).transpose()
    }

    /// A whole number, or what Python's `int()` makes one of.
    pub(super) fn int(&self, name: &str) -> Result<Option<i64>, Refusal> {
        self.get(name).map(|value| python::int(value).ok_or_else(|| expected(name, "a whole number"))).transpose()
    }

    pub(super) fn string(&self, name: &str) -> Result<Option<Vec<u8>>, Refusal> {
        self.get(name).map(|value| string(value, name)).transpose()
    }

    pub(super) fn strings(&self, name: &str) -> Result<Option<Vec<Vec<u8>>>, Refusal> {
        self.get(name).map(|value| strings(value, name)).transpose()
    }

    /// Whether it is there and Python's `if` takes it.
    pub(super) fn truthy(&self, name: &str) -> bool {
        self.get(name).is_some_and(Value::truthy)
    }
}

/// An argument that is a name: of a spec, a worker, a unit.
pub(super) fn name<T: From<Vec<u8>>>(args: &Args<'_>, place: usize, what: &str) -> Result<T, Refusal> {
    Ok(string(args.at(place), what)?.into())
}

pub(super) fn string(value: Value<'_>, what: &str) -> Result<Vec<u8>, Refusal> {
    Ok(value.string().ok_or_else(|| expected(what, "a string"))?.into_owned())
}

/// A list or tuple of strings.
pub(super) fn strings(value: Value<'_>, what: &str) -> Result<Vec<Vec<u8>>, Refusal> {
    let items = value.items().ok_or_else(|| expected(what, "a list of strings"))?;
    at_most(LIST_MAX, items, what)?.map(|item| string(item, what)).collect()
}

/// Counts before anything is kept: an item of one byte becomes many in memory.
pub(super) fn at_most<'a>(most: usize, items: Items<'a>, what: &str) -> Result<Items<'a>, Refusal> {
    if items.clone().nth(most).is_some() {
        return Err(expected(what, &format!("at most {most} items in a call")));
    }
    Ok(items)
}

/// Strings as the names that they are.
pub(super) fn names<T: From<Vec<u8>>>(strings: Vec<Vec<u8>>) -> Vec<T> {
    strings.into_iter().map(T::from).collect()
}

/// A number, or a string that shows one, but not NaN.
pub(super) fn float(value: Value<'_>, what: &str) -> Result<f64, Refusal> {
    python::float(value).filter(|value| !value.is_nan()).ok_or_else(|| expected(what, "a number"))
}

/// A number as it is: no string.
pub(super) fn number(value: Value<'_>, what: &str) -> Result<f64, Refusal> {
    let number = value.number().map(Number::float);
    number.filter(|value| !value.is_nan()).ok_or_else(|| expected(what, "a number"))
}

pub(super) fn expected(what: &str, kind: &str) -> Refusal {
    Refusal::new(format!("{what}: expected {kind}"))
}
