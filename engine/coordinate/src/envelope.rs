//! The envelope of a request: id, method, parameters. Their order does not matter, other keys are ignored, and keys and
//! method may be byte strings or text.

use std::borrow::Cow;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::{cbor::Value, refusal::Refusal};

/// CBOR's null: the id of a request that has none.
pub(crate) const NULL: &[u8] = &[0xf6];

/// More than any method takes: the rest is not even looked at.
const PARAMS_MAX: usize = 8;

/// A call of a method.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    /// Any value; it is echoed.
    pub(crate) id: Bytes,
    pub(crate) method: Cow<'a, [u8]>,
    pub(crate) params: Params<'a>,
}

/// Parameters as they were sent.
#[derive(Debug)]
pub(crate) enum Params<'a> {
    InOrder(SmallVec<[Value<'a>; 5]>),
    ByName(SmallVec<[(Value<'a>, Value<'a>); 5]>),
}

/// The arguments of a method, in the order in which it names its parameters.
#[derive(Debug)]
pub(crate) struct Args<'a>(SmallVec<[Option<Value<'a>>; 5]>);

impl<'a> Request<'a> {
    /// Reads an envelope of a message that was checked. The id comes back in any case: the refusal carries it.
    pub(crate) fn read(message: &Bytes, value: Value<'a>) -> Result<Self, (Bytes, Refusal)> {
        let null = || Bytes::from_static(NULL);
        let Some(pairs) = value.pairs() else {
            return Err((null(), Refusal::new("a request is a map of id, method and params")));
        };
        let (mut id, mut method, mut params) = (None, None, None);
        for (key, value) in pairs {
            if key.is("id") {
                id = Some(value);
            } else if key.is("method") {
                method = Some(value);
            } else if key.is("params") {
                params = Some(value);
            }
        }
        let id = id.map_or_else(null, |id| message.slice_ref(id.raw()));
        let Some(method) = method.and_then(Value::string) else {
            return Err((id, Refusal::new("the method of a request is a string")));
        };
        match Params::read(params) {
            Ok(params) => Ok(Self { id, method, params }),
            Err(refusal) => Err((id, refusal)),
        }
    }
}

impl<'a> Params<'a> {
    fn read(params: Option<Value<'a>>) -> Result<Self, Refusal> {
        let Some(params) = params.filter(|params| !params.is_null()) else {
            return Err(Refusal::new("don't understand params: None"));
        };
        if let Some(items) = params.items() {
            return Ok(Self::InOrder(items.take(PARAMS_MAX).collect()));
        }
        match params.pairs() {
            Some(pairs) => Ok(Self::ByName(pairs.take(PARAMS_MAX).collect())),
            None => Err(Refusal::new("don't understand params: expected a list, or a map of names to values")),
        }
    }

    /// Gives the method its arguments, if there are enough and not too many.
    pub(crate) fn bind(self, method: &str, names: &[&str], required: usize) -> Result<Args<'a>, Refusal> {
        let mut args: SmallVec<[Option<Value<'a>>; 5]>;
        let given = match self {
            Self::InOrder(values) => {
                let given = values.len();
                args = values.into_iter().map(Some).collect();
                given
            }
            Self::ByName(values) => {
                args = SmallVec::from_elem(None, names.len());
                for (key, value) in &values {
                    let Some(place) = names.iter().position(|name| key.is(name)) else {
                        let key = String::from_utf8_lossy(&key.string().unwrap_or_default()).into_owned();
                        return Err(Refusal::new(format!(
                            "{method}() has no parameter {key:?}; it has ({})",
                            names.join(", ")
                        )));
                    };
                    args[place] = Some(*value);
                }
                values.len()
            }
        };
        if args.len() > names.len()
            || args.iter().flatten().count() < required
            || args[..required.min(args.len())].iter().any(Option::is_none)
        {
            return Err(Refusal::new(format!("{method}() takes ({}), {given} given", names.join(", "))));
        }
        args.resize(names.len(), None);
        Ok(Args(args))
    }
}

impl<'a> Args<'a> {
    /// An argument that has to be there.
    pub(crate) fn at(&self, place: usize) -> Value<'a> {
        self.0[place].expect("binding has seen that it is there")
    }

    /// An argument, unless it is missing or null.
    pub(crate) fn given(&self, place: usize) -> Option<Value<'a>> {
        self.0[place].filter(|value| !value.is_null())
    }
}
