//! A plugin's table sees each event exactly once, whatever kills the server: the books of `audit` agree with the jobs
//! that there are, to the last one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use berth_e2e::{Bot, Job, LONG, Plan, Site, say, succeed, within};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet};

use super::plugin;

/// Kills; `BERTH_ONCE_KILLS` sets another number.
const KILLS: u64 = 6;

/// Submits jobs as long as somebody listens, over as many servers as it takes.
async fn submit(site: Arc<Site>, numbers: Arc<AtomicU64>, taken: watch::Sender<u64>) {
    loop {
        let client = site.client().await;
        loop {
            let job = Job { do_not_cache: true, ..Job::new(numbers.fetch_add(1, Relaxed).to_string()) };
            let Ok(request) = client.prepare(&job).await else { break };
            let Ok(mut stream) = client.execute(request).await else { break };
            if !matches!(stream.message().await, Ok(Some(_))) {
                break;
            }
            taken.send_modify(|count| *count += 1);
        }
    }
}

/// Serves whatever it gets, over as many servers as it takes.
async fn serve(site: Arc<Site>, mut bot: Bot) {
    loop {
        let said = if bot.session.name.is_empty() {
            bot.open(LONG).await
        } else {
            bot.session.leases.iter_mut().for_each(succeed);
            bot.update(LONG).await
        };
        if said.is_err() {
            bot.reconnect(site.channel().await);
        }
    }
}

/// Waits until no job is incomplete and `audit` has read the feed to its end; answers its books and the jobs.
async fn settled(site: &Site) -> (Value, Vec<Value>) {
    within("the last job is in the books", async {
        loop {
            let jobs = site.ask(&["jobs", "list", "--finished", "--limit", "10000", "--json"]).await.json();
            let audit = plugin(site, &["show", "audit"]).await;
            if jobs["incomplete_total"] == 0 && audit["feed_cursor"] == audit["feed_end"] {
                let rows = plugin(site, &["kv", "audit"]).await["rows"].clone();
                return (rows, jobs["jobs"].as_array().expect("a list").clone());
            }
            // The statistics of nothing: other tasks of this thread have their turn.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
}

fn row(rows: &Value, key: &str) -> Value {
    let rows = rows.as_array().expect("a list");
    let row = rows.iter().find(|row| row["key"] == key).unwrap_or_else(|| panic!("no {key} in {rows:?}"));
    serde_json::from_str(row["value"].as_str().expect("a text")).expect("rows of audit are JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_books_of_audit_agree_with_the_jobs_after_any_number_of_kills() {
    let seed = std::env::var("BERTH_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    let kills = std::env::var("BERTH_ONCE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(KILLS);
    say(&format!("exactly once: seed {seed}, {kills} kills"));
    let mut random = StdRng::seed_from_u64(seed);
    let site = Arc::new(Site::started(Plan::default()).await);
    plugin(&site, &["activate", "audit"]).await;

    let (numbers, taken) = (Arc::new(AtomicU64::new(0)), watch::Sender::new(0));
    let (mut clients, mut bots) = (JoinSet::new(), JoinSet::new());
    for _ in 0..8 {
        clients.spawn(submit(site.clone(), numbers.clone(), taken.clone()));
    }
    for number in 0..3 {
        bots.spawn(serve(site.clone(), site.bot(&format!("bot-{number}"), 4).await));
    }
    let mut count = taken.subscribe();
    for _ in 0..kills {
        let goal = *count.borrow() + random.random_range(50..400);
        within("jobs are taken", count.wait_for(|taken| *taken >= goal)).await.expect("the clients live");
        // Anywhere between two commits.
        tokio::time::sleep(Duration::from_micros(random.random_range(0..20_000))).await;
        site.kill().await;
        site.start().await;
    }
    clients.shutdown().await;
    let (rows, jobs) = settled(&site).await;
    bots.shutdown().await;

    let books = row(&rows, "tenant/");
    say(&format!("exactly once: {} jobs; audit says {books}", jobs.len()));
    assert!(jobs.len() as u64 >= *count.borrow(), "every job that was acknowledged is there");
    let ended = |outcome: &str| json!(jobs.iter().filter(|job| job["outcome"] == outcome).count());
    assert_eq!(books["created"], json!(jobs.len()), "seed {seed}: {books}");
    assert_eq!(books["completed"], ended("ok"), "seed {seed}: {books}");
    assert_eq!(books["cancelled"], ended("cancelled"), "seed {seed}: {books}");
    let sum: u64 = ["completed", "failed", "cancelled"].iter().map(|key| books[key].as_u64().unwrap_or(0)).sum();
    assert_eq!(sum, jobs.len() as u64, "seed {seed}: {books}");
    assert!(rows.as_array().expect("a list").iter().all(|row| row["key"] != "gaps"), "{rows}");
}
