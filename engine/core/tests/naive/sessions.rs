//! Hello, report, question, end; drains.

use super::*;
use berth_core::{
    AttemptReason, OpenSession, ReportedState, SLOTS_MAX, SessionChanged, SessionEnd, SessionOpened, UpdateSession,
};

const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;

impl Naive {
    pub(super) fn open(&mut self, now: Timestamp, open: &OpenSession) -> Result<(), Rejection> {
        if open.slots == 0 || open.slots > SLOTS_MAX {
            return Err(Rejection::Slots(open.slots));
        }
        if self.session(open.session).is_some() {
            return Err(Rejection::IdTaken(open.session.0));
        }
        let same = |session: &&Session| session.instance == open.instance && session.bot_id == open.bot_id;
        if let Some(old) = self.sessions.iter().find(same).map(|session| session.id) {
            self.close(now, old, SessionEnd::Replaced);
        }
        let capabilities = canonical(&open.capabilities);
        self.sessions.push(Session {
            id: open.session,
            instance: open.instance.clone(),
            bot_id: open.bot_id.clone(),
            identity: open.identity.clone(),
            capabilities: capabilities.clone(),
            slots: open.slots,
            hold_when_full: open.hold_when_full,
            status: open.status,
            score: open.score,
            keys: Vec::new(),
            opened_at: now,
            leases: Vec::new(),
            ghosts: Vec::new(),
            poll: None,
            ticket: None,
            contact: now,
        });
        self.facts.push(Fact::SessionOpened(Box::new(SessionOpened {
            session: open.session,
            instance: open.instance.clone(),
            bot_id: open.bot_id.clone(),
            identity: open.identity.clone(),
            capabilities,
            slots: open.slots,
            hold_when_full: open.hold_when_full,
            status: open.status,
            score: open.score,
            at: now,
        })));
        self.hold(now, open.session, open.poll, open.hold_until);
        self.fill(now, open.session);
        Ok(())
    }

    pub(super) fn update(&mut self, now: Timestamp, update: &UpdateSession) -> Result<(), Rejection> {
        let id = update.session;
        let session = self.session(id).ok_or(Rejection::UnknownSession(id))?;
        if session.bot_id != update.bot_id || session.identity != update.identity {
            return Err(Rejection::OtherBot { session: id });
        }
        if let Some(worker) = &update.worker
            && (worker.slots == 0 || worker.slots > SLOTS_MAX)
        {
            return Err(Rejection::Slots(worker.slots));
        }
        let facts_before = self.facts.len();
        self.supersede(now, id);
        self.note_worker(id, update);
        self.session_mut(id).ghosts.clear();
        for report in &update.leases {
            self.report(now, id, report.lease, report.state);
        }
        if self.retire(now, id, update) {
            return Ok(());
        }
        let mut ours: Vec<LeaseId> = self.leases_of(id, |_| true);
        let mut theirs: Vec<LeaseId> = update.leases.iter().map(|report| report.lease).collect();
        ours.sort();
        theirs.sort();
        let agreed = ours == theirs;
        self.hold(now, id, update.poll, update.hold_until);
        if self.facts.len() > facts_before || !agreed {
            self.answer_soon(id);
        }
        self.fill(now, id);
        Ok(())
    }

    /// The older call hears only what its bot may have heard before.
    fn supersede(&mut self, now: Timestamp, id: SessionId) {
        let session = self.session_mut(id);
        session.ticket = None;
        let Some(poll) = session.poll.take() else { return };
        let leases = self.leases_of(id, |told| told != Told::Nothing);
        let expires = now.after(self.settings.session_timeout);
        self.answers.push(Answer { session: id, poll: poll.id, leases, expires, version: 0 });
    }

