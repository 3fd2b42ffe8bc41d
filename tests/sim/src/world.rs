//! The world around the server: clients, bots, operators, a network that delays and loses, a disk and its power switch.
//! One random number generator decides everything, so a seed is a history.

use std::{collections::BTreeMap, time::Duration};

use berth_core::{
    BotStatus, Event, InstanceName, JobId, LaneKey, OperationId, Property, PropertySet, Rejection, Reply, SessionId,
    Settings, Stage, Submit, Timestamp,
};
use berth_runtime::{
    memory::{Disk, Failure},
    partition::Attachment,
    store::Store,
};

use crate::{
    bot::{Bot, Doing, action},
    judge::{Checked, Violation, rule},
    ledger::Ledger,
    rng::Rng,
    server::{Finished, Incoming, Leave, PARTITION, Server, Token, Work},
};

/// On its way.
enum Message {
    ToServer(Incoming),
    ToBot { bot: usize, answer: Result<berth_core::Answer, Rejection>, poll: berth_core::PollId },
}

/// A client that watches an operation.
#[derive(Debug)]
struct Watcher {
    operation: OperationId,
    /// The newest stage that it heard of; `None` until the first answer.
    heard: Option<Stage>,
}

pub(crate) struct World {
    rng: Rng,
    now: Timestamp,
    settings: Settings,
    disk: Disk,
    server: Option<Server>,
    down_until: Timestamp,
    ledger: Ledger,
    bots: Vec<Bot>,
    net: Vec<Message>,
    watchers: BTreeMap<u64, Watcher>,
    watchers_made: u64,
    /// Actions whose result is in the action cache.
    cached: Vec<(InstanceName, u8)>,
    operations: Vec<OperationId>,
    /// Steps of the process that died, which it had not released.
    unreleased: Vec<Work>,
    pub(crate) crashes: u64,
    pub(crate) hash: u64,
    trace: bool,
    #[cfg_attr(not(feature = "mutants"), allow(dead_code))]
    broken: Broken,
}

/// What is broken on purpose outside core and runtime.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Broken {
    /// The disk says that it synced, and did not.
    pub(crate) no_sync: bool,
    /// Replies leave when their batch is handled.
    #[cfg_attr(not(feature = "mutants"), allow(dead_code))]
    pub(crate) early: bool,
    /// The naive model does not look: only what bots, clients and the disk can see is judged.
    pub(crate) blind: bool,
}

const START: Timestamp = Timestamp(1_000_000_000_000);

impl World {
    pub(crate) fn new(seed: u64, trace: bool, broken: Broken) -> Checked<Self> {
        let mut rng = Rng::new(seed);
        let settings = Settings { attempts_max: 3, ..Settings::default() };
        let disk = Disk::default();
        disk.set_syncing(!broken.no_sync);
        let mut server = Server::start(&disk, settings, START)?;
        let mut ledger = Ledger::new(settings, !broken.blind);
        ledger.restarted(&mut server, Vec::new(), START)?;
        let count = 3 + rng.index(4);
        let bots = (0..count).map(|number| {
            let instance = InstanceName::from(if number == 2 { "side" } else { "main" });
            Bot::new(format!("bot-{number}").into(), instance, offered(number as u64), &mut rng)
        });
        let bots = bots.collect();
        Ok(Self {
            rng,
            now: START,
            settings,
            disk,
            server: Some(server),
            down_until: START,
            ledger,
            bots,
            net: Vec::new(),
            watchers: BTreeMap::new(),
            watchers_made: 0,
            cached: Vec::new(),
            operations: Vec::new(),
            unreleased: Vec::new(),
            crashes: 0,
            hash: seed,
            trace,
            broken,
        })
    }

