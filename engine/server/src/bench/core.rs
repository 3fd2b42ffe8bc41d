//! `berth bench core`: the rules alone, at growing depths, fleets and numbers of classes.
//!
//! One cycle is what a busy fleet does all day: a bot reports its job as done and is given the next one in the
//! same step, and a client submits another, so that the depth stays. Time is CPU time of this thread. The cost of an
//! assignment is that of the bot's event, and the yardstick is the smallest setting of the same run.

use std::{sync::Arc, time::Duration};

use berth_core::{
    Affinity, Book, BotStatus, Digest, Event, InstanceName, LaneKey, LeaseId, LeaseReport, OpenSession, OperationId,
    PollId, Property, PropertySet, ReportedState, SessionId, Settings, Submit, Timestamp, UpdateSession,
};
use serde_json::json;

use super::{measure::Cpu, report::Report};

/// One row of the table.
#[derive(Clone, Copy)]
struct Setting {
    queued: u64,
    bots: u64,
    requirement_classes: u64,
    capability_classes: u64,
    lanes: u64,
    /// Affinity keys that jobs have one of, and how long they wait for a bot that served it.
    keys: Option<(u64, Duration)>,
}

/// The first is the yardstick.
const SETTINGS: [Setting; 11] = [
    setting(1_000, 10, 1, 1),
    setting(1_000, 1_000, 1, 1),
    setting(1_000, 10_000, 1, 1),
    setting(100_000, 10, 1, 1),
    setting(100_000, 1_000, 1, 1),
    setting(100_000, 10_000, 1, 1),
    setting(1_000_000, 10, 1, 1),
    setting(1_000_000, 1_000, 1, 1),
    setting(1_000_000, 10_000, 1, 1),
    setting(100_000, 1_000, 10_000, 1_000),
    setting(1_000_000, 10_000, 10_000, 1_000),
];

/// What policies may ask for besides. The first is the yardstick of the others.
const POLICIES: [Setting; 5] = [
    setting(100_000, 1_000, 1, 1),
    Setting { lanes: 10, ..setting(100_000, 1_000, 1, 1) },
    Setting { lanes: 1_000, ..setting(100_000, 1_000, 1, 1) },
    Setting { keys: Some((100, Duration::ZERO)), ..setting(100_000, 1_000, 1, 1) },
    Setting { keys: Some((100, Duration::from_secs(1))), ..setting(100_000, 1_000, 1, 1) },
];

/// Bots are held as long as it takes: time runs by events here, not by a clock.
const FOREVER: Timestamp = Timestamp(1 << 50);

const fn setting(queued: u64, bots: u64, requirement_classes: u64, capability_classes: u64) -> Setting {
    Setting { queued, bots, requirement_classes, capability_classes, lanes: 1, keys: None }
}

/// Of a look that measures nothing.
const QUICK: [Setting; 2] = [setting(1_000, 10, 1, 1), setting(1_000, 100, 100, 10)];
const QUICK_POLICIES: [Setting; 2] = [
    Setting { lanes: 10, ..setting(1_000, 10, 1, 1) },
    Setting { keys: Some((10, Duration::from_secs(1))), ..setting(1_000, 10, 1, 1) },
];

/// Cycles that are counted. Three tenths as many go before: until then the book remembers more finished jobs each time,
/// from then on it forgets as many as it takes in.
const CYCLES: u64 = 200_000;

/// Time between two events: that of 5 000 jobs a second.
const EVENT_US: u64 = 100;

/// Cycles between two readings of the clock, which costs as much as an assignment; and how far apart their bots are:
/// a prime, so that they are distinct.
const BLOCK: u64 = 64;
const STRIDE: u64 = 7_919;

pub(super) fn run(quick: bool) -> Report {
    if quick {
        measure(&QUICK, &QUICK_POLICIES, 1_000, 10_000)
    } else {
        measure(&SETTINGS, &POLICIES, CYCLES, 1_000_000)
    }
}

fn measure(settings: &[Setting], policies: &[Setting], cycles: u64, queued: u64) -> Report {
    let mut report = Report::new(
        "core",
        &[
            "queued",
            "bots",
            "req. classes",
            "cap. classes",
            "lanes",
            "keys",
            "ns/assignment",
            "ratio",
            "ns/submit",
            "events/s",
        ],
    );
    // First: a process that has freed memory says little about what a queue takes.
    eprintln!("core: memory of {queued} queued jobs ...");
    let memory = bytes_per_job(queued);
    let worst = rows(&mut report, settings, cycles);
    rows(&mut report, policies, cycles);
    report.verdict("an assignment, the dearest against the first".to_owned(), worst, "<=", 2.5);
    if let Some(memory) = memory {
        report.verdict(format!("bytes a queued job at {queued}"), memory, "<=", 600.0);
    }
    report.note(
        "Assignment: a bot's update that completes one job and is given the next, as in a second of 5 000 jobs. CPU time of \
         one thread.",
    );
    report
}

