//! Why a job waits, in terms that an operator can act on.

use std::sync::Arc;

use super::{Book, job::JobState, session::Session};
use crate::{
    BotStatus, JobId, LimitState, PropertySet, Timestamp,
    queue::{JobIx, SessionIx},
};

/// What stands between a job and a bot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The main reason.
    pub why: Why,
    /// Jobs with the same requirements that stand before it in its lane.
    pub ahead: usize,
    /// Jobs with the same requirements that wait in all.
    pub queued_alike: usize,
    /// Open sessions that may take it.
    pub bots_that_fit: usize,
}

/// The main reason why a job waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// No bot of the instance has an open session.
    NoBots,
    /// No bot offers what is needed; these properties are offered by none of them, or by none together with
    /// the rest if empty.
    NoBotOffers {
        /// What no bot has.
        missing: PropertySet,
    },
    /// An operator paused the jobs of its instance, or those with its label.
    Paused {
        /// Whether it is the whole instance.
        instance: bool,
    },
    /// An attempt failed, and a policy is asked what becomes of the job.
    PolicyAsked,
    /// An attempt failed, and there is another, but not before this time.
    Delayed {
        /// Until when.
        until: Timestamp,
    },
    /// A counter that it belongs to is full: as many jobs run as a policy allows.
    LimitReached {
        /// How its counters stand, the full ones first.
        limits: Vec<LimitState>,
    },
    /// Only bots ask that never served one of its keys. It waits for one that did.
    NearBots {
        /// Until when; then it goes to any.
        until: Timestamp,
        /// Their ids.
        bots: Vec<Arc<str>>,
    },
    /// The bots that could take it now have failed it before; others that fit are busy or not asking.
    AvoidsBots {
        /// Their ids.
        bots: Vec<Arc<str>>,
    },
    /// Every bot that fits is drained, in quarantine, unhealthy or going away.
    BotsTakeNoWork {
        /// How many are drained by an operator.
        drained: usize,
        /// How many are in quarantine, and not drained.
        quarantined: usize,
        /// How many say that they are not well, or going away.
        unwell: usize,
    },
    /// Every bot that fits is busy.
    BotsBusy,
    /// A bot that fits has a free slot but is not asking just now.
    BotsNotAsking,
}

impl Book {
    /// Why the job waits; `None` if it is not known or does not wait. Walks sessions: not for the hot path.
    pub fn explain(&self, job: JobId) -> Option<Waiting> {
        let index = self.job_ix(job)?;
        let job = self.job(index);
        let why = match job.state {
            JobState::Queued => self.why_queued(index),
            JobState::Deciding { .. } => Why::PolicyAsked,
            JobState::Delayed { until } => Why::Delayed { until },
            JobState::Leased(_) | JobState::Completed { .. } => return None,
        };
        let (ahead, queued_alike) = self.queue.ahead(self.spot(index));
        let (class, _) = self.queue.line(job.line);
        let bots_that_fit = self.sessions.iter().filter(|(_, s)| self.queue.serves(s.class, class)).count();
        Some(Waiting { why, ahead, queued_alike, bots_that_fit })
    }

    fn why_queued(&self, index: JobIx) -> Why {
        let job = self.job(index);
        let (needed, _) = self.queue.requirements(job.line);
        let (class, _) = self.queue.line(job.line);
        let instance = self.instance_of(index);
        let of_instance = || self.sessions.iter().map(|(_, s)| s).filter(|s| self.queue.reaches(s.class, instance));
        let fitting: Vec<_> = of_instance().filter(|s| self.queue.serves(s.class, class)).collect();
        let drained = |s: &&&Session| self.is_drained(s);
        let quarantined = |s: &&&Session| !self.is_drained(s) && self.is_quarantined(s);
        let away = |s: &&Session| s.status != BotStatus::Ok || self.is_drained(s) || self.is_quarantined(s);
        let sessions = self.sessions.iter().map(|(at, s)| (SessionIx(at as u32), s));
        let avoided: Vec<_> = sessions.filter(|(at, s)| s.ticket.is_some() && self.avoids(index, *at)).collect();
        if self.queue.is_paused(job.line) {
            Why::Paused { instance: self.is_paused(instance, None) }
        } else if of_instance().next().is_none() {
            Why::NoBots
        } else if fitting.is_empty() {
            let offered = |wanted: &crate::Property| {
                of_instance().any(|s| {
                    self.queue.offered(s.class).iter().any(|set| set.iter().any(|property| property == wanted))
                })
            };
            // Where a policy says what fits, no single property is to blame.
            let judged = self.queue.edition(instance).is_some();
            Why::NoBotOffers { missing: needed.iter().filter(|p| !judged && !offered(p)).cloned().collect() }
        } else if fitting.iter().all(away) {
            let (drained, quarantined) =
                (fitting.iter().filter(drained).count(), fitting.iter().filter(quarantined).count());
            Why::BotsTakeNoWork { drained, quarantined, unwell: fitting.len() - drained - quarantined }
        } else if self.is_blocked(index) {
            Why::LimitReached { limits: self.queue.limit_states(self.queue.limits_of(job.line)) }
        } else if !avoided.is_empty() {
            Why::AvoidsBots { bots: avoided.iter().map(|(_, s)| s.bot_id().into()).collect() }
        } else if let Some((until, bots)) = self.waits_near(index) {
            Why::NearBots { until, bots }
        } else if fitting.iter().all(|s| s.free() == 0 || away(s)) {
            Why::BotsBusy
        } else {
            Why::BotsNotAsking
        }
    }
}
