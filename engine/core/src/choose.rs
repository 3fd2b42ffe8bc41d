//! Which lane a bot serves, where a policy says so (SEMANTICS: asking plugins).
//!
//! The trait is here because a step asks it, synchronously; who answers is the host's business. What was chosen is part
//! of the facts, so that nobody is asked again.

use std::time::Duration;

use crate::PropertySet;

/// As many lanes are shown at a time: the best by the built-in order.
pub const LANE_VIEWS_MAX: usize = 256;

/// A bot that asks for work.
#[derive(Clone, Copy, Debug)]
pub struct WorkerView<'a> {
    /// Instance name of its session.
    pub instance: &'a str,
    /// The name that it gave itself.
    pub bot_id: &'a str,
    /// What it offers.
    pub capabilities: &'a [PropertySet],
    /// Slots that are taken: by leases that it has, or by some that it has not let go yet.
    pub busy: u32,
    /// Leases that it may have.
    pub slots: u32,
    /// Affinity keys of the jobs that it was given in this session, the newest last, each once: at most 16.
    pub recent: &'a [&'a str],
}

/// A lane that has a job for the bot.
#[derive(Clone, Copy, Debug)]
pub struct LaneView<'a> {
    /// The lane's name.
    pub name: &'a str,
    /// Its weight.
    pub weight: u32,
    /// Jobs of the lane that wait, whatever they require.
    pub queued: u32,
    /// Jobs of the lane that bots have.
    pub running: u32,
    /// How long the job that this bot would get has waited.
    pub head_waited: Duration,
    /// The rank of the job that this bot would get.
    pub head_rank: i64,
}

/// Says which lane a bot serves. Owned by the thread that runs the steps.
pub trait Chooser: Send {
    /// Decisions that are made together begin: what they may take is counted from here.
    fn begin(&mut self) {}

    /// Whether anybody answers for this instance name now: if not, no views need to be made.
    fn asks(&mut self, instance: &str) -> bool;

    /// The index of the lane whose head goes to the bot. `None`: the built-in rule decides, because nobody answers, the
    /// answer was a fault, or the time for these decisions is used up. `truncated`: there are more lanes than these.
    fn choose(&mut self, worker: &WorkerView<'_>, lanes: &[LaneView<'_>], truncated: bool) -> Option<usize>;
}
