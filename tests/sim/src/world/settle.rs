//! The end of a run: nothing goes wrong any more, and everything that was promised must come to its end.

use super::*;

impl World {
    /// The end: no more faults and no new work. Everything that was promised must end.
    pub(crate) fn settle(&mut self) -> Checked {
        self.disk.set_free_bytes(1 << 40);
        if self.server.is_none() {
            self.now = self.now.max(self.down_until);
            self.start()?;
        }
        for bot in 0..self.bots.len() {
            self.bots[bot].asleep_until = Timestamp(0);
            self.bots[bot].status = BotStatus::Ok;
            self.bots[bot].capabilities = clients::everything();
        }
        self.end_drains();
        self.end_pauses();
        self.calm_policy();
        for _ in 0..2_000 {
            for bot in 0..self.bots.len() {
                let stale = self.bots[bot].call.as_ref().is_some_and(|_| self.rng.chance(100));
                if stale {
                    self.end_call(bot);
                }
                if self.bots[bot].call.is_none() {
                    self.call_of(bot, true);
                }
                while self.rng.chance(900) {
                    self.work_of(bot, true);
                }
            }
            for _ in 0..self.net.len() {
                self.deliver_at(0, true)?;
            }
            self.walk();
            if self.work_off()? {
                self.end_drains();
                self.end_pauses();
                self.calm_policy();
            }
            self.now = self.now.after(Duration::from_millis(200));
            let counts = self.server.as_ref().map(|server| server.partition.book().counts());
            if self.net.is_empty()
                && self.has_walked()
                && counts.is_some_and(|counts| counts.queued + counts.executing == 0)
            {
                return self.check_settled();
            }
        }
        let server = self.server.as_ref().expect("it was started");
        Err(Violation(format!("work does not come to its end: {:?}", server.partition.book().jobs(3))))
    }

    pub(super) fn load_all(&mut self) -> Checked {
        if self.server.as_ref().is_some_and(Server::is_loading) {
            self.read_ahead(|_| 1_000)?;
        }
        if let Some(server) = &mut self.server {
            server.load();
        }
        Ok(())
    }

    pub(super) fn check_settled(&mut self) -> Checked {
        while self.server.as_ref().is_some_and(|server| !server.is_idle()) {
            self.load_all()?;
            self.handle_some(usize::MAX)?;
            self.begin_commit();
            if self.server.as_ref().is_some_and(Server::is_committing) {
                self.finish_commit()?;
            }
        }
        self.hear_all()?;
        let Some(server) = &self.server else { return Ok(()) };
        for operation in self.ledger.promised() {
            let stage = self.ledger.look(server, operation)?;
            rule!(
                matches!(stage, Some(Stage::Completed(_))),
                "{operation:?} was promised, and is {stage:?} at the end"
            );
        }
        self.check_idle()
    }
}
