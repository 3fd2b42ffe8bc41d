//! The weather of a seed: how often each kind of trouble comes. A world in which everything happens now and then hardly
//! ever has two rare things close together; many worlds, each with troubles of its own, do.

use crate::rng::Rng;

/// How much there is of what may be rare or frequent, in thousandths of the most.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weather {
    pub(super) crashes: u64,
    /// Policies that ask other questions.
    pub(super) policies: u64,
    /// Policies that place jobs elsewhere.
    pub(super) activations: u64,
    /// Bots that change, sleep or begin anew.
    pub(super) bots: u64,
    pub(super) drains: u64,
    /// Steps in which hardly any time passes.
    pub(super) standstill: u64,
    /// Counters for which others give way, and after which time, in milliseconds.
    pub(super) evictions: u64,
    pub(super) give_way_ms: u64,
}

impl Weather {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let mut any = |of: [u64; 3]| of[rng.index(3)];
        Self {
            crashes: any([100, 330, 1_000]),
            policies: any([60, 250, 1_000]),
            activations: any([0, 330, 1_000]),
            bots: any([100, 330, 1_000]),
            drains: any([0, 500, 1_000]),
            standstill: any([700, 850, 960]),
            evictions: any([0, 400, 1_000]),
            give_way_ms: any([700, 2_000, 12_000]),
        }
    }
}
