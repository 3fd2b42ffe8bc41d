//! Bots' sessions: hello, report, question, end.

use std::{num::NonZeroU64, sync::Arc};

use smallvec::SmallVec;

use super::{Book, Timer};
use crate::{
    Answer, BotStatus, Effect, Fact, InstanceName, LeaseId, OpenSession, PollId, Rejection, SLOTS_MAX, SessionChanged,
    SessionEnd, SessionId, SessionOpened, Step, Timestamp, UpdateSession,
    execution::job::Told,
    mutant::{Mutant, broken},
    queue::{CapabilityIx, JobIx, SessionIx},
};

/// `google.rpc.Code.UNAVAILABLE`: what a lease ends with when its bot is gone.
pub(super) const UNAVAILABLE: i32 = 14;

/// One life of a bot. Three cache lines: ten thousand bots report in turn, and none is near when its turn comes. The
/// instance is that of the class.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Session {
    pub(super) id: SessionId,
    /// The bot's own id, then its identity: both are compared with each update.
    names: Box<str>,
    bot_id_bytes: u32,
    pub(super) class: CapabilityIx,
    pub(super) slots: u32,
    pub(super) hold_when_full: bool,
    pub(super) status: BotStatus,
    pub(super) opened_at: Timestamp,
    /// Jobs whose live lease it has. Changes with their facts.
    pub(super) jobs: SmallVec<[JobIx; 4]>,
    /// Leases that the bot may still be working on though they are no longer its own: each keeps a slot busy
    /// until the bot stops listing it. Not durable: the bot's next update tells them anew.
    pub(super) ghosts: Vec<LeaseId>,
    /// The call that is held now. Not durable.
    pub(super) poll: Option<Poll>,
    /// The newest call that was answered: it may still turn out that the bot did not hear. Not durable.
    pub(super) answered: Option<PollId>,
    /// Its place among the bots that ask for work. Not durable.
    pub(super) ticket: Option<NonZeroU64>,
    /// When it was last heard of. Not durable: a restart gives every session a full timeout.
    pub(super) contact: Timestamp,
    /// When it is looked at: may be earlier than anything of it is due, its leases included, never later.
    pub(super) timer: Option<Timestamp>,
    /// Grows whenever the bot's leases change by our doing. Not durable.
    pub(super) version: u64,
}

const _: () = assert!(size_of::<Session>() == 192, "a session is three cache lines");

/// A call that is held.
#[derive(Clone, Copy, Debug)]
pub(super) struct Poll {
    pub(super) id: PollId,
    pub(super) hold_until: Timestamp,
    /// Whether it is answered at the end of this batch.
    pub(super) due: bool,
}

impl Session {
    pub(super) fn new(opened: &SessionOpened, class: CapabilityIx) -> Self {
        Self {
            id: opened.session,
            names: [&*opened.bot_id, &*opened.identity].concat().into(),
            bot_id_bytes: u32::try_from(opened.bot_id.len()).expect("a bot's id came in a message of a few MiB"),
            class,
            slots: opened.slots,
            hold_when_full: opened.hold_when_full,
            status: opened.status,
            opened_at: opened.at,
            jobs: SmallVec::new(),
            ghosts: Vec::new(),
            poll: None,
            answered: None,
            ticket: None,
            contact: opened.at,
            timer: None,
            version: 0,
        }
    }

    /// The bot's own id.
    pub(super) fn bot_id(&self) -> &str {
        &self.names[..self.bot_id_bytes as usize]
    }

    /// Who the bot authenticated as.
    pub(super) fn identity(&self) -> &str {
        &self.names[self.bot_id_bytes as usize..]
    }

    /// Both names: for those who want them near soon.
    pub(super) fn names(&self) -> &str {
        &self.names
    }

    /// Slots that something is in.
    pub(super) fn busy(&self) -> u32 {
        u32::try_from(self.jobs.len() + self.ghosts.len()).unwrap_or(u32::MAX)
    }

    /// Slots that the bot could fill now.
    pub(super) fn free(&self) -> u32 {
        (self.slots + u32::from(broken(Mutant::OneSlotMore))).saturating_sub(self.busy())
    }
}

impl Book {
    /// The instance and the bot's own id: what names a bot from one session to the next.
    pub(super) fn bot_of(&self, session: &Session) -> (InstanceName, Arc<str>) {
        (self.queue.instance_of(session.class).clone(), session.bot_id().into())
    }

