//! What a plugin may import. The operator grants; a component that imports more is not loaded.

use std::fmt;
use std::str::FromStr;

/// An interface of the contract that a component may import.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Grant {
    /// Messages in Berth's log.
    Log,
    /// What the operator set for the plugin.
    Config,
    /// Berth's clock.
    Clock,
    /// A small durable table of its own.
    Kv,
    /// What Berth counts and has learnt.
    Stats,
    /// Figures for dashboards.
    Metrics,
}

impl Grant {
    /// All there are.
    pub const ALL: [Self; 6] = [Self::Log, Self::Config, Self::Clock, Self::Kv, Self::Stats, Self::Metrics];

    /// The name of the interface.
    pub fn name(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Config => "config",
            Self::Clock => "clock",
            Self::Kv => "kv",
            Self::Stats => "stats",
            Self::Metrics => "metrics",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// There is no such import.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is nothing that can be granted; log, config, clock, kv, stats and metrics are")]
pub struct UnknownGrant(pub String);

impl FromStr for Grant {
    type Err = UnknownGrant;

    fn from_str(name: &str) -> Result<Self, UnknownGrant> {
        let found = Self::ALL.into_iter().find(|grant| grant.name() == name);
        found.ok_or_else(|| UnknownGrant(name.to_owned()))
    }
}

/// A set of grants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grants(u8);

impl Grants {
    /// Nothing at all.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self((1 << Grant::ALL.len()) - 1);

    /// This one too.
    pub const fn and(self, grant: Grant) -> Self {
        Self(self.0 | 1 << grant as u8)
    }

    /// Whether this is granted.
    pub fn has(self, grant: Grant) -> bool {
        self.0 & (1 << grant as u8) != 0
    }

    /// The grants in it.
    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL.into_iter().filter(move |grant| self.has(*grant))
    }
}

/// `log` and `config`, which can do no harm.
impl Default for Grants {
    fn default() -> Self {
        Self::NONE.and(Grant::Log).and(Grant::Config)
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        grants.into_iter().fold(Self::NONE, Self::and)
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::NONE {
            return out.write_str("nothing");
        }
        for (index, grant) in self.iter().enumerate() {
            write!(out, "{}{grant}", if index == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_says_what_is_in_it_and_names_are_read_back() {
        let grants: Grants = ["kv", "log"].iter().map(|name| name.parse::<Grant>().unwrap()).collect();
        assert_eq!(grants.to_string(), "log, kv");
        assert!(grants.has(Grant::Kv) && !grants.has(Grant::Clock));
        assert_eq!((Grants::NONE.to_string(), Grants::ALL.iter().count()), ("nothing".to_owned(), 6));
        assert!("fs".parse::<Grant>().unwrap_err().to_string().contains("\"fs\""));
    }
}
