//! Many clients at once, and bots that answer at once.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use berth_e2e::{Client, Job, Plan, Site, last, say, stdout};
use futures::future::join_all;
use tokio::task::JoinSet;

const CLIENTS: usize = 64;
const ROUNDS: usize = 200;

/// A server, connections to it, and bots that count what they are given.
struct Crowd {
    _site: Site,
    clients: Vec<Client>,
    leases: Arc<AtomicUsize>,
    _bots: JoinSet<()>,
}

async fn crowd() -> Crowd {
    let site = Site::started(Plan::default()).await;
    let clients = join_all((0..4).map(|_| site.client())).await;
    let (leases, mut bots) = (Arc::new(AtomicUsize::new(0)), JoinSet::new());
    for number in 0..4 {
        let (bot, leases) = (site.bot(&format!("bot-{number}"), 4).await, leases.clone());
        bots.spawn(bot.serve(move |_| {
            leases.fetch_add(1, Ordering::SeqCst);
        }));
    }
    Crowd { _site: site, clients, leases, _bots: bots }
}

impl Crowd {
    /// Every client executes the job. How many operations, results and leases there were.
    async fn run(&self, job: &Job) -> (usize, usize, usize) {
        let request = self.clients[0].prepare(job).await.expect("the blobs are stored");
        let run = |index: usize| {
            let (client, request) = (self.clients[index % self.clients.len()].clone(), request.clone());
            tokio::spawn(async move { last(client.execute(request).await.expect("the action is executed")).await })
        };
        let (mut names, mut results) = (HashSet::new(), HashSet::new());
        for operation in join_all((0..CLIENTS).map(run)).await {
            let operation = operation.expect("no client panics");
            results.insert(stdout(&operation));
            names.insert(operation.name);
        }
        (names.len(), results.len(), self.leases.swap(0, Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_executes_of_one_action_make_one_job() {
    let crowd = crowd().await;
    let started = std::time::Instant::now();
    for round in 0..ROUNDS {
        let counts = crowd.run(&Job::new(format!("round {round}"))).await;
        assert_eq!(counts, (CLIENTS, 1, 1), "operations, results, leases in round {round}");
    }
    say(&format!("together: {ROUNDS} rounds of {CLIENTS} Executes, one job each, in {:.1?}", started.elapsed()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_is_not_to_be_cached_makes_a_job_for_each_request() {
    let crowd = crowd().await;
    for round in 0..5 {
        let job = Job { do_not_cache: true, ..Job::new("the same") };
        assert_eq!(crowd.run(&job).await, (CLIENTS, CLIENTS, CLIENTS), "round {round}");
    }
}
