//! What callers say to the work book, and what they are told.

use std::time::Duration;

use super::{CallId, Locker, Priority, SpecName, UnitKey, Value, WorkerId};
use crate::Timestamp;

/// A work spec as its owner describes it. The door reads it from the dictionary that the client sent.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecSettings {
    /// Identity; cannot change.
    pub name: SpecName,
    /// The dictionary as it was sent: what `get_work_spec` answers.
    pub raw: Value,
    /// `disabled`: the spec is paused from the start.
    pub paused: bool,
    /// Share among specs of the same priority. At 0 or below the spec gets no work handed out. `weight`, or 20 - `nice`.
    pub weight: i64,
    /// A spec with a higher one goes before all others.
    pub priority: i64,
    /// Makes work units of its own where there is nothing else to do.
    pub continuous: bool,
    /// Least time between two units that the spec makes itself, from start to start.
    pub interval: Option<Duration>,
    /// At most so many units pending at a time; `None`: no limit.
    pub max_running: Option<u64>,
    /// At most so many units a call of `get_work`; `None`: no limit.
    pub max_getwork: Option<u64>,
    /// A unit that was handed out so often fails instead of being handed out again; `None`: no limit.
    pub max_retries: Option<u32>,
    /// Where the output of a finished unit goes.
    pub then: Option<SpecName>,
    /// Whether the spec that `then` names goes before this one (rule `classic`). `true` unless the client says otherwise.
    pub then_preempts: bool,
    /// Which kind of worker runs it. Only who asks for this kind gets it; Coordinate's clients ask for the empty one.
    pub runtime: Value,
    /// Gigabytes that a unit needs; counts only where the option `enforce_min_gb` is set.
    pub min_gb: f64,
}

impl SpecSettings {
    /// A spec with nothing but a name: weight 20, no limits.
    pub fn new(name: SpecName, raw: Value) -> Self {
        Self {
            name,
            raw,
            paused: false,
            weight: 20,
            priority: 0,
            continuous: false,
            interval: None,
            max_running: None,
            max_getwork: None,
            max_retries: None,
            then: None,
            then_preempts: true,
            runtime: Value::default(),
            min_gb: 0.0,
        }
    }
}

/// Changes that do not touch the spec's own dictionary. What is `None` stays.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Control {
    /// Stops or goes on making units of its own.
    pub continuous: Option<bool>,
    /// Stops or goes on handing out units.
    pub paused: Option<bool>,
    /// As in [`SpecSettings::weight`].
    pub weight: Option<i64>,
    /// As in [`SpecSettings::interval`]; `Some(None)` takes it away.
    pub interval: Option<Option<Duration>>,
    /// As in [`SpecSettings::max_running`]; `Some(None)` takes it away.
    pub max_running: Option<Option<u64>>,
}

/// What holds for a spec now: its settings as last set or controlled.
#[derive(Clone, Debug, PartialEq)]
pub struct SpecMeta {
    /// Whether units are handed out.
    pub paused: bool,
    /// Whether it makes units of its own now.
    pub continuous: bool,
    /// As in [`SpecSettings::interval`].
    pub interval: Option<Duration>,
    /// As in [`SpecSettings::max_running`].
    pub max_running: Option<u64>,
    /// As in [`SpecSettings::weight`].
    pub weight: i64,
}

/// A unit to add.
#[derive(Clone, Debug, PartialEq)]
pub struct NewUnit {
    /// Its name.
    pub key: UnitKey,
    /// Its dictionary.
    pub data: Value,
    /// 0 unless said; for output of another unit: that unit's.
    pub priority: Option<Priority>,
    /// Not handed out before this has passed.
    pub delay: Option<Duration>,
}

/// The four states of a unit that clients see. A delayed unit is available.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnitState {
    /// May be handed out (1 on the wire).
    Available,
    /// A worker has it (3).
    Pending,
    /// Done (4).
    Finished,
    /// Gave up (5).
    Failed,
}

impl UnitState {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Available, Self::Pending, Self::Finished, Self::Failed];

    /// The number on the wire.
    pub const fn number(self) -> u8 {
        match self {
            Self::Available => 1,
            Self::Pending => 3,
            Self::Finished => 4,
            Self::Failed => 5,
        }
    }

    /// Of a number on the wire.
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            1 => Some(Self::Available),
            3 => Some(Self::Pending),
            4 => Some(Self::Finished),
            5 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// How many units a spec has in each state, archived ones included. In the order of [`UnitState::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UnitCounts(pub [u64; 4]);

impl UnitCounts {
    /// In one state.
    pub fn of(&self, state: UnitState) -> u64 {
        self.0[state as usize]
    }
}

/// What a namespace has in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Work specs.
    pub specs: u64,
    /// Units of all specs, without those that were archived.
    pub units: UnitCounts,
    /// Workers.
    pub workers: WorkerStats,
    /// Paths that are locked.
    pub locks: u64,
}

/// Which units to list; in order of their keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnitQuery {
    /// Only these states; empty: all.
    pub states: Vec<UnitState>,
    /// No key below this one.
    pub start: Option<UnitKey>,
    /// At most so many.
    pub limit: usize,
}

