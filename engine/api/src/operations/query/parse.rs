//! Reads a filter: `KEY OPERATOR VALUE`, several joined by `&`, and `sort_order=KEY` among them.
//!
//! A value is a run of characters without spaces, `&`, quotes and signs of operators, or stands in double quotes, where
//! `\"` and `\\` are a quote and a backslash. The quotes are ours: BuildGrid's grammar has no value that begins with one.

use std::fmt;

use berth_core::Digest;
use berth_runtime::operations::TEXT_BYTES_MAX;

use super::{
    condition::{Condition, Operand, Operator},
    key::{COMPLETED, Key, STAGES},
    order::SortKey,
    time,
};
use crate::{error::Error, instances::shown, names};

const FIELD: &str = "filter";

/// The word that names the order among the conditions.
pub(super) const SORT_ORDER: &str = "sort_order";

/// More than this of a filter is not read.
const FILTER_BYTES_MAX: usize = 16 << 10;

/// What is asked of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operations) struct Query {
    /// All of them hold.
    pub(in crate::operations) conditions: Vec<Condition>,
    /// Never empty, and ends with the name: so no two operations have the same place.
    pub(in crate::operations) sort: Vec<SortKey>,
}

impl Query {
    /// Without any text: what is not completed, the oldest first.
    pub(in crate::operations) fn parse(text: &str) -> Result<Self, Error> {
        let mut reader = Reader { text, at: 0 };
        if text.len() > FILTER_BYTES_MAX {
            return Err(Error::field(FIELD, format!("is longer than {FILTER_BYTES_MAX} bytes")));
        }
        let (mut conditions, mut sort) = (Vec::new(), Vec::<SortKey>::new());
        reader.skip_space();
        if reader.rest().is_empty() {
            let (key, operator) = (Key::Stage, Operator::NotEqual);
            conditions.push(Condition { key, operator, operand: Operand::Number(COMPLETED) });
        } else {
            loop {
                match reader.element()? {
                    Element::Condition(condition) => conditions.push(condition),
                    Element::Sort(at, key) if sort.iter().any(|known| known.key == key.key) => {
                        return Err(refuse(at, format!("{SORT_ORDER} names `{}` twice", key.key.name())));
                    }
                    Element::Sort(_, key) => sort.push(key),
                }
                reader.skip_space();
                if reader.rest().is_empty() {
                    break;
                }
                if !reader.take("&") {
                    let problem = "expected `&` or the end; a value with spaces or signs stands in double quotes";
                    return Err(refuse(reader.at, problem));
                }
            }
        }
        if sort.is_empty() {
            sort.push(SortKey::ascending(Key::QueuedTime));
        }
        // Names differ: what stands behind one orders nothing.
        match sort.iter().position(|part| part.key == Key::Name) {
            Some(at) => sort.truncate(at + 1),
            None => sort.push(SortKey::ascending(Key::Name)),
        }
        Ok(Self { conditions, sort })
    }
}

impl Query {
    /// Whether it asks for another order than that of a list without one.
    pub(in crate::operations) fn names_order(&self) -> bool {
        self.sort != [SortKey::ascending(Key::QueuedTime), SortKey::ascending(Key::Name)]
    }
}

impl fmt::Display for Query {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for condition in &self.conditions {
            write!(out, "{condition} & ")?;
        }
        for (index, part) in self.sort.iter().enumerate() {
            let and = if index == 0 { "" } else { " & " };
            let direction = if part.descending { "desc" } else { "asc" };
            write!(out, "{and}{SORT_ORDER} = {}({direction})", part.key.name())?;
        }
        Ok(())
    }
}

enum Element {
    Condition(Condition),
    /// With its position.
    Sort(usize, SortKey),
}