/// Measures some settings against the first of them. Answers the dearest, as a ratio.
fn rows(report: &mut Report, settings: &[Setting], cycles: u64) -> f64 {
    let (mut yardstick, mut worst) = (None, 0.0_f64);
    for setting in settings.iter().copied() {
        eprintln!(
            "core: {} queued, {} bots, {} classes, {} lanes ...",
            setting.queued, setting.bots, setting.requirement_classes, setting.lanes
        );
        let result = Fleet::new(setting).cycle(cycles);
        let base = *yardstick.get_or_insert(result.assignment_ns);
        let ratio = result.assignment_ns / base;
        worst = worst.max(ratio);
        let keys = setting.keys.map_or("-".to_owned(), |(keys, wait)| format!("{keys}, wait {} ms", wait.as_millis()));
        report.row(
            vec![
                setting.queued.to_string(),
                setting.bots.to_string(),
                setting.requirement_classes.to_string(),
                setting.capability_classes.to_string(),
                setting.lanes.to_string(),
                keys.clone(),
                format!("{:.0}", result.assignment_ns),
                format!("{ratio:.2}"),
                format!("{:.0}", result.submit_ns),
                format!("{:.0}", result.events_per_s),
            ],
            json!({
                "queued": setting.queued, "bots": setting.bots,
                "requirement_classes": setting.requirement_classes, "capability_classes": setting.capability_classes,
                "lanes": setting.lanes, "keys": keys,
                "assignment_ns": result.assignment_ns, "ratio": ratio, "submit_ns": result.submit_ns,
                "events_per_s": result.events_per_s,
            }),
        );
    }
    worst
}

/// What a deep queue takes in RAM.
fn bytes_per_job(queued: u64) -> Option<f64> {
    let before = super::measure::resident_bytes()?;
    let fleet = Fleet::queue(setting(queued, 0, 1, 1));
    let after = super::measure::resident_bytes()?;
    drop(fleet);
    Some(after.saturating_sub(before) as f64 / queued as f64)
}

struct Measured {
    assignment_ns: f64,
    submit_ns: f64,
    events_per_s: f64,
}

/// A book with a queue and a busy fleet.
struct Fleet {
    book: Book,
    setting: Setting,
    now: u64,
    next_job: u64,
    poll: u64,
    instance: InstanceName,
    /// What each bot works on.
    leases: Vec<Option<LeaseId>>,
}

impl Fleet {
    fn queue(setting: Setting) -> Self {
        let mut fleet = Self {
            book: Book::new(Settings { session_timeout: Duration::from_secs(1 << 30), ..Settings::default() }),
            setting,
            now: 1,
            next_job: 0,
            poll: 0,
            instance: InstanceName::from("main"),
            leases: vec![None; setting.bots as usize],
        };
        for _ in 0..setting.queued {
            fleet.submit();
        }
        fleet
    }

    fn new(setting: Setting) -> Self {
        let mut fleet = Self::queue(setting);
        // The first job of each bot comes out of the queue: it is filled up again.
        for bot in 0..setting.bots {
            fleet.open(bot);
        }
        for _ in 0..setting.bots {
            fleet.submit();
        }
        // Those that had to wait for their first job are told of it.
        fleet.answer();
        fleet
    }

    fn cycle(mut self, cycles: u64) -> Measured {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let (mut assigning, mut submitting) = (Duration::ZERO, Duration::ZERO);
        let blocks = cycles.div_ceil(BLOCK);
        // Never a bot twice in a block: what it reports was made before the block began.
        let block = BLOCK.min(self.setting.bots);
        let warm = blocks * 3 / 10;
        for number in 0..warm + blocks {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            let all = self.setting.bots;
            let bots = (0..block).map(|bot| (random % all + bot * STRIDE) % all);
            let updates: Vec<_> = bots.map(|bot| Event::UpdateSession(Box::new(self.update_of(bot)))).collect();
            let start = Cpu::now();
            let mut updates = updates.into_iter();
            while let Some(update) = updates.next() {
                // As the driver does with what has arrived.
                self.book.look_ahead(updates.as_slice());
                self.handle(update);
                self.answer();
            }
            let assigned = start.elapsed();
            let submits: Vec<_> = (0..block).map(|_| Event::Submit(Box::new(self.next_submit()))).collect();
            let start = Cpu::now();
            let mut submits = submits.into_iter();
            while let Some(submit) = submits.next() {
                self.book.look_ahead(submits.as_slice());
                self.handle(submit);
            }
            let submitted = start.elapsed();
            if number >= warm {
                assigning += assigned;
                submitting += submitted;
            }
        }
        let cycles = (blocks * block) as f64;
        Measured {
            assignment_ns: assigning.as_nanos() as f64 / cycles,
            submit_ns: submitting.as_nanos() as f64 / cycles,
            events_per_s: 2.0 * cycles / (assigning + submitting).as_secs_f64(),
        }
    }

