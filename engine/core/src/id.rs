//! One type for each identity, so that two of them are never swapped.

use std::{fmt, str::FromStr, sync::Arc};

macro_rules! random_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        /// 32 lowercase hexadecimal digits.
        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{:032x}", self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, "{}({:x})", stringify!($name), self.0)
            }
        }

        /// Accepts 32 hexadecimal digits, with or without a UUID's hyphens.
        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                let (mut id, mut digits) = (0, 0);
                for byte in text.bytes().filter(|byte| *byte != b'-') {
                    let digit = char::from(byte).to_digit(16).ok_or(IdError)?;
                    // One that is too long is found by the count.
                    id = id << 4 | u128::from(digit);
                    digits += 1;
                }
                if digits == 32 { Ok(Self(id)) } else { Err(IdError) }
            }
        }
    };
}

random_id!(
    /// A job: one execution of an action, whatever the number of clients that wait for it. A job has the id of
    /// the operation that made it.
    JobId
);
random_id!(
    /// A client's handle on a job (`google.longrunning.Operation`). Drawn by the caller.
    OperationId
);
random_id!(
    /// One life of a bot, from CreateBotSession until it ends or expires. Drawn by the caller.
    SessionId
);

/// Not an id: 32 hexadecimal digits are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an id has 32 hexadecimal digits")]
pub struct IdError;

/// A lease: a job, and the number of the offer. Its text is unique for each attempt and matches `[0-9a-z-]+`,
/// because bots build a metadata key from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId {
    /// Which job is leased.
    pub job: JobId,
    /// Fences the lease: each offer of a job has the next number, from 1.
    pub attempt: u32,
}

impl fmt::Display for LeaseId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.job, self.attempt)
    }
}

impl FromStr for LeaseId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let (job, attempt) = text.rsplit_once('-').ok_or(IdError)?;
        Ok(Self { job: job.parse()?, attempt: attempt.parse().map_err(|_| IdError)? })
    }
}

/// An instance name of REAPI: the tenant-visible name of a scheduler and its bots.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceName(pub Arc<str>);

impl InstanceName {
    /// What bots say that serve the jobs of all instances. No instance has this name.
    pub const ALL: &str = "*";

    /// Whether bots of this name serve all instances.
    pub fn is_all(&self) -> bool {
        *self.0 == *Self::ALL
    }
}

impl From<&str> for InstanceName {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for InstanceName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

/// The name of a lane within an instance. The empty key is the default lane.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneKey(pub Arc<str>);

impl Default for LaneKey {
    fn default() -> Self {
        Self("".into())
    }
}

/// Numbers the calls of one session: a later update takes the place of an earlier one that is still held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PollId(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_id_is_read_back_and_fits_a_metadata_key() {
        let lease = LeaseId { job: JobId(0xabc), attempt: 12 };
        let text = lease.to_string();
        assert!(text.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase() || b == b'-'));
        assert_eq!(text.parse(), Ok(lease));
        assert_eq!("nonsense".parse::<LeaseId>(), Err(IdError));
    }

    #[test]
    fn an_operation_id_may_be_written_as_a_uuid() {
        let id: OperationId = "00000000-0000-0000-0000-0000000000ff".parse().unwrap();
        assert_eq!(id, OperationId(255));
        assert!("+0000000000000000000000000000000".parse::<OperationId>().is_err());
    }
}