    /// Something happens.
    pub(crate) fn step(&mut self) -> Checked {
        self.pass_time();
        if self.server.is_none() && self.now >= self.down_until {
            return self.start();
        }
        let due = self.server.as_ref().and_then(|server| server.partition.book().next_deadline());
        if due.is_some_and(|at| at <= self.now) && self.rng.chance(700) {
            return self.handle();
        }
        match self.rng.below(1_000) {
            0..90 => self.submit(),
            90..115 => self.cancel(),
            115..125 => self.delete(),
            125..150 => self.watch(),
            150..155 => self.look(),
            155..300 => self.bot_calls(),
            300..420 => self.bot_works(),
            420..428 => self.bot_misbehaves(),
            428..436 => self.drain(),
            436..660 => return self.deliver(),
            660..662 => self.trim(),
            662..800 => return self.handle(),
            800..880 => self.begin_commit(),
            880..980 => return self.finish_commit(),
            980..984 => return self.crash(),
            984..988 => self.check_idle()?,
            988..989 => self.fail_disk(),
            989..994 => self.bot_gives_up_call(),
            _ => {}
        }
        Ok(())
    }

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
            self.bots[bot].capabilities = everything();
        }
        self.end_drains();
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
            self.handle_some(usize::MAX)?;
            self.begin_commit();
            if self.server.as_ref().is_some_and(Server::is_committing) {
                self.finish_commit()?;
            }
            if self.server.is_none() {
                self.now = self.now.max(self.down_until);
                self.start()?;
                self.end_drains();
            }
            self.now = self.now.after(Duration::from_millis(200));
            let counts = self.server.as_ref().map(|server| server.partition.book().counts());
            if self.net.is_empty() && counts.is_some_and(|counts| counts.queued + counts.executing == 0) {
                return self.check_settled();
            }
        }
        let server = self.server.as_ref().expect("it was started");
        Err(Violation(format!("work does not come to its end: {:?}", server.partition.book().jobs(3))))
    }

    fn check_settled(&mut self) -> Checked {
        while self.server.as_ref().is_some_and(|server| !server.is_idle()) {
            self.handle_some(usize::MAX)?;
            self.begin_commit();
            if self.server.as_ref().is_some_and(Server::is_committing) {
                self.finish_commit()?;
            }
        }
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

    fn pass_time(&mut self) {
        let micros = match self.rng.below(1_000) {
            0..800 => self.rng.below(3_000),
            800..950 => self.rng.below(200_000),
            950..996 => self.rng.below(4_000_000),
            996..999 => self.rng.below(30_000_000),
            _ => self.rng.below(100_000_000),
        };
        let mut then = self.now.after(Duration::from_micros(micros + 1));
        // The driver wakes at the next deadline; only sometimes is it late.
        if let Some(at) = self.server.as_ref().and_then(|server| server.partition.book().next_deadline())
            && at > self.now
            && !self.rng.chance(20)
        {
            then = then.min(at);
        }
        self.now = then;
    }

    // Clients.

    fn submit(&mut self) {
        let operation = OperationId(self.rng.id());
        let instance = InstanceName::from(if self.rng.chance(850) { "main" } else { "side" });
        let number = self.rng.below(9) as u8;
        let timeout = |rng: &mut Rng| rng.chance(150).then(|| Duration::from_millis(1_000 + rng.below(90_000)));
        // A policy may say no, and may say something else each time.
        if self.rng.chance(20) {
            return;
        }
        let submit = Submit {
            operation,
            instance: instance.clone(),
            action: action(number),
            do_not_cache: self.rng.chance(120),
            skip_cache_lookup: self.rng.chance(120),
            lookup_began: self.now,
            requirements: needed(u64::from(number) + self.rng.below(30)),
            label: ["", "linux"][self.rng.index(2)].into(),
            lane: LaneKey(["", "a", "b"][self.rng.index(3)].into()),
            weight: self.rng.below(5) as u32,
            rank: self.rng.below(5) as i64 - 2,
            queue_timeout: timeout(&mut self.rng),
            execution_timeout: timeout(&mut self.rng),
        };
        let hit = !submit.do_not_cache && !submit.skip_cache_lookup && self.cached.contains(&(instance, number));
        let mut attachment = Attachment { body: format!("body of {operation}").into(), ..Attachment::default() };
        let event = if hit {
            let lease = berth_core::LeaseId { job: JobId(operation.0), attempt: 0 };
            attachment.results.push((lease, format!("cached for {operation}").into()));
            Event::SubmitCached(Box::new(submit))
        } else {
            Event::Submit(Box::new(submit))
        };
        self.operations.push(operation);
        self.send(event, attachment, Token::Client { operation });
    }

    fn cancel(&mut self) {
        if let Some(operation) = self.recent_operation() {
            self.send(Event::Cancel { operation }, Attachment::default(), Token::Client { operation });
        }
    }

    fn delete(&mut self) {
        let Some(operation) = self.recent_operation() else { return };
        let Some(server) = &self.server else { return };
        let job = server.partition.book().operation(operation).map_or(JobId(operation.0), |view| view.job);
        self.send(Event::Delete { operation, job }, Attachment::default(), Token::Client { operation });
    }

    fn watch(&mut self) {
        let Some(operation) = self.recent_operation() else { return };
        self.watchers_made += 1;
        let watcher = self.watchers_made;
        self.watchers.insert(watcher, Watcher { operation, heard: None });
        self.net.push(Message::ToServer(Incoming::Watch { operation, watcher }));
    }

    fn look(&mut self) {
        if let Some(operation) = self.recent_operation() {
            self.net.push(Message::ToServer(Incoming::Look { operation }));
        }
    }

    fn recent_operation(&mut self) -> Option<OperationId> {
        let newest = self.operations.len().saturating_sub(30);
        self.rng.pick(&self.operations[newest..]).copied()
    }

    // Bots.

    fn bot_calls(&mut self) {
        let bot = self.rng.index(self.bots.len());
        if self.bots[bot].asleep_until <= self.now && self.bots[bot].call.is_none() {
            self.call_of(bot, false);
        }
    }

    fn call_of(&mut self, bot: usize, calm: bool) {
        let (event, results) = self.bots[bot].call(self.now, calm, &mut self.rng);
        let call = self.bots[bot].call.clone().expect("it just called");
        self.trace(|| format!("{} says {event:?}", self.bots[bot].id));
        let token = Token::Bot { session: call.session, poll: call.poll };
        self.send(event, Attachment { results, ..Attachment::default() }, token);
    }

    fn bot_works(&mut self) {
        let bot = self.rng.index(self.bots.len());
        if self.bots[bot].asleep_until <= self.now {
            self.work_of(bot, false);
        }
    }

    /// A bot stores a good result in the action cache before it reports it.
    fn work_of(&mut self, bot: usize, calm: bool) {
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

    fn bot_misbehaves(&mut self) {
        let bot = self.rng.index(self.bots.len());
        match self.rng.below(4) {
            0 => self.bots[bot].asleep_until = self.now.after(Duration::from_millis(self.rng.below(120_000))),
            1 => {
                self.end_call(bot);
                self.bots[bot].restart();
            }
            _ => {
                let capabilities = offered(self.rng.next());
                self.bots[bot].change(capabilities, &mut self.rng);
            }
        }
    }

    fn bot_gives_up_call(&mut self) {
        let bot = self.rng.index(self.bots.len());
        self.end_call(bot);
    }

    /// The bot hangs up. Its request may still be on its way, and then arrives after what it says next.
    fn end_call(&mut self, bot: usize) {
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
    fn forget_unopened(&mut self, bot: usize, session: SessionId) {
        let known = self.server.as_ref().is_some_and(|server| server.partition.book().session_view(session).is_some());
        if !known {
            self.bots[bot].rejected();
        }
    }

    // Operators.

    fn drain(&mut self) {
        let bot = self.rng.index(self.bots.len());
        let (instance, bot_id) = (self.bots[bot].instance.clone(), self.bots[bot].id.clone());
        let on = self.rng.chance(350);
        self.send(Event::Drain { instance, bot_id, on }, Attachment::default(), Token::Nobody);
    }

    fn end_drains(&mut self) {
        for bot in 0..self.bots.len() {
            let (instance, bot_id) = (self.bots[bot].instance.clone(), self.bots[bot].id.clone());
            self.send(Event::Drain { instance, bot_id, on: false }, Attachment::default(), Token::Nobody);
        }
    }

    fn trim(&mut self) {
        let Some(server) = &mut self.server else { return };
        let below = self.ledger.next_sequence().saturating_sub(self.rng.below(300));
        self.ledger.trim(below);
        server.arrive(Incoming::Trim { below });
    }

    // The network.

    fn send(&mut self, event: Event, attachment: Attachment, token: Token) {
        self.net.push(Message::ToServer(Incoming::Event { event, attachment, token }));
    }

    fn deliver(&mut self) -> Checked {
        if self.net.is_empty() {
            return Ok(());
        }
        // Mostly in order, sometimes not.
        let at = if self.rng.chance(700) { 0 } else { self.rng.index(self.net.len()) };
        self.deliver_at(at, false)
    }

    fn deliver_at(&mut self, at: usize, calm: bool) -> Checked {
        let message = self.net.remove(at);
        let lost = !calm && self.rng.chance(25);
        match message {
            Message::ToServer(incoming) => {
                let ending = matches!(
                    incoming,
                    Incoming::Event { event: Event::PollEnded { .. } | Event::Undelivered { .. }, .. }
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
    fn failed(&mut self, incoming: &Incoming) {
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
            Incoming::Event { .. } | Incoming::Look { .. } | Incoming::Trim { .. } => {}
        }
    }

    /// A bot hears of its leases. Nobody else may be at work on them, as far as we could know.
    fn answered(&mut self, bot: usize, answer: &berth_core::Answer) -> Checked {
        self.trace(|| format!("{} hears {answer:?}", self.bots[bot].id));
        let new = self.bots[bot].answered(answer, &mut self.rng)?;
        for lease in new {
            for other in self.bots.iter().filter(|other| other.id != self.bots[bot].id) {
                let Some(session) = other.session.filter(|session| !self.ledger.has_ended(*session)) else { continue };
                let held = other
                    .leases
                    .iter()
                    .find(|(held, doing)| held.job == lease.job && matches!(doing, Doing::Pending | Doing::Working));
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

    // The server.

    fn handle(&mut self) -> Checked {
        let count = [0, 1, 1, 2, 4, 16][self.rng.index(6)];
        self.handle_some(count)
    }

    fn handle_some(&mut self, count: usize) -> Checked {
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

    fn begin_commit(&mut self) {
        if let Some(server) = &mut self.server
            && server.to_commit() > 0
        {
            let count = 1 + self.rng.index(server.to_commit());
            server.begin_commit(count);
        }
    }

    fn finish_commit(&mut self) -> Checked {
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

    fn release(&mut self, works: Vec<Work>) -> Checked {
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

    fn leave(&mut self, leave: Leave) -> Checked {
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
            Leave::Looked { operation, stage } => stage.map_or(Ok(()), |stage| self.ledger.seen(operation, &stage)),
        }
    }

    fn reply(&mut self, token: Token, event: &Event, result: Result<Reply, Rejection>) -> Checked {
        match (token, result) {
            (Token::Nobody, _) => {}
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

    // Disasters.

    fn crash(&mut self) -> Checked {
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
    fn fail_disk(&mut self) {
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
    fn stop(&mut self) -> Checked {
        self.crashes += 1;
        // Somebody makes room before the next start.
        self.disk.set_free_bytes(1 << 40);
        self.trace(|| "the server dies".into());
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

    fn start(&mut self) -> Checked {
        self.trace(|| "the server starts".into());
        let mut server = Server::start(&self.disk, self.settings, self.now)?;
        let unreleased = std::mem::take(&mut self.unreleased);
        self.ledger.restarted(&mut server, unreleased, self.now)?;
        self.server = Some(server);
        Ok(())
    }

    fn check_idle(&mut self) -> Checked {
        match &self.server {
            Some(server) if server.is_idle() => {
                self.ledger.check_disk(&server.store, server.partition.book(), self.now)
            }
            _ => Ok(()),
        }
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>16} {}", self.now.0 - START.0, line());
        }
    }
}

fn set(properties: &[(&str, &str)]) -> PropertySet {
    properties.iter().map(|(name, value)| Property::new(*name, *value)).collect()
}

/// Some kinds are common, and many are rare.
fn needed(number: u64) -> PropertySet {
    match number % 5 {
        0 | 1 => set(&[]),
        2 => set(&[("os", "linux")]),
        3 => set(&[("os", "linux"), ("pool", "big")]),
        _ => set(&[("os", "mac"), TAGS[(number / 5) as usize % TAGS.len()]]),
    }
}

fn offered(number: u64) -> Vec<PropertySet> {
    let tag = TAGS[(number / 5) as usize % TAGS.len()];
    match number % 5 {
        0 => vec![set(&[("os", "linux"), tag])],
        1 => vec![set(&[("os", "linux"), ("pool", "big")])],
        2 => vec![set(&[("os", "mac"), tag]), set(&[("os", "linux")])],
        3 => everything(),
        _ => vec![set(&[tag])],
    }
}

fn everything() -> Vec<PropertySet> {
    let mac = [("os", "mac")].into_iter().chain(TAGS);
    vec![set(&[("os", "linux"), ("pool", "big")]), set(&mac.collect::<Vec<_>>())]
}

const TAGS: [(&str, &str); 4] = [("tag", "a"), ("tag", "b"), ("tag", "c"), ("tag", "d")];