    /// What bots are told: each has one lease, and remembers it.
    fn answer(&mut self) {
        for answer in self.book.finish_batch(Timestamp(self.now)) {
            assert_eq!(answer.leases.len(), 1, "a deep queue has a job for every bot");
            self.leases[answer.session.0 as usize] = Some(answer.leases[0]);
        }
    }

    fn handle(&mut self, event: Event) {
        self.now += EVENT_US;
        self.book.handle(Timestamp(self.now), event).expect("the bench sends what the rules allow");
    }

    fn submit(&mut self) {
        let submit = self.next_submit();
        self.handle(Event::Submit(Box::new(submit)));
    }

    fn next_submit(&mut self) -> Submit {
        self.next_job += 1;
        let mut hash = [0; 32];
        hash[..8].copy_from_slice(&self.next_job.to_be_bytes());
        let class = self.next_job % self.setting.requirement_classes;
        Submit {
            operation: OperationId(spread(self.next_job)),
            instance: self.instance.clone(),
            action: Digest { hash, size_bytes: 140 },
            do_not_cache: false,
            skip_cache_lookup: false,
            lookup_began: Timestamp(self.now),
            requirements: [Property::new("OSFamily", "linux"), Property::new("class", class.to_string())]
                .into_iter()
                .collect(),
            label: "linux".into(),
            lane: self.lane(),
            weight: 1,
            rank: (self.next_job % 8) as i64,
            limits: Vec::new(),
            affinities: self.affinities(),
            again: Default::default(),
            queue_timeout: None,
            execution_timeout: Some(Duration::from_secs(7_200)),
            preferred: None,
        }
    }

    fn lane(&self) -> LaneKey {
        match self.setting.lanes {
            1 => LaneKey::default(),
            lanes => LaneKey(format!("invocation {}", (spread(self.next_job) >> 64) as u64 % lanes).into()),
        }
    }

    fn affinities(&self) -> Vec<Arc<Affinity>> {
        let affinity = |(keys, wait): (u64, Duration)| {
            let key = format!("tree {}", (spread(self.next_job) >> 64) as u64 % keys).into();
            Arc::new(Affinity { key, weight: 1, wait })
        };
        self.setting.keys.map(affinity).into_iter().collect()
    }

    /// Capability class k of n offers every n-th requirement class, and a host name that nobody asks for.
    fn open(&mut self, bot: u64) {
        let own = bot % self.setting.capability_classes;
        let classes = (0..self.setting.requirement_classes)
            .filter(|class| class % self.setting.capability_classes == own % self.setting.requirement_classes);
        let capabilities: PropertySet = classes
            .map(|class| Property::new("class", class.to_string()))
            .chain([Property::new("OSFamily", "linux"), Property::new("host", own.to_string())])
            .collect();
        self.poll += 1;
        let open = OpenSession {
            session: SessionId(u128::from(bot)),
            instance: self.instance.clone(),
            bot_id: bot.to_string().into(),
            identity: "".into(),
            capabilities: vec![capabilities],
            slots: 1,
            hold_when_full: false,
            status: BotStatus::Ok,
            poll: PollId(self.poll),
            hold_until: Some(FOREVER),
            score: 0,
        };
        self.handle(Event::OpenSession(Box::new(open)));
        self.answer();
    }

    fn update_of(&mut self, bot: u64) -> UpdateSession {
        self.poll += 1;
        let session = SessionId(u128::from(bot));
        // Not asked of the book: that would bring into the cache what the update finds outside of it.
        let lease = self.leases[bot as usize].expect("every bot was given a job");
        let state = ReportedState::Completed { code: 0, cacheable: true };
        UpdateSession {
            session,
            bot_id: bot.to_string().into(),
            identity: "".into(),
            status: BotStatus::Ok,
            worker: None,
            leases: vec![LeaseReport { lease, state }],
            poll: PollId(self.poll),
            hold_until: Some(FOREVER),
        }
    }
}

/// Real ids are random: neighbours in time are not neighbours in memory.
fn spread(number: u64) -> u128 {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    u128::from(mixed ^ (mixed >> 29)) << 64 | u128::from(number)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_quick_bench_runs_to_its_end() {
        super::measure(&super::QUICK, &super::QUICK_POLICIES, 100, 1_000).print(true);
    }
}