struct Reader<'a> {
    text: &'a str,
    /// In bytes.
    at: usize,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, sign: &str) -> bool {
        let is_there = self.rest().starts_with(sign);
        self.at += if is_there { sign.len() } else { 0 };
        is_there
    }

    fn take_while(&mut self, belongs: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let word = &rest[..rest.find(|c| !belongs(c)).unwrap_or(rest.len())];
        self.at += word.len();
        word
    }

    fn element(&mut self) -> Result<Element, Error> {
        self.skip_space();
        let key_at = self.at;
        let key = self.take_while(|c| c.is_ascii_alphanumeric() || c == '_');
        let known = Key::named(key);
        if known.is_none() && key != SORT_ORDER {
            let problem = format!("{:?} is no key; the keys are {} and {SORT_ORDER}", shown(key), Key::names());
            return Err(refuse(key_at, problem));
        }
        self.skip_space();
        let operator_at = self.at;
        let operator = Operator::ALL.iter().find(|(sign, _)| self.take(sign)).map(|(_, operator)| *operator);
        let Some(operator) = operator else {
            return Err(refuse(operator_at, format!("after `{key}`: expected one of = != < <= > >=")));
        };
        self.skip_space();
        let value_at = self.at;
        let value = self.value(key)?;
        match known {
            Some(key) => {
                let operand = operand(key, operator, &value).map_err(|wanted| {
                    refuse(value_at, format!("{:?} cannot be `{}`: {wanted}", shown(&value), key.name()))
                })?;
                Ok(Element::Condition(Condition { key, operator, operand }))
            }
            None if operator != Operator::Equal => Err(refuse(operator_at, format!("`{SORT_ORDER}` takes = only"))),
            None => sort_key(&value).map(|key| Element::Sort(value_at, key)).ok_or_else(|| {
                let problem = format!(
                    "{:?} is no order: expected KEY, KEY(asc) or KEY(desc); the keys are {}",
                    shown(&value),
                    Key::names()
                );
                refuse(value_at, problem)
            }),
        }
    }

    fn value(&mut self, key: &str) -> Result<String, Error> {
        let begin = self.at;
        if !self.take("\"") {
            let value = self.take_while(is_bare);
            return match value {
                "" => Err(refuse(begin, format!("the value of `{key}` is missing"))),
                _ => Ok(value.to_owned()),
            };
        }
        let mut value = String::new();
        let mut characters = self.rest().char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(value);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                    _ => return Err(refuse(self.at + at, "after a backslash: expected `\"` or `\\`")),
                },
                _ => value.push(c),
            }
        }
        Err(refuse(begin, format!("the quote that begins the value of `{key}` does not end")))
    }
}

/// What a value is compared with, or what would be accepted.
fn operand(key: Key, operator: Operator, value: &str) -> Result<Operand, String> {
    let text = |value: &str| {
        let fits = value.len() <= TEXT_BYTES_MAX;
        if fits { Ok(Operand::Text(value.to_owned())) } else { Err(format!("at most {TEXT_BYTES_MAX} bytes")) }
    };
    match key {
        Key::Stage => {
            let stage = STAGES.iter().position(|stage| stage.eq_ignore_ascii_case(value));
            let stage = stage.ok_or_else(|| format!("expected one of {}", STAGES.join(", ")))?;
            Ok(Operand::Number(i64::try_from(stage).expect("there are five")))
        }
        Key::Priority => {
            let number = value.parse::<i32>().map_err(|_| "expected a whole number".to_owned())?;
            Ok(Operand::Number(number.into()))
        }
        // Lists show names with the instance before them.
        Key::Name => text(&names::split(value).1.to_ascii_lowercase()),
        Key::ActionDigest => {
            let digest = value.to_ascii_lowercase();
            let is_hex = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            let looks_right = digest.split_once('/').is_some_and(|(hash, size)| is_hex(hash) && is_number(size));
            if looks_right { text(&digest) } else { Err("expected HASH/SIZE".to_owned()) }
        }
        Key::Platform => match value.split_once(':') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Operand::Property { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("expected NAME:VALUE".to_owned()),
        },
        Key::QueuedTime | Key::StartTime | Key::CompletedTime => match value {
            "" if matches!(operator, Operator::Equal | Operator::NotEqual) => Ok(Operand::Time(None)),
            _ => time::read(value).map(|time| Operand::Time(Some(time))).ok_or_else(|| {
                "expected a time in ISO 8601, such as 2026-01-31T23:59:59Z, or \"\" with = and != for none".to_owned()
            }),
        },
        Key::Command
        | Key::InvocationId
        | Key::CorrelatedInvocationsId
        | Key::ToolName
        | Key::ToolVersion
        | Key::ActionMnemonic
        | Key::TargetId
        | Key::ConfigurationId
        | Key::ClientWorkflow
        | Key::ClientActor
        | Key::ClientSubject => text(value),
    }
}

fn sort_key(value: &str) -> Option<SortKey> {
    let value = value.to_ascii_lowercase();
    let (name, descending) = match (value.strip_suffix("(desc)"), value.strip_suffix("(asc)")) {
        (Some(name), _) => (name, true),
        (None, Some(name)) => (name, false),
        (None, None) => (value.as_str(), false),
    };
    Key::named(name.trim()).map(|key| SortKey { key, descending })
}

/// The digest that a text names, if it names one.
pub(in crate::operations) fn digest_of(text: &str) -> Option<Digest> {
    let (hash, size) = text.split_once('/')?;
    // Another way to write the number names no digest: values are compared as text.
    let digest = Digest::parse(hash, size.parse().ok()?).ok()?;
    (digest.to_string() == text).then_some(digest)
}

/// The value as the grammar takes it.
pub(super) fn quoted(text: &str) -> String {
    if !text.is_empty() && text.chars().all(is_bare) {
        return text.to_owned();
    }
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn is_bare(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && !matches!(c, '&' | '"' | '\\' | '<' | '>' | '=' | '!')
}

/// Positions are bytes from the begin of the filter, the first is 1.
fn refuse(at: usize, problem: impl fmt::Display) -> Error {
    Error::field(FIELD, format!("at {}: {problem}", at + 1))
}