    fn note_worker(&mut self, id: SessionId, update: &UpdateSession) {
        let session = self.session_mut(id);
        let state = |s: &Session| (s.capabilities.clone(), s.slots, s.hold_when_full, s.status, s.score);
        let before = state(session);
        session.status = update.status;
        if let Some(worker) = &update.worker {
            session.capabilities = canonical(&worker.capabilities);
            session.slots = worker.slots;
            session.hold_when_full = worker.hold_when_full;
            session.score = worker.score;
        }
        let after = state(session);
        if before != after {
            let (capabilities, slots, hold_when_full, status, score) = after;
            self.facts.push(Fact::SessionChanged(Box::new(SessionChanged {
                session: id,
                capabilities,
                slots,
                hold_when_full,
                status,
                score,
            })));
        }
    }

    fn report(&mut self, now: Timestamp, from: SessionId, lease: LeaseId, state: ReportedState) {
        let live = self.jobs.iter_mut().find(|job| job.lease() == lease).and_then(|job| match &mut job.state {
            State::Leased { session, started_at, told, .. } if *session == from => Some((started_at, told)),
            _ => None,
        });
        let Some((started_at, told)) = live else {
            if matches!(state, ReportedState::Pending | ReportedState::Active) {
                self.session_mut(from).ghosts.push(lease);
            }
            return;
        };
        *told = Told::MayKnow;
        match state {
            ReportedState::Pending => {}
            ReportedState::Active if started_at.is_some() => {}
            ReportedState::Active => {
                *started_at = Some(now);
                self.facts.push(Fact::LeaseStarted { lease, session: from, at: now });
            }
            ReportedState::Completed { code, cacheable } => {
                self.note_attempt(from, code != 0);
                if code != 0 && self.ask_after(now, lease.job, AttemptReason::Reported, code) {
                    return;
                }
                if matches!(code, INTERNAL | UNAVAILABLE) {
                    return self.lose(now, lease.job, code);
                }
                let cacheable = cacheable && !self.job_mut(lease.job).do_not_cache;
                self.complete(now, lease.job, Outcome::Reported { code, cacheable });
            }
            ReportedState::CommandFailed => {
                self.note_attempt(from, self.settings.ask_command_failed);
                if !self.ask_after(now, lease.job, AttemptReason::CommandFailed, 0) {
                    self.complete(now, lease.job, Outcome::Reported { code: 0, cacheable: false });
                }
            }
            ReportedState::Cancelled => self.lose_bot(now, from, lease.job),
        }
    }

    pub(super) fn lose_bot(&mut self, now: Timestamp, session: SessionId, job: JobId) {
        self.note_attempt(session, true);
        if !self.ask_after(now, job, AttemptReason::BotLost, UNAVAILABLE) {
            self.lose(now, job, UNAVAILABLE);
        }
    }

    /// A bot that goes away and holds nothing is let go.
    fn retire(&mut self, now: Timestamp, id: SessionId, update: &UpdateSession) -> bool {
        let session = self.session(id).expect("it was found before");
        let holds = |job: &JobId| {
            let job = self.job(*job).expect("a session's lease is of a known job");
            let State::Leased { started_at, .. } = job.state else { panic!("a session's lease is live") };
            started_at.is_some() || update.leases.iter().any(|report| report.lease == job.lease())
        };
        if session.status != BotStatus::Terminating || !session.ghosts.is_empty() || session.leases.iter().any(holds) {
            return false;
        }
        for job in session.leases.clone() {
            self.withdraw(now, job);
        }
        self.session_mut(id).poll = Some(Poll { id: update.poll, hold_until: now, due: true });
        self.close(now, id, SessionEnd::Terminated);
        true
    }

    fn hold(&mut self, now: Timestamp, id: SessionId, poll: PollId, hold_until: Option<Timestamp>) {
        let session = self.session_mut(id);
        session.poll = Some(Poll { id: poll, hold_until: hold_until.unwrap_or(now), due: false });
        session.contact = now;
    }

    /// A bot asks: it gets as much as fits; the call is held only if there may be more to say.
    pub(super) fn fill(&mut self, now: Timestamp, id: SessionId) {
        while self.takes_work(id)
            && self.session_mut(id).free() > 0
            && let Some(job) = self.best(now, id)
        {
            self.offer(now, job, id);
        }
        let takes_work = self.takes_work(id);
        let session = self.session_mut(id);
        let Some(poll) = session.poll else { return };
        if poll.hold_until <= now || (session.free() == 0 && !session.hold_when_full) {
            self.answer_soon(id);
        } else if session.ticket.is_none() && session.free() > 0 && takes_work {
            self.ask(id);
        }
    }

