//! The work book: Coordinate's work specs, work units, workers and locks, of one namespace.
//!
//! [`Book::advance`] tells the time, each method after it is one call of a client at that instant. A method decides, and
//! emits facts; `apply` is the only way that durable state changes. What a restart may lose (when a worker was last
//! heard of, which worker may still believe in a lease that it lost) is kept beside it and changes directly.
//!
//! No call takes longer because a spec has more units: each state has an index of its own, counts are kept, and
//! deadlines stand in one ordered set.

mod add;
mod apply;
mod archive;
mod ask;
mod choose;
mod classic;
mod delete;
mod expire;
mod fact;
mod get;
mod id;
mod locks;
#[doc(hidden)]
pub mod mutant;
mod query;
mod receipts;
mod restore;
mod spec;
mod specs;
mod sweep;
mod unit;
mod update;
mod workers;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use rustc_hash::FxHashMap;

pub use self::{
    ask::{
        Assignment, ChildUnit, Control, DeleteUnits, GetWork, Heartbeat, Lifetime, LockPath, NewUnit, Prioritize,
        Refusal, SpecMeta, SpecSettings, Totals, UnitCounts, UnitQuery, UnitState, UnitView, UpdateUnit, WorkerInfo,
        WorkerStats,
    },
    fact::Fact,
    id::{Locker, Priority, SpecId, SpecName, UnitKey, Value, WorkerId},
    receipts::{CallId, Receipt, ReceiptId, ReceiptRow},
    restore::{LockRow, Restoring, SpecRow, UnitBody, UnitPlace, UnitRow, UnitStanding, WorkerRow},
    unit::AddedUnit,
};
use self::{
    choose::{Asked, Brief},
    locks::Lock,
    receipts::Receipts,
    spec::{Spec, UnitIx},
    workers::Workers,
};
use crate::{Chooser, Timestamp};

/// The longest lease and the longest lifetime of a worker, in seconds: a day. What is longer is taken for a mistake.
const DAY_S: f64 = 86_400.0;

/// A lease where none, or none that makes sense, is asked for.
const LEASE: Duration = Duration::from_secs(300);

/// How much one step of something long does, such as deleting a million units: about two milliseconds' worth. Other calls
/// go between two steps.
pub const STEP_MAX: usize = 1_000;

/// An empty dictionary, and that of a unit which was handed out too often, as CBOR: the two that are made here.
const EMPTY: &[u8] = &[0xa0];
const TOO_MANY_RETRIES: &[u8] = b"\xa1\x49traceback\x50too many retries";

/// Which built-in rule chooses among work specs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The spec that is furthest behind its share of what is pending.
    #[default]
    Simplified,
    /// That of Coordinate's Python server: what is furthest down a chain of specs first.
    Classic,
}

/// The rules' numbers and switches.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rules {
    /// Who chooses where no plugin does.
    pub choice: Choice,
    /// Specs that need more memory than a worker says it has are not for it.
    pub enforce_min_gb: bool,
    /// `archive` keeps at most so many finished and so many failed units of a spec.
    pub completed_max: Option<u64>,
    /// `archive` keeps units for so long after their end.
    pub completed_age: Option<Duration>,
}

/// Reads what units hand on. Dictionaries are encoded by clients, and their encoding is not known here.
pub trait Outputs: Send + Sync {
    /// The units that stand under `output` in the dictionary of a finished unit. What cannot be read is left out.
    fn children(&self, data: &[u8]) -> Vec<NewUnit>;
}

/// Units hand on nothing.
impl Outputs for () {
    fn children(&self, _: &[u8]) -> Vec<NewUnit> {
        Vec::new()
    }
}

