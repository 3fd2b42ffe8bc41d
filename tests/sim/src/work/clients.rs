//! Connections that break, and clients that send again what they saw no reply to.

use std::collections::VecDeque;

use berth_core::work::CallId;

use super::{call::Call, scene};
use crate::rng::Rng;

/// How many connections there are at a time, and how many calls may be sent again.
const OPEN: u64 = 3;
const SENT: usize = 6;

/// Who calls. Whether a call is sent again is up to chance: after a connection broke, or while it lives, or long after.
#[derive(Default)]
pub(super) struct Clients {
    /// Connections that were lost or ended; the numbers after them are open.
    ended: u64,
    calls: u64,
    sent: VecDeque<Call>,
}

impl Clients {
    pub(super) fn call(&mut self, rng: &mut Rng) -> Call {
        let connection = self.ended + 1 + rng.below(OPEN);
        match rng.below(100) {
            // The oldest: numbers are not used again.
            0..=4 => {
                self.ended += 1;
                Call::ConnectionEnded(self.ended, rng.chance(300))
            }
            5..=14 if !self.sent.is_empty() => {
                let call = self.sent[rng.index(self.sent.len())].clone();
                call.again(connection)
            }
            _ => {
                let call = scene::call(rng);
                if rng.chance(400) {
                    return call;
                }
                self.calls += 1;
                // Some do not wait for each reply.
                let place = rng.below(3) as u8;
                let call = call.once(CallId { connection, place, print: self.calls });
                if call.id().is_some() {
                    self.sent.truncate(SENT - 1);
                    self.sent.push_front(call.clone());
                }
                call
            }
        }
    }

    /// The server was killed: nobody has a connection to it any more.
    pub(super) fn all_break(&mut self) {
        self.ended += OPEN;
    }
}