    fn takes_work(&self, id: SessionId) -> bool {
        let session = self.session(id).expect("the model names sessions that it has");
        session.status == BotStatus::Ok && session.poll.is_some() && !self.is_out_of_service(session)
    }

    pub(super) fn ask(&mut self, id: SessionId) {
        self.tickets += 1;
        let ticket = self.tickets;
        self.session_mut(id).ticket = Some(ticket);
    }

    pub(super) fn answer_soon(&mut self, id: SessionId) {
        if let Some(poll) = &mut self.session_mut(id).poll
            && !poll.due
        {
            poll.due = true;
            self.due.push(id);
        }
    }

    pub(super) fn poll_ended(&mut self, now: Timestamp, id: SessionId, poll: PollId) {
        let held = self.session(id).and_then(|session| session.poll).is_some_and(|held| held.id == poll);
        if held {
            let session = self.session_mut(id);
            (session.poll, session.ticket, session.contact) = (None, None, now);
            self.take_back(now, id, Told::Nothing);
        }
    }

    /// Withdraws the leases of which the bot was told as much as this.
    pub(super) fn take_back(&mut self, now: Timestamp, id: SessionId, wanted: Told) {
        let Some(session) = self.session(id) else { return };
        let told = |job: &JobId| match self.job(*job).expect("a session's lease is of a known job").state {
            State::Leased { told, .. } => told == wanted,
            State::Queued | State::Deciding { .. } | State::Delayed { .. } | State::Completed { .. } => {
                panic!("a session's lease is live")
            }
        };
        for job in session.leases.iter().copied().filter(told).collect::<Vec<_>>() {
            self.withdraw(now, job);
        }
    }

    pub(super) fn close(&mut self, now: Timestamp, id: SessionId, reason: SessionEnd) {
        self.session_mut(id).ticket = None;
        self.take_back(now, id, Told::Nothing);
        for job in self.session_mut(id).leases.clone() {
            self.lose_bot(now, id, job);
        }
        self.end(now, id, reason);
    }

    pub(super) fn end(&mut self, now: Timestamp, id: SessionId, reason: SessionEnd) {
        if let Some(poll) = self.session_mut(id).poll.take() {
            self.answers.push(Answer { session: id, poll: poll.id, leases: Vec::new(), expires: now, version: 0 });
        }
        self.sessions.retain(|session| session.id != id);
        self.forget_pairs();
        self.facts.push(Fact::SessionClosed { session: id, at: now, reason });
    }

    pub(super) fn drain(&mut self, now: Timestamp, instance: &InstanceName, bot_id: &Arc<str>, on: bool) {
        let key = (instance.clone(), bot_id.clone());
        if self.drains.contains(&key) == on {
            return;
        }
        if on {
            self.drains.push(key);
        } else {
            self.drains.retain(|drained| *drained != key);
        }
        self.facts.push(Fact::DrainSet { instance: instance.clone(), bot_id: bot_id.clone(), on });
        let same = |session: &&Session| session.instance == *instance && session.bot_id == *bot_id;
        if let Some(id) = self.sessions.iter().find(same).map(|session| session.id) {
            if on {
                self.session_mut(id).ticket = None;
            } else {
                self.fill(now, id);
            }
        }
    }

    pub(super) fn leases_of(&self, id: SessionId, wanted: impl Fn(Told) -> bool) -> Vec<LeaseId> {
        let session = self.session(id).expect("the model names sessions that it has");
        let jobs = session.leases.iter().map(|job| self.job(*job).expect("a session's lease is of a known job"));
        jobs.filter(|job| matches!(job.state, State::Leased { told, .. } if wanted(told))).map(Job::lease).collect()
    }
}

fn canonical(capabilities: &[PropertySet]) -> Vec<PropertySet> {
    let mut sets = capabilities.to_vec();
    sets.sort();
    sets.dedup();
    sets
}
