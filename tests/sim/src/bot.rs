//! A bot: one call at a time, several leases, and every bad habit that real ones have.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use berth_core::{
    Answer, BotStatus, Digest, Event, InstanceName, LeaseId, LeaseReport, OpenSession, PollId, PropertySet,
    ReportedState, SessionId, Timestamp, UpdateSession, WorkerChange,
};
use bytes::Bytes;

use crate::{
    judge::{Checked, rule},
    rng::Rng,
};

/// What the bot does about a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doing {
    /// Was given it.
    Pending,
    /// Works on it.
    Working,
    /// Finished it, for better or worse.
    Done { code: i32, cacheable: bool },
    /// Was told to stop, and has not stopped yet.
    Stopping,
    /// Ran it; the command failed.
    CommandFailed,
    /// Gave it up.
    GaveUp,
}

#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) poll: PollId,
    pub(crate) session: SessionId,
}

#[derive(Clone, Debug)]
pub(crate) struct Bot {
    pub(crate) id: Arc<str>,
    pub(crate) instance: InstanceName,
    pub(crate) capabilities: Vec<PropertySet>,
    pub(crate) slots: u32,
    /// The most slots that it spoke of in this session: what it was given before it took some back may still come.
    slots_said: u32,
    hold_when_full: bool,
    pub(crate) score: u32,
    pub(crate) status: BotStatus,
    pub(crate) session: Option<SessionId>,
    pub(crate) leases: BTreeMap<LeaseId, Doing>,
    pub(crate) call: Option<Call>,
    /// Says and does nothing until then.
    pub(crate) asleep_until: Timestamp,
    /// Said something untrue of its slots, or lost track of its calls: what it holds is its own affair until it begins
    /// anew.
    pub(crate) confused: bool,
    /// Leases that it once had: for stragglers.
    past: Vec<LeaseId>,
}

impl Bot {
    pub(crate) fn new(id: Arc<str>, instance: InstanceName, capabilities: Vec<PropertySet>, rng: &mut Rng) -> Self {
        Self {
            id,
            instance,
            capabilities,
            slots: 1 + rng.below(3) as u32,
            slots_said: 0,
            hold_when_full: rng.chance(500),
            score: rng.below(3) as u32,
            status: BotStatus::Ok,
            session: None,
            leases: BTreeMap::new(),
            call: None,
            asleep_until: Timestamp(0),
            confused: false,
            past: Vec::new(),
        }
    }

    /// The next call: a hello, or a report. With the results of what it says is done.
    pub(crate) fn call(&mut self, now: Timestamp, calm: bool, rng: &mut Rng) -> (Event, Vec<(LeaseId, Bytes)>) {
        let poll = PollId(rng.next());
        self.slots_said = self.slots_said.max(self.slots);
        let hold_s = 1 + rng.below(70);
        let hold_until = (calm || !rng.chance(100))
            .then(|| now.after(Duration::from_micros(hold_s * 1_000_000 + rng.below(999_999))));
        let Some(session) = self.session else {
            let session = SessionId(rng.id());
            self.session = Some(session);
            self.call = Some(Call { poll, session });
            let open = OpenSession {
                session,
                instance: self.instance.clone(),
                bot_id: self.id.clone(),
                identity: "them".into(),
                capabilities: self.capabilities.clone(),
                slots: self.slots,
                hold_when_full: self.hold_when_full,
                status: self.status,
                poll,
                hold_until,
                score: self.score,
            };
            return (Event::OpenSession(Box::new(open)), Vec::new());
        };
        self.call = Some(Call { poll, session });
        let mut leases = Vec::new();
        for (lease, doing) in &self.leases {
            let state = match *doing {
                Doing::Pending => ReportedState::Pending,
                Doing::Working | Doing::Stopping => ReportedState::Active,
                Doing::Done { code, cacheable } => ReportedState::Completed { code, cacheable },
                Doing::CommandFailed => ReportedState::CommandFailed,
                Doing::GaveUp => ReportedState::Cancelled,
            };
            leases.push(LeaseReport { lease: *lease, state });
        }
        if !calm {
            self.misreport(&mut leases, rng);
        }
        let results = leases
            .iter()
            .filter(|report| matches!(report.state, ReportedState::Completed { .. } | ReportedState::CommandFailed));
        let results = results.map(|report| (report.lease, format!("{} {}", self.id, report.lease).into())).collect();
        let update = UpdateSession {
            session,
            bot_id: if !calm && rng.chance(3) { "impostor".into() } else { self.id.clone() },
            identity: "them".into(),
            status: self.status,
            worker: Some(WorkerChange {
                capabilities: self.capabilities.clone(),
                slots: self.slots,
                hold_when_full: self.hold_when_full,
                score: self.score,
            }),
            leases,
            poll,
            hold_until,
        };
        (Event::UpdateSession(Box::new(update)), results)
    }