/// Everything about work in one namespace.
pub struct Book {
    rules: Rules,
    outputs: Arc<dyn Outputs>,
    chooser: Option<Asked>,
    /// The instant of the calls that are handled now.
    now: Timestamp,
    names: BTreeMap<SpecName, SpecId>,
    specs: FxHashMap<SpecId, Spec>,
    next_spec: u64,
    /// Specs that may have work, those of the highest priority first, with what decides among them.
    open: BTreeMap<(Reverse<i64>, SpecId), Brief>,
    /// Chains and loops of specs; made when it is asked for, dropped when specs change.
    chains: Option<classic::Chains>,
    workers: Workers,
    locks: BTreeMap<LockPath, Lock>,
    receipts: Receipts,
    /// What is due when. Entries of units that went with their spec stay for a while, and mean nothing.
    timers: BTreeSet<(Timestamp, Timer)>,
    facts: Vec<Fact>,
    /// There may be work for somebody who got none before.
    opened: bool,
    /// Specs that are gone, and of whose units something still stands elsewhere.
    sweeping: VecDeque<Spec>,
    /// Specs of which nothing is left but their memory: whoever has time drops them.
    discarded: Vec<Spec>,
}

/// What a deadline is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// A lease ends, or a delay.
    Unit(SpecId, UnitIx),
    /// A continuous spec may make a unit.
    Makes(SpecId),
    Worker(WorkerId),
    Lock(LockPath),
    /// The client did not come back with its call.
    Receipt(u64),
}

impl Book {
    /// An empty book.
    pub fn new(rules: Rules, outputs: Arc<dyn Outputs>) -> Self {
        Self {
            rules,
            outputs,
            chooser: None,
            now: Timestamp(0),
            names: BTreeMap::new(),
            specs: FxHashMap::default(),
            next_spec: 1,
            open: BTreeMap::new(),
            chains: None,
            workers: Workers::default(),
            locks: BTreeMap::new(),
            receipts: Receipts::default(),
            timers: BTreeSet::new(),
            facts: Vec::new(),
            opened: false,
            sweeping: VecDeque::new(),
            discarded: Vec::new(),
        }
    }

    /// Lets somebody else choose among work specs, under the name of this namespace.
    pub fn set_chooser(&mut self, chooser: Box<dyn Chooser>, namespace: String) {
        self.chooser = Some(Asked::new(chooser, namespace));
    }

    /// The instant of the calls that are handled now.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// When something is due next.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// The facts since this was last asked, in order: to be stored before anything is told of them.
    pub fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Whether, since this was last asked, something came that somebody could get who got nothing before.
    pub fn take_opened(&mut self) -> bool {
        std::mem::take(&mut self.opened)
    }

    /// The number of each spec.
    pub fn spec_ids(&self) -> impl Iterator<Item = (SpecId, &SpecName)> {
        self.names.iter().map(|(name, id)| (*id, name))
    }

    /// What takes long to drop: a million units, after their spec was deleted.
    pub fn take_discarded(&mut self) -> Option<Discarded> {
        if self.discarded.is_empty() { None } else { Some(Discarded { _specs: std::mem::take(&mut self.discarded) }) }
    }

    fn emit(&mut self, fact: Fact) {
        self.apply(&fact);
        self.facts.push(fact);
    }

    fn find(&self, name: &SpecName) -> Result<&Spec, Refusal> {
        let id = self.names.get(name).ok_or_else(|| Refusal::NoSpec(name.clone()))?;
        Ok(&self.specs[id])
    }

    fn spec_of(&self, id: SpecId) -> &Spec {
        &self.specs[&id]
    }

    fn spec_mut(&mut self, id: SpecId) -> &mut Spec {
        self.specs.get_mut(&id).expect("a fact names a spec that exists")
    }
}

/// Something that takes long to drop.
pub struct Discarded {
    _specs: Vec<Spec>,
}

/// How long a lease lasts that was asked for with this many seconds.
fn lease(seconds: Option<f64>) -> Duration {
    match seconds {
        Some(seconds) if (1.0..=DAY_S).contains(&seconds) => Duration::from_secs_f64(seconds),
        Some(_) | None => LEASE,
    }
}
