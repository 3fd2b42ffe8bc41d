//! Why a job waits, in terms that an operator can act on.

use super::{Book, job::JobState};
use crate::{BotStatus, JobId, PropertySet};

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
    /// Every bot that fits is drained, unhealthy or going away.
    BotsTakeNoWork {
        /// How many are drained by an operator.
        drained: usize,
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
        if job.state != JobState::Queued {
            return None;
        }
        let (needed, _) = self.queue.requirements(job.line);
        let (class, _) = self.queue.line(job.line);
        let instance = self.instance_of(index);
        let of_instance =
            || self.sessions.iter().map(|(_, s)| s).filter(|s| self.queue.instance_of(s.class) == instance);
        let fitting: Vec<_> = of_instance().filter(|s| self.queue.serves(s.class, class)).collect();
        let drained = |s: &&&super::session::Session| self.is_drained(s);
        let unwell = |s: &&&super::session::Session| s.status != BotStatus::Ok;
        let why = if of_instance().next().is_none() {
            Why::NoBots
        } else if fitting.is_empty() {
            let offered = |wanted: &crate::Property| {
                of_instance().any(|s| {
                    self.queue.offered(s.class).iter().any(|set| set.iter().any(|property| property == wanted))
                })
            };
            Why::NoBotOffers { missing: needed.iter().filter(|p| !offered(p)).cloned().collect() }
        } else if fitting.iter().all(|s| drained(&s) || unwell(&s)) {
            let drained = fitting.iter().filter(drained).count();
            Why::BotsTakeNoWork { drained, unwell: fitting.len() - drained }
        } else if fitting.iter().all(|s| s.free() == 0 || drained(&s) || unwell(&s)) {
            Why::BotsBusy
        } else {
            Why::BotsNotAsking
        };
        let (ahead, queued_alike) = self.queue.ahead(self.spot(index));
        Some(Waiting { why, ahead, queued_alike, bots_that_fit: fitting.len() })
    }
}
