//! What a page leaves for the next one: where it ended, or how far it has looked. Opaque to clients, and worth nothing
//! with another filter, order or instance.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use berth_core::{InstanceName, OperationId, Timestamp};
use bytes::Bytes;
use prost::Message;

use super::{
    key::Key,
    order::{SortKey, Value},
    parse::Query,
};
use crate::error::Error;

const FIELD: &str = "page_token";

/// Raised when a token means something else than before.
const VERSION: u8 = 1;

const ID_BYTES: usize = 16;

#[derive(Clone, Debug, PartialEq)]
pub(in crate::operations) struct Token {
    /// When the first page was made: what happened since moves nothing.
    pub(in crate::operations) as_of: Timestamp,
    /// The place after which the page begins.
    pub(in crate::operations) after: Option<Vec<Value>>,
    /// What was looked at for this page already.
    pub(in crate::operations) carry: Option<Carry>,
}

/// How far a page is that took longer than its time.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::operations) struct Carry {
    pub(in crate::operations) reached: Reached,
    /// The best so far.
    pub(in crate::operations) candidates: Vec<OperationId>,
}

#[derive(Clone, Debug, PartialEq)]
pub(in crate::operations) enum Reached {
    /// A place of the book.
    Live(usize),
    /// A key of an order, in a part of the walk over what is finished.
    Finished { part: usize, after: Option<Vec<u8>> },
}

#[derive(Clone, PartialEq, Message)]
struct Written {
    #[prost(fixed64, tag = "1")]
    question: u64,
    #[prost(uint64, tag = "2")]
    as_of: u64,
    #[prost(message, repeated, tag = "3")]
    after: Vec<WrittenValue>,
    #[prost(message, optional, tag = "4")]
    carry: Option<WrittenCarry>,
}

#[derive(Clone, PartialEq, Message)]
struct WrittenValue {
    #[prost(oneof = "Written1", tags = "1, 2, 3, 4, 5")]
    value: Option<Written1>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Written1 {
    #[prost(sint64, tag = "1")]
    Number(i64),
    #[prost(uint64, tag = "2")]
    Time(u64),
    #[prost(bool, tag = "3")]
    NoTime(bool),
    #[prost(string, tag = "4")]
    Text(String),
    #[prost(bytes = "bytes", tag = "5")]
    Name(Bytes),
}

#[derive(Clone, PartialEq, Message)]
struct WrittenCarry {
    #[prost(uint64, optional, tag = "1")]
    live: Option<u64>,
    #[prost(uint32, tag = "2")]
    part: u32,
    #[prost(bytes = "bytes", optional, tag = "3")]
    after: Option<Bytes>,
    #[prost(bytes = "bytes", tag = "4")]
    candidates: Bytes,
}

impl Token {
    pub(in crate::operations) fn write(&self, instance: &InstanceName, query: &Query) -> String {
        let written = Written {
            question: question(instance, query),
            as_of: self.as_of.0,
            after: self.after.iter().flatten().map(write_value).collect(),
            carry: self.carry.as_ref().map(write_carry),
        };
        let mut bytes = vec![VERSION];
        written.encode(&mut bytes).expect("a vector grows as needed");
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(in crate::operations) fn read(text: &str, instance: &InstanceName, query: &Query) -> Result<Self, Error> {
        let foreign = || Error::field(FIELD, "is not one that an answer gave: expected its next_page_token");
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).map_err(|_| foreign())?;
        let Some((VERSION, bytes)) = bytes.split_first().map(|(version, bytes)| (*version, bytes)) else {
            return Err(foreign());
        };
        let written = Written::decode(bytes).map_err(|_| foreign())?;
        if written.question != question(instance, query) {
            let problem = "was given for another filter, order or instance: begin with the first page";
            return Err(Error::field(FIELD, problem));
        }
        let after = match written.after.is_empty() {
            true => None,
            false => Some(read_place(&written.after, &query.sort).ok_or_else(foreign)?),
        };
        let carry = written.carry.map(|carry| read_carry(carry).ok_or_else(foreign)).transpose()?;
        Ok(Self { as_of: Timestamp(written.as_of), after, carry })
    }
}

/// FNV-1a of what the token was given for: against mistakes, not against malice. A forged token shows nothing that its
/// filter would not.
fn question(instance: &InstanceName, query: &Query) -> u64 {
    let text = format!("{}\0{query}", instance.0);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn write_value(value: &Value) -> WrittenValue {
    let value = match value {
        Value::Number(number) => Written1::Number(*number),
        Value::Time(Some(time)) => Written1::Time(time.0),
        Value::Time(None) => Written1::NoTime(true),
        Value::Text(text) => Written1::Text(text.clone()),
        Value::Name(id) => Written1::Name(Bytes::copy_from_slice(&id.to_be_bytes())),
    };
    WrittenValue { value: Some(value) }
}

/// `None` if these are not values of such an order.
fn read_place(written: &[WrittenValue], sort: &[SortKey]) -> Option<Vec<Value>> {
    if written.len() != sort.len() {
        return None;
    }
    written.iter().zip(sort).map(|(written, part)| read_value(written.value.as_ref()?, part.key)).collect()
}

fn read_value(written: &Written1, key: Key) -> Option<Value> {
    Some(match (key, written) {
        (Key::Stage | Key::Priority, Written1::Number(number)) => Value::Number(*number),
        (Key::QueuedTime | Key::StartTime | Key::CompletedTime, Written1::Time(time)) => {
            Value::Time(Some(Timestamp(*time)))
        }
        (Key::QueuedTime | Key::StartTime | Key::CompletedTime, Written1::NoTime(_)) => Value::Time(None),
        (Key::Name, Written1::Name(id)) => Value::Name(u128::from_be_bytes(id.as_ref().try_into().ok()?)),
        (
            Key::Command
            | Key::Platform
            | Key::ActionDigest
            | Key::InvocationId
            | Key::CorrelatedInvocationsId
            | Key::ToolName
            | Key::ToolVersion
            | Key::ActionMnemonic
            | Key::TargetId
            | Key::ConfigurationId
            | Key::ClientWorkflow
            | Key::ClientActor
            | Key::ClientSubject,
            Written1::Text(text),
        ) => Value::Text(text.clone()),
        _ => return None,
    })
}

fn write_carry(carry: &Carry) -> WrittenCarry {
    let candidates: Vec<u8> = carry.candidates.iter().flat_map(|id| id.0.to_be_bytes()).collect();
    let mut written = WrittenCarry { candidates: candidates.into(), ..WrittenCarry::default() };
    match &carry.reached {
        Reached::Live(place) => written.live = Some(*place as u64),
        Reached::Finished { part, after } => {
            written.part = *part as u32;
            written.after = after.clone().map(Bytes::from);
        }
    }
    written
}

fn read_carry(written: WrittenCarry) -> Option<Carry> {
    let (ids, []) = written.candidates.as_chunks::<ID_BYTES>() else { return None };
    let candidates = ids.iter().map(|id| OperationId(u128::from_be_bytes(*id))).collect();
    let reached = match written.live {
        Some(place) => Reached::Live(usize::try_from(place).ok()?),
        None => Reached::Finished {
            part: usize::try_from(written.part).ok()?,
            after: written.after.map(|after| after.to_vec()),
        },
    };
    Some(Carry { reached, candidates })
}
