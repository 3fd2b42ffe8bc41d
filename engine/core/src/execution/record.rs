//! How a bot fared lately: its last 16 attempts. Not durable, and bounded: only what a policy is told of a bot.

use std::{collections::VecDeque, sync::Arc};

use rustc_hash::FxHashMap;

use crate::{InstanceName, queue::SessionIx};

/// Records of bots without a session that are kept.
const KEPT_MAX: usize = 1_024;

/// The last attempts of a bot, the newest in the lowest bit: set if it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    failed: u16,
    attempts: u8,
}

impl Record {
    pub(super) fn note(&mut self, failed: bool) {
        self.failed = self.failed << 1 | u16::from(failed);
        self.attempts = (self.attempts + 1).min(16);
    }

    pub(super) fn failures(self) -> u32 {
        self.failed.count_ones()
    }

    pub(super) fn attempts(self) -> u32 {
        u32::from(self.attempts)
    }
}

/// Records of bots, and of those that are away: a bot that dies with each attempt must not begin anew each time.
#[derive(Debug, Default)]
pub(super) struct Records {
    open: FxHashMap<SessionIx, Record>,
    kept: FxHashMap<(InstanceName, Arc<str>), Record>,
    oldest: VecDeque<(InstanceName, Arc<str>)>,
}

impl Records {
    /// The bot is here, perhaps again.
    pub(super) fn begin(&mut self, session: SessionIx, bot: &(InstanceName, Arc<str>)) {
        if let Some(record) = self.kept.remove(bot) {
            self.open.insert(session, record);
        }
    }

    pub(super) fn note(&mut self, session: SessionIx, failed: bool) {
        self.open.entry(session).or_default().note(failed);
    }

    pub(super) fn of(&self, session: SessionIx) -> Record {
        self.open.get(&session).copied().unwrap_or_default()
    }

    /// The bot's session is over.
    pub(super) fn end(&mut self, session: SessionIx, bot: (InstanceName, Arc<str>)) {
        let Some(record) = self.open.remove(&session) else { return };
        if self.kept.insert(bot.clone(), record).is_none() {
            self.oldest.push_back(bot);
        }
        // Bots that came back are still in the line: they are skipped when their turn comes.
        while self.kept.len() > KEPT_MAX || self.oldest.len() > 4 * KEPT_MAX {
            let Some(oldest) = self.oldest.pop_front() else { return };
            self.kept.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_forgets_what_is_more_than_16_attempts_ago() {
        let mut record = Record::default();
        record.note(true);
        assert_eq!((record.failures(), record.attempts()), (1, 1));
        (0..15).for_each(|_| record.note(false));
        assert_eq!((record.failures(), record.attempts()), (1, 16));
        record.note(false);
        assert_eq!((record.failures(), record.attempts()), (0, 16));
    }

    #[test]
    fn records_of_bots_that_are_away_are_bounded() {
        let mut records = Records::default();
        let bot = |number: usize| (InstanceName::from("main"), Arc::from(format!("bot-{number}")));
        let session = SessionIx(7);
        for number in 0..2 * KEPT_MAX {
            records.note(session, true);
            records.end(session, bot(number));
        }
        records.begin(session, &bot(0));
        assert_eq!(records.of(session), Record::default());
        records.begin(session, &bot(2 * KEPT_MAX - 1));
        assert_eq!(records.of(session).failures(), 1);
    }
}
