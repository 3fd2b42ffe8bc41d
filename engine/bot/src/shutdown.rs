//! How a bot is told to stop: first to drain, then to drop what it has.

use std::sync::Arc;

use tokio::sync::watch;

/// How far a shutdown has come. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Running,
    Draining,
    Killing,
}

/// Handle to stop one bot, or all bots that were given a clone of it.
#[derive(Clone, Debug)]
pub struct Shutdown {
    phase: Arc<watch::Sender<Phase>>,
}

impl Shutdown {
    /// A handle that has not been used yet.
    pub fn new() -> Self {
        Self { phase: Arc::new(watch::Sender::new(Phase::Running)) }
    }

    /// Take no new leases, finish those that run, then leave.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// Kill what runs, hand it back to the server as not done, and leave.
    pub fn kill(&self) {
        self.advance(Phase::Killing);
    }

    /// What a signal means: the first one drains, the next one kills.
    pub fn escalate(&self) {
        self.phase.send_modify(|phase| {
            *phase = match *phase {
                Phase::Running => Phase::Draining,
                Phase::Draining | Phase::Killing => Phase::Killing,
            }
        });
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    fn advance(&self, to: Phase) {
        self.phase.send_if_modified(|phase| {
            let forward = to > *phase;
            *phase = to.max(*phase);
            forward
        });
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a bot ended in good order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitReason {
    /// Everything it had taken on was finished and reported.
    Drained,
    /// It was told to drop its work.
    Killed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_signal_kills_and_nothing_goes_back_to_draining() {
        let shutdown = Shutdown::new();
        let phase = shutdown.subscribe();
        shutdown.escalate();
        assert_eq!(*phase.borrow(), Phase::Draining);
        shutdown.escalate();
        assert_eq!(*phase.borrow(), Phase::Killing);
        shutdown.drain();
        assert_eq!(*phase.borrow(), Phase::Killing);
    }
}
