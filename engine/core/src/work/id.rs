//! Names of the work book. All are bytes: what Coordinate's clients send need not be text.

use std::{fmt, sync::Arc};

/// An encoded value of a client (CBOR), validated at the door and never looked into here: it goes back as it came.
pub type Value = Arc<[u8]>;

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub Arc<[u8]>);

        impl $name {
            /// The bytes of the name; names are ordered by them.
            pub fn as_bytes(&self) -> &[u8] {
                &self.0
            }
        }

        impl From<&[u8]> for $name {
            fn from(bytes: &[u8]) -> Self {
                Self(bytes.into())
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.as_bytes().into())
            }
        }

        impl From<Vec<u8>> for $name {
            fn from(bytes: Vec<u8>) -> Self {
                Self(bytes.into())
            }
        }

        impl std::borrow::Borrow<[u8]> for $name {
            fn borrow(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.escape_ascii(), out)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

names! {
    /// Names a work spec within its namespace.
    SpecName,
    /// Names a work unit within its work spec.
    UnitKey,
    /// Names a worker. It may ask for work without having sent a heartbeat.
    WorkerId,
    /// Names who holds a lock.
    Locker,
}

/// Our own number of a work spec. A spec that is deleted and made again has another one, so that its old rows are told
/// from its new ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpecId(pub u64);

/// Higher goes first; 0 unless something else is said. Any number but NaN.
#[derive(Clone, Copy, Debug, Default)]
pub struct Priority(f64);

impl Priority {
    /// Of work units that a continuous work spec makes itself.
    pub const GENERATED: Self = Self(-1.0);

    /// NaN, which could not be ordered, counts as 0.
    pub fn new(value: f64) -> Self {
        // Adding 0 makes of -0 a 0: they are equal to a client.
        if value.is_nan() { Self(0.0) } else { Self(value + 0.0) }
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Priority {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Priority {}

impl PartialOrd for Priority {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Priority {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}
