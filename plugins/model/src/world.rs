//! The world: events in the order of their times, and after each of them bots get what they can.

use std::collections::{BTreeMap, BTreeSet};

use berth_policy_sdk::choosing::{Lanes as Views, Worker};
use berth_policy_sdk::priority::Affinity;
use berth_policy_sdk::{Jobs, Places};

use crate::bots::Bots;
use crate::counters::Counters;
use crate::job::question;
use crate::lanes::{Lanes, Waiting};
use crate::{Job, Outcome, Run};

/// Jobs that are placed in one call.
const BATCH_MAX: usize = 1024;

type Place<'a> = Box<dyn FnMut(&Jobs, u64) -> Places + 'a>;
type Choose<'a> = Box<dyn FnMut(&Worker, &Views, bool) -> Option<u32> + 'a>;

/// A world with bots and a policy, in which jobs are run.
pub struct World<'a> {
    place: Place<'a>,
    choose: Option<Choose<'a>>,
    bots: Bots,
    lanes: Lanes,
    counters: Counters,
    placed: BTreeMap<usize, Placed>,
    /// What happens when: at the same time, ends before arrivals, as the kinds are ordered.
    due: BTreeSet<(u64, Due)>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Ends {
        job: usize,
        bot: usize,
    },
    Arrives(usize),
    Again(usize),
    /// A job that waited for a bot that knows it waits no longer.
    AnyBot(usize),
}

/// Where a job stands.
#[derive(Clone, Debug, Default)]
struct Placed {
    lane: String,
    rank: i64,
    counters: Vec<String>,
    affine: Vec<Affinity>,
    arrived_ms: u64,
}

impl Placed {
    fn waiting(&self, job: usize) -> Waiting {
        (self.rank, self.arrived_ms, job)
    }

    fn waits_for_a_bot_that_knows_it_until_ms(&self) -> u64 {
        self.arrived_ms + self.affine.iter().map(|one| u64::from(one.wait_ms)).max().unwrap_or(0)
    }
}

impl<'a> World<'a> {
    /// A world with so many bots, each with one slot. `place` is also told the time.
    pub fn new(bots: usize, place: impl FnMut(&Jobs, u64) -> Places + 'a) -> Self {
        Self {
            place: Box::new(place),
            choose: None,
            bots: Bots::new(bots),
            lanes: Lanes::default(),
            counters: Counters::default(),
            placed: BTreeMap::new(),
            due: BTreeSet::new(),
            outcome: Outcome::default(),
        }
    }

    /// The policy also chooses lanes.
    pub fn choosing(mut self, choose: impl FnMut(&Worker, &Views, bool) -> Option<u32> + 'a) -> Self {
        self.choose = Some(Box::new(choose));
        self
    }

    /// Runs the jobs to their end, or to `until_ms`.
    pub fn run(mut self, jobs: &[Job], until_ms: u64) -> Outcome {
        self.due.extend(jobs.iter().enumerate().map(|(number, job)| (job.arrives_ms, Due::Arrives(number))));
        let mut before = 0;
        while let Some((now, _)) = self.due.first().copied() {
            if now > until_ms {
                break;
            }
            if self.lanes.0.values().any(|lane| !lane.waiting.is_empty()) {
                self.outcome.idle_ms += (now - before) * self.bots.waiting.len() as u64;
            }
            before = now;
            self.step(jobs, now);
            while self.assign(jobs, now) {}
        }
        let peaks = self.counters.0.into_iter().map(|(name, one)| (name, (one.most_running, one.most_queued)));
        self.outcome.peaks = peaks.collect();
        self.outcome
    }

    /// All that is due now.
    fn step(&mut self, jobs: &[Job], now: u64) {
        let mut to_place = Vec::new();
        while let Some((_, due)) = self.due.first().copied().filter(|(at, _)| *at == now) {
            self.due.pop_first();
            match due {
                Due::Ends { job, bot } => self.ends(job, bot),
                Due::Arrives(job) => to_place.push(job),
                Due::Again(job) if self.waits(job) => to_place.push(job),
                Due::Again(_) | Due::AnyBot(_) => (),
            }
        }
        for batch in to_place.chunks(BATCH_MAX) {
            self.place(jobs, batch, now);
        }
    }

    fn waits(&self, job: usize) -> bool {
        self.placed.get(&job).is_some_and(|placed| self.lanes.0[&placed.lane].waiting.contains(&placed.waiting(job)))
    }

