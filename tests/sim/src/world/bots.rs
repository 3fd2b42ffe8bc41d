//! Bots call, work, and misbehave.

use super::*;

impl World {
    pub(super) fn bot_calls(&mut self) {
        let bot = self.rng.index(self.bots.len());
        if self.bots[bot].asleep_until <= self.now && self.bots[bot].call.is_none() {
            self.call_of(bot, false);
        }
    }

    pub(super) fn call_of(&mut self, bot: usize, calm: bool) {
        let (event, results) = self.bots[bot].call(self.now, calm, &mut self.rng);
        let call = self.bots[bot].call.clone().expect("it just called");
        self.trace(|| format!("{} says {event:?}", self.bots[bot].id));
        let token = Token::Bot { session: call.session, poll: call.poll };
        self.send(event, Attachment { results, ..Attachment::default() }, token);
    }

    pub(super) fn bot_works(&mut self) {
        let bot = self.rng.index(self.bots.len());
        if self.bots[bot].asleep_until <= self.now {
            self.work_of(bot, false);
        }
    }

    /// A bot stores a good result in the action cache before it reports it.
    pub(super) fn work_of(&mut self, bot: usize, calm: bool) {
        let Some(lease) = self.bots[bot].work(calm, &mut self.rng) else { return };
        let Some(server) = &self.server else { return };
        if let Some(job) = server.partition.book().job_row(lease.job).filter(|job| !job.do_not_cache) {
            let known = (job.instance.clone(), job.action.hash[0]);
            // Evicted now and then.
            if self.cached.len() > 5 {
                self.cached.remove(0);
            }
            if !self.cached.contains(&known) {
                self.cached.push(known);
            }
        }
    }

    pub(super) fn bot_misbehaves(&mut self) {
        let bot = self.rng.index(self.bots.len());
        match self.rng.below(4) {
            0 => self.bots[bot].asleep_until = self.now.after(Duration::from_millis(self.rng.below(120_000))),
            1 => {
                self.end_call(bot);
                self.bots[bot].restart();
            }
            _ => {
                let capabilities = clients::offered(self.rng.next());
                self.bots[bot].change(capabilities, &mut self.rng);
                self.bots[bot].score = self.rng.below(3) as u32;
            }
        }
    }

    pub(super) fn bot_gives_up_call(&mut self) {
        let bot = self.rng.index(self.bots.len());
        self.end_call(bot);
    }

    /// The bot hangs up. Its request may still be on its way, and then arrives after what it says next.
    pub(super) fn end_call(&mut self, bot: usize) {
        let Some(call) = self.bots[bot].call.take() else { return };
        let mine = |message: &Message| matches!(message, Message::ToServer(Incoming::Event { token: Token::Bot { poll, .. }, .. }) if *poll == call.poll);
        if let Some(at) = self.net.iter().position(mine) {
            if self.rng.chance(800) {
                self.net.remove(at);
                if matches!(self.bots[bot].session, Some(session) if session == call.session) {
                    self.forget_unopened(bot, call.session);
                }
                return;
            }
            self.bots[bot].confused = true;
        }
        self.send(Event::PollEnded { session: call.session, poll: call.poll }, Attachment::default(), Token::Nobody);
    }

    /// A hello that never arrived: the bot begins anew.
    pub(super) fn forget_unopened(&mut self, bot: usize, session: SessionId) {
        let known = self.server.as_ref().is_some_and(|server| server.partition.book().session_view(session).is_some());
        if !known {
            self.bots[bot].rejected();
        }
    }
}