    /// Forgets one of its leases, says something of a past one, or makes one up.
    fn misreport(&mut self, leases: &mut Vec<LeaseReport>, rng: &mut Rng) {
        if rng.chance(20) && !leases.is_empty() {
            let index = rng.index(leases.len());
            self.confused |= matches!(leases[index].state, ReportedState::Pending | ReportedState::Active);
            leases.remove(index);
        }
        // A straggler of an older attempt of what it has now, in the same breath.
        if rng.chance(300)
            && let Some(lease) = self.leases.keys().find(|lease| lease.attempt > 1)
        {
            let older = LeaseId { attempt: lease.attempt - 1, ..*lease };
            leases
                .insert(0, LeaseReport { lease: older, state: ReportedState::Completed { code: 0, cacheable: true } });
        }
        if rng.chance(60)
            && let Some(lease) = rng.pick(&self.past).copied()
        {
            let past = if rng.chance(300) { LeaseId { attempt: lease.attempt + 1, ..lease } } else { lease };
            let state = match rng.below(4) {
                0 => ReportedState::Active,
                1 => ReportedState::Cancelled,
                2 => ReportedState::Completed { code: 13, cacheable: false },
                _ => ReportedState::Completed { code: 0, cacheable: true },
            };
            // Never of one that it has: that would be its true report.
            if !self.leases.contains_key(&past) {
                leases.push(LeaseReport { lease: past, state });
            }
        }
    }

    /// The call was answered. Comes back with the leases that are new to it.
    pub(crate) fn answered(&mut self, answer: &Answer, rng: &mut Rng) -> Checked<Vec<LeaseId>> {
        self.call = None;
        let slots = self.slots_said;
        let listed = |lease: &LeaseId| answer.leases.contains(lease);
        self.leases.retain(|lease, doing| {
            let keep = listed(lease);
            if !keep && matches!(doing, Doing::Working) && !rng.chance(300) {
                *doing = Doing::Stopping;
                return true;
            }
            keep || *doing == Doing::Stopping
        });
        let new: Vec<_> = answer.leases.iter().filter(|lease| !self.leases.contains_key(lease)).copied().collect();
        for lease in &new {
            self.leases.insert(*lease, Doing::Pending);
            self.past.push(*lease);
        }
        if self.past.len() > 20 {
            self.past.remove(0);
        }
        let held = self.leases.len();
        rule!(
            new.is_empty() || self.confused || held <= slots as usize,
            "{} has {} slots and was given {new:?} on top: {:?}",
            self.id,
            slots,
            self.leases
        );
        Ok(new)
    }

    /// The session is not known any more: what it was doing is abandoned.
    pub(crate) fn rejected(&mut self) {
        (self.session, self.call, self.confused, self.slots_said) = (None, None, false, 0);
        self.leases.clear();
    }

    /// The process of the bot dies and starts again.
    pub(crate) fn restart(&mut self) {
        self.rejected();
        self.past.clear();
        self.status = BotStatus::Ok;
    }

    /// Goes on with one of its leases. Comes back with an action that succeeded.
    pub(crate) fn work(&mut self, calm: bool, rng: &mut Rng) -> Option<LeaseId> {
        if self.leases.is_empty() {
            return None;
        }
        let index = rng.index(self.leases.len());
        let (lease, doing) = self.leases.iter_mut().nth(index).expect("the index is within");
        let finished = if calm { Doing::Done { code: 0, cacheable: true } } else { finish(rng) };
        match *doing {
            Doing::Pending => *doing = if rng.chance(800) { Doing::Working } else { finished },
            Doing::Working => *doing = finished,
            Doing::Done { .. } | Doing::CommandFailed | Doing::GaveUp => {}
            Doing::Stopping => {
                let lease = *lease;
                self.leases.remove(&lease);
                return None;
            }
        }
        (*doing == Doing::Done { code: 0, cacheable: true }).then_some(*lease)
    }

    /// What it can do changes.
    pub(crate) fn change(&mut self, capabilities: Vec<PropertySet>, rng: &mut Rng) {
        match rng.below(4) {
            0 => self.capabilities = capabilities,
            1 => self.slots = 1 + rng.below(3) as u32,
            2 => self.hold_when_full = !self.hold_when_full,
            _ => {
                self.status = match rng.below(4) {
                    0 => BotStatus::Unhealthy,
                    1 => BotStatus::Terminating,
                    _ => BotStatus::Ok,
                }
            }
        }
    }
}

fn finish(rng: &mut Rng) -> Doing {
    match rng.below(20) {
        0 => Doing::GaveUp,
        1 => Doing::Done { code: 13, cacheable: false },
        2 => Doing::Done { code: 14, cacheable: false },
        3 => Doing::Done { code: 3, cacheable: false },
        4 => Doing::Done { code: 0, cacheable: false },
        5 => Doing::CommandFailed,
        _ => Doing::Done { code: 0, cacheable: true },
    }
}

/// Where the simulated clients' actions come from.
pub(crate) fn action(number: u8) -> Digest {
    Digest { hash: [number; 32], size_bytes: 42 }
}
