//! Many clients at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::future::join_all;
use tokio::task::JoinHandle;

use crate::house::{Client, House, Job, LONG, Server, last, response, succeed};

const CLIENTS: usize = 64;
const ROUNDS: usize = 200;

/// A bot that answers at once, for ever; counts what it is given.
fn spawn_bot(client: &Client, name: &str, leases: &Arc<AtomicUsize>) -> JoinHandle<()> {
    let (mut bot, leases) = (client.bot(name, 4), leases.clone());
    tokio::spawn(async move {
        bot.open(LONG).await.unwrap();
        loop {
            leases.fetch_add(bot.session.leases.len(), Ordering::SeqCst);
            // Each is reported at once, so each that is in an answer is new.
            bot.finish_all(succeed);
            bot.update(LONG).await.unwrap();
        }
    })
}

async fn server_with_bots() -> (Server, Vec<Client>, Arc<AtomicUsize>, Vec<JoinHandle<()>>, House) {
    let house = House::new();
    let server = house.start().await;
    let clients = join_all((0..4).map(|_| server.connect())).await;
    let leases = Arc::new(AtomicUsize::new(0));
    let bots = (0..4).map(|index| spawn_bot(&clients[index], &format!("bot-{index}"), &leases)).collect();
    (server, clients, leases, bots, house)
}

async fn run_all(clients: &[Client], job: &Job) -> usize {
    let request = clients[0].prepare(job).await;
    let run = |index: usize| {
        let (client, request) = (clients[index % clients.len()].clone(), request.clone());
        tokio::spawn(async move { last(client.execute(request).await.unwrap()).await })
    };
    let done = join_all((0..CLIENTS).map(run)).await;
    let names: std::collections::HashSet<_> = done
        .into_iter()
        .map(|operation| {
            let operation = operation.unwrap();
            assert_eq!(response(&operation).result.unwrap().stdout_raw, "done\n");
            operation.name
        })
        .collect();
    names.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn simultaneous_executes_of_one_action_make_one_job() {
    let (_server, clients, leases, _bots, _house) = server_with_bots().await;
    for round in 0..ROUNDS {
        let operations = run_all(&clients, &Job::new(format!("round {round}"))).await;
        assert_eq!((operations, leases.swap(0, Ordering::SeqCst)), (CLIENTS, 1), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_action_that_is_not_to_be_cached_makes_a_job_for_each_request() {
    let (_server, clients, leases, _bots, _house) = server_with_bots().await;
    let job = Job { do_not_cache: true, ..Job::new("a") };
    let operations = run_all(&clients, &job).await;
    assert_eq!((operations, leases.load(Ordering::SeqCst)), (CLIENTS, CLIENTS));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_open_executes_share_a_connection() {
    let house = House::new();
    let server = house.start().await;
    let client = server.connect().await;
    let request = client.prepare(&Job::new("a")).await;
    let open = join_all((0..3_000).map(|_| client.execute(request.clone()))).await;
    let streams: Vec<_> = open.into_iter().map(Result::unwrap).collect();
    let leases = Arc::new(AtomicUsize::new(0));
    let _bot = spawn_bot(&client, "bot", &leases);
    join_all(streams.into_iter().map(last)).await;
    assert_eq!(leases.load(Ordering::SeqCst), 1);
}
