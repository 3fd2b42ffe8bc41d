//! Power cuts, kills, failing disks, and the start that follows.

use super::*;

impl World {
    pub(super) fn crash(&mut self) -> Checked {
        if self.server.is_none() {
            return Ok(());
        }
        let rng = &mut self.rng;
        if rng.chance(700) {
            // The power goes: of what was not synced some bytes stay, perhaps spoiled.
            self.disk.crash(|unsynced| {
                if unsynced.is_empty() {
                    return 0;
                }
                if rng.chance(200) {
                    let at = rng.index(unsynced.len());
                    unsynced[at] ^= 1 << rng.below(8);
                }
                match rng.below(3) {
                    0 => 0,
                    1 => unsynced.len(),
                    _ => rng.index(unsynced.len() + 1),
                }
            });
        }
        self.stop()
    }

    /// The next commit fails in one of the ways that a store may; or somebody else takes the partition.
    pub(super) fn fail_disk(&mut self) {
        let Some(server) = &mut self.server else { return };
        let durable = self.rng.chance(500);
        match self.rng.below(4) {
            0 => server.store.fail_next(Failure::Failed { durable }),
            1 => server.store.fail_next(Failure::Unknown { durable }),
            2 => self.disk.set_free_bytes(0),
            _ => drop(server.store.acquire(PARTITION)),
        }
    }

    /// The process is gone, and every connection with it.
    pub(super) fn stop(&mut self) -> Checked {
        self.crashes += 1;
        // Somebody makes room before the next start.
        self.disk.set_free_bytes(1 << 40);
        self.trace(|| "the server dies".into());
        self.consumer = None;
        let mut server = self.server.take().expect("it runs");
        let lost: Vec<_> = server.take_inbox();
        lost.iter().for_each(|incoming| self.failed(incoming));
        let unreleased = server.die();
        let (kept, gone): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.net).into_iter().partition(|message| match message {
                Message::ToServer(_) => false,
                Message::ToBot { .. } => true,
            });
        for message in gone {
            if let Message::ToServer(incoming) = message {
                self.failed(&incoming);
            }
        }
        self.net = kept;
        self.watchers.clear();
        for bot in 0..self.bots.len() {
            // A call that is held ends; an answer that is on its way may still arrive.
            let coming = self.net.iter().any(|message| {
                let Message::ToBot { poll, .. } = message else { return false };
                self.bots[bot].call.as_ref().is_some_and(|call| call.poll == *poll)
            });
            if !coming {
                self.bots[bot].call = None;
            }
        }
        let down_ms = if self.rng.chance(700) { self.rng.below(3_000) } else { self.rng.below(120_000) };
        self.down_until = self.now.after(Duration::from_millis(down_ms));
        self.unreleased = unreleased;
        Ok(())
    }

    pub(super) fn start(&mut self) -> Checked {
        self.trace(|| "the server starts".into());
        // Mostly so little that a part of the jobs is loaded later, sometimes everything; sometimes no order is known.
        let limits = Limits {
            jobs: if self.rng.chance(800) { 1 + self.rng.index(4) } else { 1_000 },
            lines: if self.rng.chance(850) { 100 } else { self.rng.index(3) },
        };
        let mut server = Server::start(&self.disk, self.settings.clone(), self.now, limits)?;
        let unreleased = std::mem::take(&mut self.unreleased);
        self.ledger.restarted(&mut server, unreleased, self.now)?;
        self.server = Some(server);
        self.consumer = None;
        self.begin_policies();
        self.change_policy();
        Ok(())
    }

    /// Jobs that a start left for later are read, or taken in.
    pub(super) fn load(&mut self) -> Checked {
        let Some(server) = &mut self.server else { return Ok(()) };
        if self.rng.chance(500) {
            self.read_ahead(|rng| 1 + rng.index(5))
        } else {
            server.load();
            Ok(())
        }
    }

    pub(super) fn read_ahead(&mut self, rows: impl FnOnce(&mut Rng) -> usize) -> Checked {
        let Some(server) = &mut self.server else { return Ok(()) };
        match server.read_ahead(rows(&mut self.rng)) {
            Ok(()) => Ok(()),
            Err(RecoverError::Store(_)) => self.stop(),
            Err(error) => Err(Violation(format!("cannot load: {error}"))),
        }
    }

    pub(super) fn check_idle(&mut self) -> Checked {
        match &self.server {
            Some(server) if server.is_idle() => {
                self.ledger.check_disk(&server.store, Some(server.partition.book()), self.now)
            }
            _ => Ok(()),
        }
    }
}
