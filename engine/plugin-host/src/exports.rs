//! What a component can be asked: the interfaces that it exports, of whichever version of the contract.

use std::fmt;

use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};

use crate::bindings::{v0_1, v1};
use crate::instance::State;

/// An interface of the contract that a component may export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Interface {
    /// What it says of itself.
    About,
    /// What a job requires and a bot offers.
    Properties,
    /// Whether a need fits an offer.
    Matching,
    /// What becomes of jobs that nobody can serve.
    Unmatched,
    /// Who goes first.
    Priority,
    /// Which lane a bot serves.
    Choosing,
    /// Whether a job may come in.
    CreateJob,
    /// Whether a job may be queued.
    QueueJob,
    /// What happens after an attempt that failed.
    AfterAttempt,
    /// Which finished jobs are kept.
    BeforePrune,
    /// What happened.
    Events,
}

impl Interface {
    /// All there are.
    pub const ALL: [Self; 11] = [
        Self::About,
        Self::Properties,
        Self::Matching,
        Self::Unmatched,
        Self::Priority,
        Self::Choosing,
        Self::CreateJob,
        Self::QueueJob,
        Self::AfterAttempt,
        Self::BeforePrune,
        Self::Events,
    ];

    /// As the contract calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::About => "about",
            Self::Properties => "properties",
            Self::Matching => "matching",
            Self::Unmatched => "unmatched",
            Self::Priority => "priority",
            Self::Choosing => "choosing",
            Self::CreateJob => "create-job",
            Self::QueueJob => "queue-job",
            Self::AfterAttempt => "after-attempt",
            Self::BeforePrune => "before-prune",
            Self::Events => "events",
        }
    }
}

/// A version of the contract that the host serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contract {
    /// `berth:policy@0.1`: `properties` and `priority` only.
    V0_1,
    /// `berth:policy@1`.
    V1,
}

impl Contract {
    /// The newest first: a component that exports interfaces of both is asked by the newer contract alone.
    pub(crate) const ALL: [Self; 2] = [Self::V1, Self::V0_1];

    /// The version that the host has bindings for.
    pub fn version(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.0",
            Self::V1 => "1.0.0",
        }
    }

    /// What the version of a compatible import or export begins with.
    pub(crate) fn compatible(self) -> &'static str {
        match self {
            Self::V0_1 => "0.1.",
            Self::V1 => "1.",
        }
    }

    fn interfaces(self) -> &'static [Interface] {
        match self {
            Self::V0_1 => &[Interface::Properties, Interface::Priority],
            Self::V1 => &Interface::ALL,
        }
    }
}

/// Which interfaces of which version a component exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exports {
    /// The version of the contract.
    pub contract: Contract,
    interfaces: u16,
}

impl Exports {
    /// What `has` says is there; `None`: nothing to ask.
    pub(crate) fn probe(has: impl Fn(&str) -> bool) -> Option<Self> {
        Contract::ALL.into_iter().find_map(|contract| {
            let there =
                |interface: &&Interface| has(&format!("berth:policy/{}@{}", interface.name(), contract.version()));
            let found = contract.interfaces().iter().filter(there);
            let interfaces = found.fold(0, |found, interface| found | 1 << *interface as u16);
            (interfaces & !(1 << Interface::About as u16) != 0).then_some(Self { contract, interfaces })
        })
    }

    /// Whether it can be asked this.
    pub fn has(self, interface: Interface) -> bool {
        self.interfaces & (1 << interface as u16) != 0
    }

    /// What it can be asked.
    pub fn iter(self) -> impl Iterator<Item = Interface> {
        Interface::ALL.into_iter().filter(move |interface| self.has(*interface))
    }
}

impl fmt::Display for Exports {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, interface) in self.iter().enumerate() {
            write!(out, "{}{}", if index == 0 { "" } else { ", " }, interface.name())?;
        }
        Ok(())
    }
}

/// The generated code has a pair of types for each interface: where its functions are, found once a component, and the
/// functions themselves, found once an instance.
macro_rules! interfaces {
    ($($field:ident: $version:ident::$module:ident = $contract:ident, $interface:ident;)*) => {
        /// Where the functions of a component are.
        pub(crate) struct Indices {
            $($field: Option<$version::$module::GuestIndices>,)*
        }

        /// The functions of an instance.
        pub(crate) struct Guests {
            $(pub(crate) $field: Option<$version::$module::Guest>,)*
        }

        impl Indices {
            /// Fails where an interface has other functions or types than the contract says.
            pub(crate) fn find(pre: &InstancePre<State>, exports: Exports) -> wasmtime::Result<Self> {
                let wanted = |contract, interface| exports.contract == contract && exports.has(interface);
                Ok(Self {
                    $($field: wanted(Contract::$contract, Interface::$interface)
                        .then(|| $version::$module::GuestIndices::new(pre))
                        .transpose()?,)*
                })
            }

            pub(crate) fn load(&self, store: &mut Store<State>, instance: &Instance) -> wasmtime::Result<Guests> {
                Ok(Guests {
                    $($field: self.$field.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,)*
                })
            }
        }
    };
}

interfaces! {
    about: v1::about = V1, About;
    properties: v1::properties = V1, Properties;
    matching: v1::matching = V1, Matching;
    unmatched: v1::unmatched = V1, Unmatched;
    priority: v1::priority = V1, Priority;
    choosing: v1::choosing = V1, Choosing;
    create_job: v1::create_job = V1, CreateJob;
    queue_job: v1::queue_job = V1, QueueJob;
    after_attempt: v1::after_attempt = V1, AfterAttempt;
    before_prune: v1::before_prune = V1, BeforePrune;
    events: v1::events = V1, Events;
    properties_0_1: v0_1::properties = V0_1, Properties;
    priority_0_1: v0_1::priority = V0_1, Priority;
}
