//! A policy that says which bots fit, which a job would like, and how good they are, through a whole server.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use berth_core::{Property, PropertySet};
use berth_runtime::{
    builtin::BuiltinPolicy,
    policy::{
        Asks, ExecutionProperties, ExecutionQuestion, Fit, PlaceQuestion, Placement, Policy, PolicyError,
        WorkerProperties, WorkerQuestion, hooks::MatchQuestion,
    },
};

use crate::house::{House, Job, LONG, last, response, succeed};

/// `cores` is a number, of which a bot must have at least as many; the fewer are left over, the better. A bot with a
/// `score` has that.
#[derive(Default)]
struct AtLeast {
    matches: bool,
    /// As many calls are faults before one is answered.
    faults: AtomicU32,
    asked: AtomicU32,
}

impl Policy for AtLeast {
    fn execution_properties(&self, question: &ExecutionQuestion<'_>) -> Result<Arc<ExecutionProperties>, PolicyError> {
        let answer = BuiltinPolicy.execution_properties(question)?;
        let mut answer = ExecutionProperties::clone(&answer);
        if answer.requirements.iter().any(|property| &*property.name == "likes") {
            let needed: PropertySet = answer.requirements.iter().filter(|p| &*p.name != "likes").cloned().collect();
            answer.preferred = Some(needed.iter().cloned().chain([Property::new("pool", "big")]).collect());
            answer.requirements = needed;
        }
        Ok(Arc::new(answer))
    }

    fn worker_properties(&self, question: &WorkerQuestion<'_>) -> Result<WorkerProperties, PolicyError> {
        let score = question.properties.iter().find(|(name, _)| name == "score");
        let score = score.map_or(0, |(_, score)| score.parse().unwrap());
        Ok(WorkerProperties { score, ..BuiltinPolicy.worker_properties(question)? })
    }

    fn place(&self, questions: &[PlaceQuestion<'_>]) -> Vec<Placement> {
        BuiltinPolicy.place(questions)
    }

    fn asks(&self, _: &str) -> Asks {
        Asks { matching: self.matches, ..Asks::default() }
    }

    fn matches(&self, question: &MatchQuestion<'_>) -> Option<Fit> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let fault = self.faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        let cores = |set: &PropertySet| {
            let cores = set.iter().find(|property| &*property.name == "cores");
            cores.map_or(1, |property| property.value.parse::<u32>().unwrap())
        };
        let fit = |(need, offer): &(u32, u32)| {
            let needed = cores(&question.needs[*need as usize].1);
            let left = cores(&question.offers[*offer as usize][0]).checked_sub(needed);
            left.map_or(0, |left| 1_000 - left)
        };
        let scores = question.pairs.iter().map(|pair| if fault { 0 } else { fit(pair) }).collect();
        Some(Fit { scores, lasting: !fault })
    }
}

fn job(salt: &str, platform: &[(&'static str, &'static str)]) -> Job {
    Job { platform: platform.to_vec(), ..Job::new(salt) }
}

#[tokio::test]
async fn the_bot_that_fits_best_gets_a_job_that_none_contains() {
    let server = House::with(Arc::new(AtLeast { matches: true, ..AtLeast::default() })).start().await;
    let client = server.connect().await;
    let mut held = Vec::new();
    for (bot, cores) in [("large", "64"), ("medium", "16"), ("small", "2")] {
        let mut bot = client.bot_with(bot, 1, &[("cores", cores)]);
        bot.open(Duration::from_millis(50)).await.unwrap();
        let mut asking = bot.clone();
        held.push((
            bot,
            tokio::spawn(async move {
                asking.update(LONG).await.unwrap();
                asking
            }),
        ));
    }
    while server.engine.read(|book| book.sessions().iter().filter(|s| s.asking).count()).await.unwrap() < 3 {
        tokio::task::yield_now().await;
    }
    let (_, stream) = client.begin(&job("a", &[("cores", "8")])).await;
    let (_, asking) = held.remove(1);
    let mut medium = asking.await.unwrap();
    assert_eq!(medium.session.leases.len(), 1);
    medium.finish_all(succeed);
    medium.update(Duration::from_millis(100)).await.unwrap();
    assert_eq!(response(&last(stream).await).status.unwrap_or_default().code, 0);
}

#[tokio::test]
async fn a_policy_that_could_not_say_is_asked_again() {
    let policy = Arc::new(AtLeast { matches: true, faults: AtomicU32::new(1), ..AtLeast::default() });
    let server = House::with(policy.clone()).start().await;
    let client = server.connect().await;
    let mut bot = client.bot_with("bot", 1, &[("cores", "8")]);
    let taken = tokio::spawn(async move {
        bot.take().await;
        bot
    });
    let (_, _stream) = client.begin(&job("a", &[("cores", "4")])).await;
    assert_eq!(taken.await.unwrap().session.leases.len(), 1);
    assert_eq!(policy.asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn what_a_job_would_like_and_how_good_a_bot_is_reach_the_core() {
    let server = House::with(Arc::new(AtLeast::default())).start().await;
    let client = server.connect().await;
    let mut asking = Vec::new();
    let bots: [(&str, &[(&str, &str)]); 3] =
        [("plain", &[("score", "1")]), ("better", &[("score", "7")]), ("big", &[("pool", "big")])];
    for (name, properties) in bots {
        let mut bot = client.bot_with(name, 1, properties);
        bot.open(Duration::from_millis(50)).await.unwrap();
        asking.push(tokio::spawn(async move {
            bot.update(LONG).await.unwrap();
            bot
        }));
    }
    while server.engine.read(|book| book.sessions().iter().filter(|s| s.asking).count()).await.unwrap() < 3 {
        tokio::task::yield_now().await;
    }
    let (_, _liking) = client.begin(&job("a", &[("likes", "big")])).await;
    assert_eq!(asking.pop().unwrap().await.unwrap().session.leases.len(), 1);
    let (_, _plain) = client.begin(&job("b", &[])).await;
    assert_eq!(asking.pop().unwrap().await.unwrap().session.leases.len(), 1);
}
