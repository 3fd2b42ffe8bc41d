//! One work unit.

use super::{NewUnit, Priority, UnitKey, UnitState, Value, WorkerId};
use crate::Timestamp;

/// A unit, wherever it stands.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) key: UnitKey,
    /// Replaced by whoever adds the unit again, and by updates of its worker: what was sent last stays.
    pub(super) data: Value,
    pub(super) priority: Priority,
    /// How often it was handed out. Never lowered: what `max_retries` counts, and what tells one attempt from the next.
    pub(super) attempts: u32,
    pub(super) state: State,
    /// Workers that lost their lease and may still believe that they have it. Lost by a restart.
    pub(super) former: Vec<WorkerId>,
}

/// Where a unit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    Available {
        /// Not handed out before; passed or 0: at once.
        not_before: Timestamp,
    },
    Pending {
        /// `None`: somebody made it pending without a name.
        worker: Option<WorkerId>,
        until: Timestamp,
    },
    Ended {
        failed: bool,
        at: Timestamp,
        worker: Option<WorkerId>,
        /// It failed because it was handed out too often: it shows this instead of its dictionary.
        exhausted: bool,
    },
}

impl State {
    pub(super) const READY: Self = Self::Available { not_before: Timestamp(0) };

    pub(super) fn kind(&self) -> UnitState {
        match self {
            Self::Available { .. } => UnitState::Available,
            Self::Pending { .. } => UnitState::Pending,
            Self::Ended { failed: false, .. } => UnitState::Finished,
            Self::Ended { failed: true, .. } => UnitState::Failed,
        }
    }

    pub(super) fn worker(&self) -> Option<&WorkerId> {
        match self {
            Self::Available { .. } => None,
            Self::Pending { worker, .. } | Self::Ended { worker, .. } => worker.as_ref(),
        }
    }
}

impl Unit {
    /// The dictionary that clients see now.
    pub(super) fn shown(&self) -> Value {
        match self.state {
            State::Ended { exhausted: true, .. } => super::TOO_MANY_RETRIES.into(),
            State::Available { .. } | State::Pending { .. } | State::Ended { .. } => self.data.clone(),
        }
    }

    pub(super) fn new(added: &AddedUnit) -> Self {
        Self {
            key: added.key.clone(),
            data: added.data.clone(),
            priority: added.priority,
            attempts: 0,
            state: State::Available { not_before: added.not_before },
            former: Vec::new(),
        }
    }
}

/// A unit as a fact adds it: everything decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedUnit {
    /// Its name.
    pub key: UnitKey,
    /// Its dictionary.
    pub data: Value,
    /// Its priority.
    pub priority: Priority,
    /// Not handed out before; 0: at once.
    pub not_before: Timestamp,
}

impl AddedUnit {
    pub(super) fn of(unit: NewUnit, inherited: Priority, now: Timestamp) -> Self {
        let not_before = unit.delay.filter(|delay| !delay.is_zero()).map_or(Timestamp(0), |delay| now.after(delay));
        Self { key: unit.key, data: unit.data, priority: unit.priority.unwrap_or(inherited), not_before }
    }
}