    pub(super) fn is_drained(&self, session: &Session) -> bool {
        !self.drains.is_empty() && self.drains.contains(&self.bot_of(session))
    }

    pub(super) fn open_session(&mut self, now: Timestamp, open: OpenSession, step: &mut Step) -> Result<(), Rejection> {
        if !(1..=SLOTS_MAX).contains(&open.slots) {
            return Err(Rejection::Slots(open.slots));
        }
        if self.session_ix(open.session).is_some() {
            return Err(Rejection::IdTaken(open.session.0));
        }
        if let Some(old) = self.bots.get(&(open.instance.clone(), open.bot_id.clone())) {
            self.close_session(now, *old, SessionEnd::Replaced, step);
        }
        self.emit(
            Fact::SessionOpened(Box::new(SessionOpened {
                session: open.session,
                instance: open.instance,
                bot_id: open.bot_id,
                identity: open.identity,
                capabilities: canonical(open.capabilities),
                slots: open.slots,
                hold_when_full: open.hold_when_full,
                status: open.status,
                score: open.score,
                at: now,
            })),
            step,
        );
        let index = self.session_ix(open.session).expect("it was just opened");
        let (bot, offer) = (self.bot_of(self.session(index)), self.session(index).class);
        self.records.begin(index, &bot);
        self.note_offer(offer);
        self.hold(now, index, open.poll, open.hold_until);
        // A session that was just opened is news in itself, but a bot need not hear it before there is work.
        self.fill(now, index, step);
        Ok(())
    }

    pub(super) fn update_session(
        &mut self,
        now: Timestamp,
        update: UpdateSession,
        step: &mut Step,
    ) -> Result<(), Rejection> {
        let index = self.session_ix(update.session).ok_or(Rejection::UnknownSession(update.session))?;
        self.expect_soon(index);
        let session = self.session(index);
        let other = *session.bot_id() != *update.bot_id || *session.identity() != *update.identity;
        if other && !broken(Mutant::OtherBotUpdates) {
            return Err(Rejection::OtherBot { session: update.session });
        }
        if let Some(worker) = &update.worker
            && !(1..=SLOTS_MAX).contains(&worker.slots)
        {
            return Err(Rejection::Slots(worker.slots));
        }
        self.supersede(now, index, step);
        self.note_worker(index, &update, step);
        self.session_mut(index).ghosts.clear();
        for report in &update.leases {
            self.report(now, index, *report, step);
        }
        if self.retire(now, index, &update, step) {
            return Ok(());
        }
        let agreed = broken(Mutant::MissingNotResent) || self.agrees(index, &update);
        self.hold(now, index, update.poll, update.hold_until);
        if !step.facts.is_empty() || !agreed {
            self.answer_soon(index);
        }
        self.fill(now, index, step);
        Ok(())
    }

    /// The call ended unanswered. Its bot was in contact until now; what this batch offered it, it will not hear.
    pub(super) fn poll_ended(&mut self, now: Timestamp, session: SessionId, poll: PollId, step: &mut Step) {
        if let Some(index) = self.session_ix(session)
            && self.session(index).poll.is_some_and(|held| held.id == poll)
        {
            if !broken(Mutant::EndedCallAsks) {
                self.stop_asking(index);
            }
            self.session_mut(index).poll = None;
            self.session_mut(index).contact = now;
            self.arm(index);
            if !broken(Mutant::UnheardKept) {
                self.take_back(now, index, Told::No, step);
            }
        }
    }

    /// Ends a session: its leases are lost attempts, but for those that its bot never heard of.
    pub(super) fn close_session(&mut self, now: Timestamp, index: SessionIx, reason: SessionEnd, step: &mut Step) {
        self.stop_asking(index);
        self.take_back(now, index, Told::No, step);
        for job in self.session(index).jobs.clone() {
            self.note_attempt(index, true);
            self.lose_bot(now, job, step);
        }
        self.end_session(now, index, reason, step);
    }

    /// The same where its leases are over already: its call is answered, and nothing is known of it any more.
    pub(super) fn end_session(&mut self, now: Timestamp, index: SessionIx, reason: SessionEnd, step: &mut Step) {
        let session = self.session_mut(index);
        let (id, poll) = (session.id, session.poll.take());
        self.records.end(index, self.bot_of(self.session(index)));
        if let Some(poll) = poll {
            let version = self.changed();
            step.effects.push(Effect::Answer(Answer {
                session: id,
                poll: poll.id,
                leases: Vec::new(),
                expires: now,
                version,
            }));
        }
        self.emit(Fact::SessionClosed { session: id, at: now, reason }, step);
    }

