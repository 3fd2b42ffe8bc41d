//! The books that bot and server keep together: which leases are held, what the server has been told of each, and
//! what its replies mean. No I/O; `session` does the talking, `job` the work.

use std::collections::BTreeMap;

use berth_proto::any;
use berth_proto::bots::{Lease, LeaseState};
use berth_proto::rpc;
use prost_types::Any;
use tokio_util::sync::CancellationToken;
use tonic::Code;

use crate::job::Report;

/// All leases that this bot answers for.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    held: BTreeMap<String, Held>,
    /// Counts leases taken, to tell the work of one from that of another with the same id.
    taken: u64,
    /// A lease has left the books without the server's doing: it should hear that the slot is free.
    untold_end: bool,
}

#[derive(Debug)]
struct Held {
    /// As it is reported.
    lease: Lease,
    work: Work,
    serial: u64,
    /// The state that the server has last confirmed to have heard.
    told: Option<LeaseState>,
}

#[derive(Debug)]
enum Work {
    Running {
        killed: CancellationToken,
    },
    /// The server cancelled it. Stays on the books, since it holds its slot, until its work has come to an end.
    Ending,
    /// The report is in the lease, and is repeated until the server acknowledges it.
    Done,
}

/// Work that is to begin.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) id: String,
    pub(crate) serial: u64,
    pub(crate) payload: Option<Any>,
    pub(crate) killed: CancellationToken,
}

/// Which leases an update reported, and as what.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    states: BTreeMap<String, (u64, LeaseState)>,
    /// Whether it told the server anything new: then it is answered at once.
    pub(crate) has_news: bool,
}

/// What a reply changed.
#[derive(Debug, Default)]
pub(crate) struct Absorbed {
    pub(crate) start: Vec<Start>,
    pub(crate) changed: bool,
}

impl Leases {
    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether the server should hear from us now rather than when its answer comes.
    pub(crate) fn has_news(&self) -> bool {
        self.untold_end || self.held.values().any(|held| held.told != Some(held.state()))
    }

    /// What an update is to say.
    pub(crate) fn report(&self) -> (Vec<Lease>, Sent) {
        let leases = self.held.values().map(|held| held.lease.clone()).collect();
        let states = self.held.iter().map(|(id, held)| (id.clone(), (held.serial, held.state()))).collect();
        (leases, Sent { states, has_news: self.has_news() })
    }

    /// Takes in the server's view, which answers `sent`. With `draining`, offers are handed straight back.
    pub(crate) fn absorb(&mut self, reply: Vec<Lease>, sent: &Sent, draining: bool) -> Absorbed {
        let mut absorbed = Absorbed::default();
        self.untold_end = false;
        for (id, (serial, state)) in &sent.states {
            if let Some(held) = self.held.get_mut(id).filter(|held| held.serial == *serial) {
                held.told = Some(*state);
            }
        }
        let mut listed = BTreeMap::new();
        for lease in reply {
            // A state that we do not know is that of a live lease.
            let state = LeaseState::try_from(lease.state).unwrap_or(LeaseState::Active);
            listed.insert(lease.id.clone(), (state, lease));
        }
        self.settle(&listed, sent, &mut absorbed);
        for (id, (state, lease)) in listed {
            let live = match state {
                LeaseState::Unspecified | LeaseState::Pending | LeaseState::Active => true,
                LeaseState::Completed | LeaseState::Cancelled => false,
            };
            if live && !self.held.contains_key(&id) {
                absorbed.changed = true;
                if draining { self.hand_back(lease) } else { absorbed.start.push(self.take(lease)) }
            }
        }
        absorbed
    }

    /// Ends what the server has acknowledged, taken away, or cancelled.
    fn settle(&mut self, listed: &BTreeMap<String, (LeaseState, Lease)>, sent: &Sent, absorbed: &mut Absorbed) {
        self.held.retain(|id, held| {
            // Not in the update that is answered: the server could not have listed it.
            if sent.states.get(id).is_none_or(|(serial, _)| *serial != held.serial) {
                return true;
            }
            let keep = match (listed.get(id).map(|(state, _)| *state), &held.work) {
                // Acknowledged, or taken away: the difference no longer matters.
                (None | Some(LeaseState::Completed | LeaseState::Cancelled), Work::Done) => false,
                (None, Work::Ending) => false,
                (None | Some(LeaseState::Completed), Work::Running { killed }) => {
                    tracing::info!(lease = %id, "lease taken away");
                    killed.cancel();
                    false
                }
                (Some(LeaseState::Cancelled), Work::Running { killed }) => {
                    tracing::info!(lease = %id, "lease cancelled");
                    killed.cancel();
                    held.work = Work::Ending;
                    absorbed.changed = true;
                    true
                }
                (Some(_), Work::Ending) => true,
                (Some(LeaseState::Unspecified | LeaseState::Pending | LeaseState::Active), _) => true,
            };
            absorbed.changed |= !keep;
            keep
        });
    }

    fn take(&mut self, mut lease: Lease) -> Start {
        self.taken += 1;
        let killed = CancellationToken::new();
        lease.state = LeaseState::Active.into();
        let start =
            Start { id: lease.id.clone(), serial: self.taken, payload: lease.payload.clone(), killed: killed.clone() };
        let held = Held { lease, work: Work::Running { killed }, serial: self.taken, told: None };
        self.held.insert(start.id.clone(), held);
        start
    }

    fn hand_back(&mut self, lease: Lease) {
        self.taken += 1;
        let mut held = Held { lease, work: Work::Done, serial: self.taken, told: None };
        let status = rpc::Status {
            code: Code::Unavailable as i32,
            message: "the bot is draining and has not begun".into(),
            ..Default::default()
        };
        held.complete(Report { status, result: None });
        self.held.insert(held.lease.id.clone(), held);
    }

    /// Work has ended. Whether the server should hear of it.
    pub(crate) fn finish(&mut self, id: &str, serial: u64, report: Report) -> bool {
        let Some(held) = self.held.get_mut(id).filter(|held| held.serial == serial) else { return false };
        match held.work {
            Work::Running { .. } => held.complete(report),
            Work::Ending => {
                self.held.remove(id);
                self.untold_end = true;
            }
            Work::Done => unreachable!("work ends once"),
        }
        true
    }

    /// Stops all work; each lease is then reported by what its job makes of that.
    pub(crate) fn kill_all(&self) {
        for held in self.held.values() {
            if let Work::Running { killed } = &held.work {
                killed.cancel();
            }
        }
    }

    /// Stops all work and forgets it: the server has given it to others by now.
    pub(crate) fn abandon(&mut self) {
        self.kill_all();
        self.held.clear();
        self.untold_end = false;
    }

    /// For a new session, which has been told nothing yet.
    pub(crate) fn forget_told(&mut self) {
        self.held.values_mut().for_each(|held| held.told = None);
    }
}

impl Held {
    fn state(&self) -> LeaseState {
        match self.work {
            Work::Running { .. } | Work::Ending => LeaseState::Active,
            Work::Done => LeaseState::Completed,
        }
    }

    fn complete(&mut self, report: Report) {
        self.work = Work::Done;
        self.lease.state = LeaseState::Completed.into();
        self.lease.status = Some(report.status);
        self.lease.result = report.result.as_ref().map(any::pack);
    }
}

#[cfg(test)]
mod tests;
