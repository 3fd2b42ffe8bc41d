//! berth-core: every rule of scheduling, as a pure state machine.
//!
//! Events go in with their time; facts, effects and a reply come out. No async, no I/O, no clock, no
//! randomness: the same events give the same facts, to the last bit. Storing facts, telling time and talking
//! to the world is `berth-runtime`'s part. Start reading at [`Book`].

mod choose;
mod digest;
mod event;
mod execution;
mod fact;
mod id;
mod index;
#[doc(hidden)]
pub mod mutant;
mod place;
mod pool;
mod prefetch;
mod property;
mod question;
mod queue;
mod row;
mod time;
mod verdict;
pub mod work;

pub use choose::{Chooser, LANE_VIEWS_MAX, LaneView, WorkerView};
pub use digest::{Digest, DigestError};
pub use event::{
    Answer, BotStatus, Effect, Event, LeaseReport, OpenSession, Rejection, Reply, ReportedState, Stage, Step, Submit,
    UpdateSession, WorkerChange,
};
pub use execution::{
    Book, BotCounts, Counts, JobView, LabelCounts, LeaseView, OperationView, PAIRS_MAX, PAST_ATTEMPTS_MAX, SLOTS_MAX,
    SessionView, Settings, Waiting, Why,
};
pub use fact::{
    AttemptDecided, AttemptFailed, Fact, JobCreated, JobPlaced, LeaseEvicted, Outcome, SessionChanged, SessionEnd,
    SessionOpened,
};
pub use id::{IdError, InstanceName, JobId, LaneKey, LeaseId, OperationId, PollId, SessionId};
pub use place::{Again, Generation, NewPlace, PLACES_MAX, Place, PlaceAsked, PoliciesChanged, PolicyChanged};
pub use pool::Pools;
pub use property::{Property, PropertySet};
pub use question::{
    Asking, AttemptAsked, Decided, FailedAttempt, JobClass, MatchAsked, Matched, Question, Setbacks, UnmatchedAsked,
    UnmatchedDecided, UnmatchedVerdict,
};
pub use row::{
    AttemptEnd, CoolDownRow, DrainRow, Hidden, HiddenLine, JobRow, JobRowState, LeaseRow, LimitRow, OperationRow,
    PastAttempt, PauseRow, QuarantineRow, Rows, SessionRow,
};
pub use time::Timestamp;
pub use verdict::{Affinity, AttemptAction, AttemptReason, Limit, LimitState, Verdict};
