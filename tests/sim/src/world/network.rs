//! Messages arrive late, in another order, or never.

use super::*;

impl World {
    pub(super) fn send(&mut self, event: Event, attachment: Attachment, token: Token) {
        self.net.push(Message::ToServer(Incoming::Event { event, attachment, token }));
    }

    pub(super) fn deliver(&mut self) -> Checked {
        if self.net.is_empty() {
            return Ok(());
        }
        // Mostly in order, sometimes not.
        let at = if self.rng.chance(700) { 0 } else { self.rng.index(self.net.len()) };
        self.deliver_at(at, false)
    }

    pub(super) fn deliver_at(&mut self, at: usize, calm: bool) -> Checked {
        let message = self.net.remove(at);
        let lost = !calm && self.rng.chance(25);
        match message {
            Message::ToServer(incoming) => {
                let ending = matches!(
                    incoming,
                    Incoming::Event {
                        event: Event::PollEnded { .. } | Event::Undelivered { .. } | Event::Place(_),
                        ..
                    }
                );
                match &mut self.server {
                    // What the process tells itself is not lost on the way.
                    Some(server) if !lost || ending => server.arrive(incoming),
                    _ => self.failed(&incoming),
                }
            }
            Message::ToBot { bot, answer, poll } => {
                let waits = self.bots[bot].call.as_ref().is_some_and(|call| call.poll == poll);
                if !waits {
                    return Ok(());
                }
                if lost {
                    self.bots[bot].call = None;
                    return Ok(());
                }
                match answer {
                    Ok(answer) => self.answered(bot, &answer)?,
                    Err(rejection) => {
                        self.trace(|| format!("{} is rejected: {rejection}", self.bots[bot].id));
                        if matches!(rejection, Rejection::OtherBot { .. }) {
                            self.bots[bot].call = None;
                        } else {
                            self.bots[bot].rejected();
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The caller's connection broke.
    pub(super) fn failed(&mut self, incoming: &Incoming) {
        match incoming {
            Incoming::Event { token: Token::Bot { session, poll }, event, .. } => {
                for bot in 0..self.bots.len() {
                    if self.bots[bot].call.as_ref().is_some_and(|call| call.poll == *poll) {
                        self.bots[bot].call = None;
                        if matches!(event, Event::OpenSession(_)) {
                            self.forget_unopened(bot, *session);
                        }
                    }
                }
            }
            Incoming::Watch { watcher, .. } => drop(self.watchers.remove(watcher)),
            Incoming::Event { .. } | Incoming::Look { .. } | Incoming::Trim { .. } | Incoming::Keep { .. } => {}
        }
    }

    /// A bot hears of its leases. Nobody else may be at work on them, as far as we could know.
    pub(super) fn answered(&mut self, bot: usize, answer: &berth_core::Answer) -> Checked {
        self.trace(|| format!("{} hears {answer:?}", self.bots[bot].id));
        let new = self.bots[bot].answered(answer, &mut self.rng)?;
        // An answer may be on its way for longer than its session lasts. That two bots are at work then is the doing
        // of the network: the session was over before anybody else was given its leases.
        if self.ledger.has_ended(answer.session) {
            return Ok(());
        }
        // Nor is it theirs what an operator took from the bot while the answer was on its way.
        for lease in new.into_iter().filter(|lease| !self.ledger.given_up(*lease)) {
            for other in self.bots.iter().filter(|other| other.id != self.bots[bot].id) {
                let Some(session) = other.session.filter(|session| !self.ledger.has_ended(*session)) else { continue };
                let held =
                    other.leases.iter().filter(|(held, _)| !self.ledger.given_up(**held)).find(|(held, doing)| {
                        held.job == lease.job && matches!(doing, Doing::Pending | Doing::Working)
                    });
                rule!(
                    held.is_none(),
                    "{} is given {lease} while {} has {held:?} in {session:?}",
                    self.bots[bot].id,
                    other.id
                );
            }
        }
        Ok(())
    }
}
