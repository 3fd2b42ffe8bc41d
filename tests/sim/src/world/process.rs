//! The server handles, commits and releases; what leaves goes to whom it concerns.

use super::*;

impl World {
    pub(super) fn handle(&mut self) -> Checked {
        let count = [0, 1, 1, 2, 4, 16][self.rng.index(6)];
        self.handle_some(count)
    }

    pub(super) fn handle_some(&mut self, count: usize) -> Checked {
        let Some(server) = &mut self.server else { return Ok(()) };
        let due = server.partition.book().next_deadline().is_some_and(|at| at <= self.now);
        if (server.waiting() == 0 || count == 0) && !due {
            return Ok(());
        }
        let written = server.step(self.now, count)?;
        self.hash = (self.hash ^ written).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17) ^ self.now.0;
        #[cfg(feature = "mutants")]
        if self.broken.early {
            let works = server.release_early()?;
            self.release(works)?;
        }
        Ok(())
    }

    /// The server, however it stands, loads, handles and commits what there is for it. Answers whether it had to be
    /// started for that.
    pub(super) fn work_off(&mut self) -> Checked<bool> {
        self.load_all()?;
        self.handle_some(usize::MAX)?;
        self.begin_commit();
        self.finish_commit()?;
        if self.server.is_some() {
            return Ok(false);
        }
        self.now = self.now.max(self.down_until);
        self.start()?;
        Ok(true)
    }

    pub(super) fn begin_commit(&mut self) {
        if let Some(server) = &mut self.server
            && server.to_commit() > 0
        {
            let count = 1 + self.rng.index(server.to_commit());
            server.begin_commit(count);
        }
    }

    pub(super) fn finish_commit(&mut self) -> Checked {
        let Some(server) = &mut self.server else { return Ok(()) };
        if !server.is_committing() {
            return Ok(());
        }
        match server.finish_commit()? {
            Finished::Released(works) => {
                for work in &works {
                    self.ledger.durable(work)?;
                }
                for work in &works {
                    self.ledger.check_rows(&server.store, work)?;
                }
                self.release(works)
            }
            Finished::Stopped(reason) => {
                self.trace(|| format!("the store failed: {reason}"));
                self.stop()
            }
        }
    }

    pub(super) fn release(&mut self, works: Vec<Work>) -> Checked {
        for work in works {
            for leave in work.leaves {
                self.leave(leave)?;
            }
            // Whoever watches has heard of the newest state that may be seen.
            for watcher in self.watchers.values() {
                let stage = work.stages.iter().find(|(operation, _)| *operation == watcher.operation);
                if let (Some(heard), Some((_, stage))) = (&watcher.heard, stage) {
                    rule!(heard == stage, "{:?} is {stage:?}, but its watcher heard {heard:?}", watcher.operation);
                }
            }
            self.watchers.retain(|_, watcher| !matches!(watcher.heard, Some(Stage::Completed(_))));
        }
        Ok(())
    }

    pub(super) fn leave(&mut self, leave: Leave) -> Checked {
        match leave {
            Leave::Reply { token, event, result } => self.reply(token, &event, result),
            Leave::Answer(answer) => {
                let waiting = |bot: &Bot| bot.call.as_ref().is_some_and(|call| call.poll == answer.poll);
                match self.bots.iter().position(waiting) {
                    // The transport took it; whether it arrives is another matter.
                    Some(bot) if !self.rng.chance(30) => {
                        self.net.push(Message::ToBot { bot, poll: answer.poll, answer: Ok(answer) });
                    }
                    bot => {
                        if let Some(bot) = bot {
                            self.bots[bot].call = None;
                        }
                        let event = Event::Undelivered { session: answer.session, poll: answer.poll };
                        self.send(event, Attachment::default(), Token::Nobody);
                    }
                }
                Ok(())
            }
            Leave::Ask(question) => {
                self.answer_question(question);
                Ok(())
            }
            Leave::Watching { watcher, operation, stage } => {
                let Some(known) = self.watchers.get_mut(&watcher) else { return Ok(()) };
                match stage {
                    Some(stage) => {
                        known.heard = Some(stage.clone());
                        self.ledger.seen(operation, &stage)
                    }
                    None => {
                        self.watchers.remove(&watcher);
                        Ok(())
                    }
                }
            }
            Leave::Update { watcher, stage } => {
                let Some(known) = self.watchers.get_mut(&watcher) else { return Ok(()) };
                known.heard = Some(stage.clone());
                let operation = known.operation;
                self.ledger.seen(operation, &stage)
            }
            Leave::Kept => self.kept(),
            Leave::Looked { operation, stage } => stage.map_or(Ok(()), |stage| self.ledger.seen(operation, &stage)),
        }
    }

    pub(super) fn reply(&mut self, token: Token, event: &Event, result: Result<Reply, Rejection>) -> Checked {
        match (token, result) {
            (Token::Nobody, _) => {}
            (Token::Walk { walk }, _) => self.walked(walk),
            (Token::Bot { poll, .. }, Err(rejection)) => {
                let waiting = |bot: &Bot| bot.call.as_ref().is_some_and(|call| call.poll == poll);
                if let Some(bot) = self.bots.iter().position(waiting) {
                    self.net.push(Message::ToBot { bot, poll, answer: Err(rejection) });
                }
            }
            (Token::Bot { .. }, Ok(_)) => {}
            (Token::Client { operation }, Ok(_)) => match event {
                Event::Submit(_) | Event::SubmitCached(_) => self.ledger.acknowledged(operation),
                Event::Cancel { .. } => self.ledger.cancel_acknowledged(operation),
                Event::Delete { .. } => {}
                other => rule!(false, "no client sends {other:?}"),
            },
            (Token::Client { .. }, Err(_)) => {}
        }
        Ok(())
    }
}
