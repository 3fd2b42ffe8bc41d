//! Looking ahead: while one event of a batch is handled, what the next ones will read is asked for.
//!
//! Ten thousand bots report in turn, so that whatever a report needs is in no cache by then. The way to it has a few
//! steps, each of which must have come before the next can be asked for: an event is looked at three times, each time
//! one step further. Changes nothing but time.

use super::{Book, flight::action_hash};
use crate::{Event, JobId, SessionId, Submit, index::hash_of_id, prefetch::prefetch, queue::SessionIx};

impl Book {
    /// These events are handled after the one that is handled next, in this order. To be called before each event of a
    /// batch; only the first few are looked at.
    pub fn look_ahead<'a>(&self, events: impl IntoIterator<Item = &'a Event>) {
        for (before, event) in events.into_iter().take(3).enumerate() {
            match event {
                Event::UpdateSession(update) => match before {
                    0 => self.expect_update(update.session),
                    1 => self.expect_session(update.session),
                    _ => self.session_index.expect(hash_of_id(update.session.0)),
                },
                Event::Submit(submit) if before == 0 => self.expect_submit(submit),
                Event::Submit(_)
                | Event::SubmitCached(_)
                | Event::Cancel { .. }
                | Event::Delete { .. }
                | Event::OpenSession(_)
                | Event::PollEnded { .. }
                | Event::Undelivered { .. }
                | Event::Drain { .. }
                | Event::Release { .. }
                | Event::Pause { .. }
                | Event::Requeue { .. }
                | Event::Kick { .. }
                | Event::Asking { .. }
                | Event::Decided(_)
                | Event::Matched(_)
                | Event::Unmatched(_)
                | Event::Place(_)
                | Event::PoliciesChanged(_)
                | Event::Tick
                | Event::SetLimit { .. }
                | Event::JobsLoaded { .. } => {}
            }
        }
    }

    fn expect_submit(&self, submit: &Submit) {
        self.jobs.expect_new(JobId(submit.operation.0));
        self.by_action.expect(action_hash(&submit.instance, &submit.action));
    }

    /// A guess: another session may have the same hash, and nothing of a session is read here.
    fn expect_session(&self, session: SessionId) {
        let likely = self.session_index.find(hash_of_id(session.0), |_| true);
        if let Some(session) = likely.and_then(|number| self.sessions.get(number as usize)) {
            prefetch(session);
        }
    }

    fn expect_update(&self, session: SessionId) {
        if let Some(index) = self.session_ix(session) {
            prefetch(self.session(index).names());
            self.expect_next(index);
        }
    }

    /// What the update of a busy bot will read: its leases, and the job that it will likely be given.
    fn expect_next(&self, index: SessionIx) {
        let session = self.session(index);
        self.jobs.expect(self.queue.expect_best(session.class));
        session.jobs.iter().take(4).for_each(|job| self.jobs.expect(*job));
    }

    /// The same a little later, for what those point at.
    pub(super) fn expect_soon(&self, index: SessionIx) {
        let session = self.session(index);
        self.queue.expect_best_soon(session.class);
        session.jobs.iter().take(4).for_each(|job| self.queue.expect(self.job(*job).line));
    }
}
