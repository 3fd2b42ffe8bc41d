//! Operators drain bots: by the bot's own id, so that a drain outlasts sessions and restarts.

use std::sync::Arc;

use super::Book;
use crate::{Fact, InstanceName, Step, Timestamp};

impl Book {
    pub(super) fn drain(
        &mut self,
        now: Timestamp,
        instance: InstanceName,
        bot_id: Arc<str>,
        on: bool,
        step: &mut Step,
    ) {
        let key = (instance, bot_id);
        if self.drains.contains(&key) == on {
            return;
        }
        let session = self.bots.get(&key).copied();
        let (instance, bot_id) = key;
        self.emit(Fact::DrainSet { instance, bot_id, on }, step);
        if let Some(index) = session {
            if on {
                self.stop_asking(index);
            } else {
                self.fill(now, index, step);
            }
        }
    }
}