    fn note_worker(&mut self, index: SessionIx, update: &UpdateSession, step: &mut Step) {
        let session = self.session(index);
        if update.worker.is_none() && session.status == update.status {
            return;
        }
        let offered = self.queue.offered(session.class);
        let old = self.score_of(index);
        let (capabilities, slots, hold_when_full, score) = match &update.worker {
            Some(worker) => (canonical(worker.capabilities.clone()), worker.slots, worker.hold_when_full, worker.score),
            None => (offered.to_vec(), session.slots, session.hold_when_full, old),
        };
        let same = offered == capabilities.as_slice()
            && session.slots == slots
            && session.hold_when_full == hold_when_full
            && old == score
            && session.status == update.status;
        if !same {
            let (session, status) = (session.id, update.status);
            let changed = SessionChanged { session, capabilities, slots, hold_when_full, status, score };
            self.emit(Fact::SessionChanged(Box::new(changed)), step);
            self.note_offer(self.session(index).class);
        }
    }

    /// A bot that terminates and lists nothing is let go: what it never heard of is offered elsewhere.
    fn retire(&mut self, now: Timestamp, index: SessionIx, update: &UpdateSession, step: &mut Step) -> bool {
        let session = self.session(index);
        if session.status != BotStatus::Terminating || !session.ghosts.is_empty() {
            return false;
        }
        let listed = |lease: LeaseId| update.leases.iter().any(|report| report.lease == lease);
        let mut unheard = Vec::new();
        for job in &session.jobs {
            let job_state = self.job(*job);
            let id = LeaseId { job: job_state.id, attempt: job_state.offers };
            if self.jobs.details(*job).started_at.is_some() || listed(id) {
                return false;
            }
            unheard.push(*job);
        }
        for job in unheard {
            self.withdraw(now, job, step);
        }
        self.session_mut(index).poll = Some(Poll { id: update.poll, hold_until: now, due: true });
        self.close_session(now, index, SessionEnd::Terminated, step);
        true
    }

    /// Whether the bot's list and ours are the same.
    fn agrees(&self, index: SessionIx, update: &UpdateSession) -> bool {
        let session = self.session(index);
        if update.leases.len() != session.jobs.len() {
            return false;
        }
        let mut ours: SmallVec<[LeaseId; 4]> = session.jobs.iter().map(|job| self.job(*job).lease()).collect();
        // Sorted, so that naming one of them twice does not make up for another.
        let mut theirs: SmallVec<[LeaseId; 4]> = update.leases.iter().map(|report| report.lease).collect();
        ours.sort_unstable();
        theirs.sort_unstable();
        ours == theirs
    }

    fn hold(&mut self, now: Timestamp, index: SessionIx, id: PollId, hold_until: Option<Timestamp>) {
        let session = self.session_mut(index);
        let hold_until = hold_until.unwrap_or(now);
        session.poll = Some(Poll { id, hold_until, due: false });
        session.contact = now;
        self.arm(index);
    }

    /// Sets the time to look at the session, unless it is looked at early enough already: contacts are many, and the
    /// timeout of each but the last is overtaken.
    pub(super) fn arm(&mut self, index: SessionIx) {
        let session = self.session(index);
        let own = match session.poll {
            // It is answered at the end of the batch, and that is a contact.
            Some(poll) if poll.due => None,
            Some(poll) => Some(poll.hold_until),
            None => Some(session.contact.after(self.settings.session_timeout)),
        };
        // A time that is set is not later than the deadlines of the leases.
        let of_leases = match session.timer {
            Some(_) => None,
            None => session.jobs.iter().filter_map(|job| self.deadline_of(*job)).min(),
        };
        if let Some(at) = [own, of_leases].into_iter().flatten().min() {
            self.look_at_session(index, at);
        }
    }

    /// The session is looked at by then.
    pub(super) fn look_at_session(&mut self, index: SessionIx, at: Timestamp) {
        let session = &mut self.sessions[index.0 as usize];
        if session.timer.is_none_or(|set| at < set) {
            if let Some(old) = session.timer.replace(at) {
                self.timers.remove(&(old, Timer::Session(index)));
            }
            self.timers.insert((at, Timer::Session(index)));
        }
    }
}

fn canonical(mut capabilities: Vec<crate::PropertySet>) -> Vec<crate::PropertySet> {
    capabilities.sort();
    capabilities.dedup();
    capabilities
}
