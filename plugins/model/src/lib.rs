//! A small world in which a policy is tried: jobs arrive, stand in lanes as the policy says, and bots serve them as
//! Berth's contract says. For the tests of the bundled policies, which ask for outcomes: shares, waits, hits.
//!
//! Not Berth: there is one kind of bot, nothing fails, and time jumps from one event to the next. What it has in common
//! with Berth is the contract's rule: the lane with the least (running + 1) / weight, then the smallest rank, then the
//! oldest; limits are kept; of the bots that wait, the one with the most affinity, then the one that waited longest.

mod bots;
mod counters;
mod dice;
mod job;
mod lanes;
mod outcome;
mod world;

pub use dice::Dice;
pub use job::Job;
pub use outcome::{Outcome, Run, report};
pub use world::World;
