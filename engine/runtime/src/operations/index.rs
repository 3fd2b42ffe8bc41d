//! Which orders there are, and the keys of their rows.
//!
//! A key is instance, a zero byte, the value, and the operation's id: so one instance is one range, one value is one
//! range in it, and equal values are in the order of names. Part of the format on disk.

use std::ops::Range;

use berth_core::{Digest, InstanceName, OperationId, Timestamp};

use crate::store::Table;

/// As much of a text as lists know: what is longer is cut.
pub const TEXT_BYTES_MAX: usize = 256;

const ID_BYTES: usize = 16;

/// An order in which operations can be walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Index {
    /// By id. Holds operations that are not finished too, and those of all instances of the partition.
    Name,
    /// By the time at which the job was accepted.
    Queued,
    /// By the time at which the last attempt began; those without one last.
    Started,
    /// By the time at which the operation ended.
    Completed,
    /// By the digest of the action, as text.
    Action,
    /// By the invocation that asked. Holds operations that are not finished too.
    Invocation,
}

/// A value by which operations are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A time, or none: that is after all times.
    Time(Option<Timestamp>),
    /// Digest of an action.
    Action(&'a Digest),
    /// A text, cut by [`cut`].
    Text(&'a str),
}

impl Index {
    /// Where its rows are.
    pub const fn table(self) -> Table {
        match self {
            Self::Name => Table::Operations,
            Self::Queued => Table::FinishedByQueued,
            Self::Started => Table::FinishedByStarted,
            Self::Completed => Table::FinishedByCompleted,
            Self::Action => Table::FinishedByAction,
            Self::Invocation => Table::OperationsByInvocation,
        }
    }

    /// All keys of an instance.
    pub fn all(self, instance: &InstanceName) -> Range<Vec<u8>> {
        match self {
            Self::Name => Vec::new()..vec![0xff; ID_BYTES + 1],
            Self::Queued | Self::Started | Self::Completed | Self::Action | Self::Invocation => {
                let name = instance.0.as_bytes();
                // No instance name has a zero byte.
                [name, &[0]].concat()..[name, &[1]].concat()
            }
        }
    }

    /// All keys of a value. Not for [`Index::Name`], whose keys are their values.
    pub fn group(self, instance: &InstanceName, value: Value<'_>) -> Range<Vec<u8>> {
        group_of(prefix(instance, value))
    }

    /// The key of an operation.
    pub fn key(self, instance: &InstanceName, value: Value<'_>, operation: OperationId) -> Vec<u8> {
        match self {
            Self::Name => operation.0.to_be_bytes().to_vec(),
            Self::Queued | Self::Started | Self::Completed | Self::Action | Self::Invocation => {
                let mut key = prefix(instance, value);
                key.extend(operation.0.to_be_bytes());
                key
            }
        }
    }
}

/// The text as lists know it.
pub fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

/// The keys that differ from this one in the operation only.
pub(super) fn group_around(key: &[u8]) -> Range<Vec<u8>> {
    group_of(value_part(key).to_vec())
}

/// A key without the operation.
pub(super) fn value_part(key: &[u8]) -> &[u8] {
    &key[..key.len().saturating_sub(ID_BYTES)]
}

/// The operation of a key.
pub(super) fn operation_of(key: &[u8]) -> Option<OperationId> {
    let (_, id) = key.split_at_checked(key.len().checked_sub(ID_BYTES)?)?;
    Some(OperationId(u128::from_be_bytes(id.try_into().ok()?)))
}

fn group_of(prefix: Vec<u8>) -> Range<Vec<u8>> {
    let end = [&prefix[..], &[0xff; ID_BYTES + 1]].concat();
    prefix..end
}

fn prefix(instance: &InstanceName, value: Value<'_>) -> Vec<u8> {
    let name = instance.0.as_bytes();
    let mut key = Vec::with_capacity(name.len() + 64 + ID_BYTES);
    key.extend(name);
    key.push(0);
    match value {
        Value::Time(time) => key.extend(time.map_or(u64::MAX, |time| time.0).to_be_bytes()),
        Value::Action(digest) => {
            key.extend(digest.hash);
            // As text, because that is how clients compare: 10 is before 9.
            key.extend(digest.size_bytes.to_string().bytes());
            key.push(0);
        }
        Value::Text(text) => {
            for byte in text.bytes() {
                key.push(byte);
                if byte == 0 {
                    key.push(1);
                }
            }
            key.extend([0, 0]);
        }
    }
    key
}