/// What befalls priorities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Prioritize {
    /// The new one.
    To(Priority),
    /// Added to the old one.
    By(f64),
}

/// Which units to delete.
#[derive(Clone, Debug, PartialEq)]
pub enum DeleteUnits {
    /// Every unit of the spec.
    All,
    /// These, if they are in the state, where one is named.
    Keys(Vec<UnitKey>, Option<UnitState>),
    /// All in this state.
    State(UnitState),
}

/// A unit as `get_work_unit_status` shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitView {
    /// Its state now.
    pub state: UnitState,
    /// Pending: when the lease ends. Finished or failed: when that happened. Available: `None`.
    pub expiration: Option<Timestamp>,
    /// Who has it, or had it last.
    pub worker: Option<WorkerId>,
    /// Its dictionary; the door takes the traceback from it.
    pub data: Value,
    /// How often it was handed out.
    pub attempts: u32,
    /// Its priority.
    pub priority: Priority,
}

/// Changes of one unit. At least one of lease, state and data is there, or the call is refused.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UpdateUnit {
    /// Seconds from now; 0 or less gives the unit back; more than a day counts as 300.
    pub lease_s: Option<f64>,
    /// The new state.
    pub state: Option<UnitState>,
    /// The new dictionary.
    pub data: Option<Value>,
    /// Who calls. If named, a worker that lost its lease is refused.
    pub worker: Option<WorkerId>,
}

/// Who asks for work, and for what.
#[derive(Clone, Debug, PartialEq)]
pub struct GetWork {
    /// Who asks.
    pub worker: WorkerId,
    /// Seconds of the lease; `None`, below 1 or above a day: 300.
    pub lease_s: Option<f64>,
    /// How many units at most; 0 counts as 1.
    pub max_jobs: u64,
    /// Only of these specs; empty: of any. Unknown names are ignored.
    pub specs: Vec<SpecName>,
    /// Only of specs with one of these runtimes. Coordinate's clients: the empty one only.
    pub runtimes: Vec<Value>,
    /// Memory that the worker has; `None`: not said. Counts only where the option `enforce_min_gb` is set.
    pub available_gb: Option<f64>,
    /// Which call this is, where the client may send it again; `None`: nobody asks again.
    pub call: Option<CallId>,
}

/// A unit that was handed out. All units of a call are of one spec.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// Of which spec.
    pub spec: SpecName,
    /// Its name.
    pub key: UnitKey,
    /// Its dictionary.
    pub data: Value,
}

/// A unit that a child of a worker has, or believes to have.
#[derive(Clone, Debug, PartialEq)]
pub struct ChildUnit {
    /// Of which spec.
    pub spec: SpecName,
    /// Its name.
    pub key: UnitKey,
    /// Its dictionary.
    pub data: Value,
    /// Who has it now: another worker, if the child lost its lease; `None`: nobody.
    pub worker: Option<WorkerId>,
    /// When the lease of that worker ends.
    pub expires: Option<Timestamp>,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq)]
pub struct Heartbeat {
    /// Who.
    pub worker: WorkerId,
    /// What it says it does (any value, usually a string).
    pub mode: Value,
    /// The worker is forgotten if nothing is heard of it for so long; below 0: 300, above a day: 3600.
    pub expire_s: f64,
    /// What it tells of itself.
    pub data: Value,
    /// Its parent; `None` and the empty name: it has none.
    pub parent: Option<WorkerId>,
}

/// What was made of the lifetime that a heartbeat asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// As asked.
    AsAsked,
    /// It was below 0, and is 300 s now.
    WasNegative,
    /// It was above a day, and is 3600 s now.
    WasTooLong,
}

/// What a worker told of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerInfo {
    /// As in the last heartbeat.
    pub data: Value,
    /// As in the last heartbeat.
    pub mode: Value,
    /// As in the last heartbeat.
    pub parent: Option<WorkerId>,
    /// How long ago that was.
    pub age: Duration,
    /// When the worker is forgotten.
    pub expires: Timestamp,
}

/// How many workers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkerStats {
    /// In all; each of them can expire.
    pub workers: u64,
    /// Those with a parent.
    pub children: u64,
}

/// What is locked: elements from the root on, each in an encoding in which equal elements are equal bytes.
pub type LockPath = Vec<Value>;

/// Why a call is refused within its reply. Everything stays as it was.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// There is no such spec.
    #[error("no such work_spec '{0}'")]
    NoSpec(SpecName),
    /// The spec has no such unit.
    #[error("no such work unit key='{0}'")]
    NoUnit(UnitKey),
    /// The update says nothing.
    #[error("nothing to do")]
    NothingToDo,
    /// Another worker has the unit.
    #[error("lost lease")]
    LostLease,
    /// Only a spec whose dictionary says so makes units of its own.
    #[error("cannot make non-continuous work spec '{0}' continuous")]
    NotContinuous(SpecName),
    /// There is no such worker.
    #[error("no worker '{0}'")]
    NoWorker(WorkerId),
    /// A path, by its place in the call, is locked, or something below or above it is.
    #[error("path {0} is not lockable")]
    NotLockable(usize),
    /// A path, by its place in the call, is locked by another, or by nobody.
    #[error("path {0} is not held")]
    NotHeld(usize, Option<Locker>),
}
