//! Bots that a policy took out of service for a time: by the bot's own id, as a drain, but it ends by itself. An
//! operator may end it sooner.

use std::{sync::Arc, time::Duration};

use super::{Book, TICK_MAX, session::Session};
use crate::{
    Fact, InstanceName, Step, Timestamp,
    mutant::{Mutant, broken},
    queue::{JobIx, SessionIx},
};

/// The longest quarantine: what is forgotten by everybody must not stay for ever.
const QUARANTINE_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

impl Book {
    /// The bot gets no work for a time. Of two quarantines the longer one holds.
    pub(super) fn quarantine(
        &mut self,
        now: Timestamp,
        instance: InstanceName,
        bot_id: Arc<str>,
        time: Duration,
        step: &mut Step,
    ) {
        let until = now.after(time.min(QUARANTINE_MAX));
        let key = (instance, bot_id);
        if self.quarantines.get(&key).is_some_and(|set| *set >= until) {
            return;
        }
        let session = self.bots.get(&key).copied();
        let (instance, bot_id) = key;
        self.emit(Fact::QuarantineSet { instance, bot_id, until: Some(until) }, step);
        if let Some(index) = session
            && !broken(Mutant::QuarantineIgnored)
        {
            self.stop_asking(index);
        }
    }

    /// The instance of a bot that a job was with: the job's own, or another of those whose bots serve it.
    pub(super) fn instance_of_bot(&self, index: JobIx, bot_id: &Arc<str>) -> InstanceName {
        let own = self.instance_of(index);
        let serving = self.settings.pools.serving(own).into_iter();
        let mut there = serving.filter(|instance| self.bots.contains_key(&(instance.clone(), bot_id.clone())));
        there.next().unwrap_or_else(|| own.clone())
    }

    /// The quarantine is over, by its time or by an operator.
    pub(super) fn release(&mut self, now: Timestamp, instance: InstanceName, bot_id: Arc<str>, step: &mut Step) {
        let key = (instance, bot_id);
        if !self.quarantines.contains_key(&key) {
            return;
        }
        let session = self.bots.get(&key).copied();
        let (instance, bot_id) = key;
        self.emit(Fact::QuarantineSet { instance, bot_id, until: None }, step);
        if let Some(index) = session {
            self.fill(now, index, step);
        }
    }

    /// Ends what is past its time.
    pub(super) fn end_quarantines(&mut self, now: Timestamp, step: &mut Step) {
        for _ in 0..TICK_MAX {
            match self.quarantine_ends.first() {
                Some((at, (instance, bot_id))) if *at <= now => {
                    let (instance, bot_id) = (instance.clone(), bot_id.clone());
                    self.release(now, instance, bot_id, step);
                }
                _ => return,
            }
        }
    }

    /// The only place where quarantines change.
    pub(super) fn apply_quarantine(&mut self, key: (InstanceName, Arc<str>), until: Option<Timestamp>) {
        if let Some(old) = self.quarantines.remove(&key) {
            self.quarantine_ends.remove(&(old, key.clone()));
        }
        if let Some(until) = until {
            if !broken(Mutant::QuarantineEndless) {
                self.quarantine_ends.insert((until, key.clone()));
            }
            self.quarantines.insert(key, until);
            self.fewer_bots = true;
        }
    }

    pub(super) fn is_quarantined(&self, session: &Session) -> bool {
        self.quarantined_until(session).is_some() && !broken(Mutant::QuarantineIgnored)
    }

    pub(super) fn quarantined_until(&self, session: &Session) -> Option<Timestamp> {
        if self.quarantines.is_empty() {
            return None;
        }
        self.quarantines.get(&self.bot_of(session)).copied()
    }

    /// Whether the bot may get new work: somebody must also be listening.
    pub(super) fn takes_work(&self, index: SessionIx) -> bool {
        self.session(index).poll.is_some() && self.is_willing(index)
    }
}