    fn place(&mut self, jobs: &[Job], batch: &[usize], now: u64) {
        let rows: Vec<(&Job, u64)> = batch.iter().map(|job| (&jobs[*job], now - jobs[*job].arrives_ms)).collect();
        let question = question(&rows);
        let places = (self.place)(&question, now);
        let text = |index: u32| {
            let index = index as usize;
            let ours = index.checked_sub(question.strings.len());
            ours.map_or_else(|| question.strings[index].clone(), |index| places.strings[index].clone())
        };
        places.limits.iter().for_each(|limit| self.counters.learn(limit));
        for (row, &job) in batch.iter().enumerate() {
            let of = |column: &Option<Vec<Vec<u32>>>| column.as_ref().map_or(Vec::new(), |column| column[row].clone());
            let new = Placed {
                lane: places.lane.as_ref().map_or(String::new(), |column| text(column[row])),
                rank: places.rank.as_ref().map_or(0, |column| column[row]),
                counters: of(&places.counters).iter().map(|at| places.limits[*at as usize].name.clone()).collect(),
                affine: of(&places.affine).iter().map(|at| places.affinities[*at as usize].clone()).collect(),
                arrived_ms: jobs[job].arrives_ms,
            };
            let weight = places.weight.as_ref().map_or(1, |column| column[row]);
            let again_ms = places.again_ms.as_ref().map_or(0, |column| column[row]);
            if again_ms > 0 {
                self.due.insert((now + u64::from(again_ms), Due::Again(job)));
            }
            self.stand(job, new, weight, now);
        }
    }

    /// The job gets its place, or a new one.
    fn stand(&mut self, job: usize, new: Placed, weight: u32, now: u64) {
        match self.placed.get(&job) {
            Some(old) => {
                let lane = self.lanes.0.get_mut(&old.lane).expect("a placed job has a lane");
                lane.waiting.remove(&old.waiting(job));
                lane.arrivals.remove(&(old.arrived_ms, job));
            }
            None if self.counters.may_queue(&new.counters) => self.counters.queued(&new.counters),
            None => {
                self.outcome.refused.push(job);
                return;
            }
        }
        let until = new.waits_for_a_bot_that_knows_it_until_ms();
        if until > now {
            self.due.insert((until, Due::AnyBot(job)));
        }
        let lane = self.lanes.0.entry(new.lane.clone()).or_default();
        lane.weight = weight;
        lane.waiting.insert(new.waiting(job));
        lane.arrivals.insert((new.arrived_ms, job));
        self.placed.insert(job, new);
    }

    /// Gives one job to one bot, if there is a job that may go and a bot that waits.
    fn assign(&mut self, jobs: &[Job], now: u64) -> bool {
        let Some((_, longest)) = self.bots.waiting.first().copied() else { return false };
        let ready = |job: usize| {
            let placed = &self.placed[&job];
            let knows = || self.bots.best_for(&placed.affine).is_some_and(|(_, shared)| shared > 0);
            self.counters.may_run(&placed.counters)
                && (now >= placed.waits_for_a_bot_that_knows_it_until_ms() || knows())
        };
        let claims = |job: usize| ready(job) && self.counters.claims(&self.placed[&job].counters);
        let mut heads = if self.counters.any_claims() { self.lanes.heads(claims) } else { Vec::new() };
        if heads.is_empty() {
            heads = self.lanes.heads(ready);
        }
        let index = match &mut self.choose {
            Some(choose) if heads.len() > 1 => {
                self.outcome.chosen += 1;
                let worker = Worker { bot_id: format!("bot-{longest}"), slots: 1, ..Worker::default() };
                let (views, truncated) = self.lanes.views(&heads, now);
                choose(&worker, &views, truncated).unwrap_or(0) as usize
            }
            _ => 0,
        };
        let Some((_, _, job)) = heads.get(index).map(|head| head.job) else { return false };
        self.starts(job, jobs[job].runs_ms, now);
        true
    }

    fn starts(&mut self, job: usize, runs_ms: u64, now: u64) {
        let placed = &self.placed[&job];
        let (bot, shared) = self.bots.best_for(&placed.affine).expect("a bot waits");
        self.bots.takes(bot, &placed.affine);
        self.counters.started(&placed.counters);
        let lane = self.lanes.0.get_mut(&placed.lane).expect("a placed job has a lane");
        lane.waiting.remove(&placed.waiting(job));
        lane.arrivals.remove(&(placed.arrived_ms, job));
        lane.running += 1;
        let ended_ms = now + runs_ms.max(1);
        self.due.insert((ended_ms, Due::Ends { job, bot }));
        self.outcome.runs.push(Run { job, bot, started_ms: now, ended_ms, shared });
    }

    fn ends(&mut self, job: usize, bot: usize) {
        let placed = &self.placed[&job];
        self.lanes.0.get_mut(&placed.lane).expect("a placed job has a lane").running -= 1;
        self.counters.ended(&placed.counters);
        self.bots.waits(bot);
    }
}
