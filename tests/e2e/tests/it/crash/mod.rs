//! The server is killed again and again while clients submit and bots work; then every acknowledged operation is
//! accounted for.
//!
//! Three modes: a plain SIGKILL; a SIGKILL after which everything that was not synced is cut off; and the same with
//! syncing turned off, where the account must not balance: that shows that the cut bites, and that the account sees
//! it. `clients` and `bots` make the load, `accounts` says what is wrong.
//!
//! The moments of the kills and what everybody does come from a seed, printed first; `BERTH_E2E_SEED` sets it. The
//! interleaving is the machine's: a seed brings back a kind of run, not a run.

mod accounts;
mod bots;
mod clients;

use std::{fmt, sync::Arc, time::Duration};

use berth_e2e::{Cut, Plan, Site, say, within};
use berth_proto::longrunning::Operation;
use futures::{StreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{sync::watch, task::JoinSet};

use self::accounts::Accounts;

const CLIENTS: u64 = 16;

/// A run of many kills.
struct Storm {
    name: &'static str,
    site: Arc<Site>,
    accounts: Arc<Accounts>,
    seed: u64,
    random: StdRng,
    power: bool,
    kills: Kills,
}

#[derive(Default)]
struct Kills {
    serving: u64,
    starting: u64,
    cut: Cut,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_done_twice_when_the_server_is_killed() {
    let mut storm = Storm::begin("kill", Plan::default()).await;
    storm.rage(14, 60..400).await;
    let wrong = storm.settle().await;
    assert!(wrong.is_empty(), "{storm}\n{}", some(&wrong));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_done_twice_when_the_power_is_cut() {
    let mut storm = Storm::begin("power cut", Plan { power: true, ..Plan::default() }).await;
    storm.rage(12, 60..400).await;
    let wrong = storm.settle().await;
    assert!(wrong.is_empty(), "{storm}\n{}", some(&wrong));
    assert!(storm.kills.cut.bytes > 0, "a power cut that takes nothing proves nothing: {storm}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_syncing_a_power_cut_loses_what_was_acknowledged_and_this_test_sees_it() {
    let plan = Plan { power: true, config: "[store]\nsync = false\n", ..Plan::default() };
    let mut storm = Storm::begin("power cut, syncing off", plan).await;
    storm.rage(2, 60..100).await;
    let wrong = storm.settle().await;
    let lost = wrong.iter().filter(|line| line.starts_with("operation")).count();
    say(&format!("{}: {lost} operations are found to be lost, as they should be", storm.name));
    assert!(lost > 0, "{storm}\n{}", some(&wrong));
}

/// The first of many lines: more help nobody.
fn some(lines: &[String]) -> String {
    format!("{} things are wrong:\n{}", lines.len(), lines[..lines.len().min(40)].join("\n"))
}

impl Storm {
    async fn begin(name: &'static str, plan: Plan) -> Self {
        let seed = match std::env::var("BERTH_E2E_SEED") {
            Ok(seed) => seed.parse().expect("BERTH_E2E_SEED is a number"),
            Err(_) => rand::random(),
        };
        say(&format!("{name}: seed {seed}"));
        let site = Arc::new(Site::started(plan).await);
        let (accounts, random) = (Arc::new(Accounts::new()), StdRng::seed_from_u64(seed));
        Self { name, site, accounts, seed, random, power: plan.power, kills: Kills::default() }
    }

    /// Kills the server so many times, each after some progress, while everybody works; then waits until every
    /// operation has ended that anybody was promised.
    async fn rage(&mut self, kills: u64, progress: std::ops::Range<u64>) {
        let mut bots = JoinSet::new();
        for (number, nature) in (0..).zip(bots::NATURES) {
            let random = StdRng::seed_from_u64(self.seed ^ (0x1000 + number));
            bots.spawn(bots::live(self.site.clone(), self.accounts.clone(), number, nature, random));
        }
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        for number in 0..CLIENTS {
            let random = StdRng::seed_from_u64(self.seed ^ (0x2000 + number));
            clients.spawn(clients::work(self.site.clone(), self.accounts.clone(), random, stopped.clone()));
        }
        let mut done = self.accounts.progress();
        for _ in 0..kills {
            let goal = *done.borrow() + self.random.random_range(progress.clone());
            within("progress", done.wait_for(|done| *done >= goal)).await.expect("the accounts live");
            self.kill().await;
            self.site.start().await;
        }
        stop.send_replace(true);
        while let Some(ended) = clients.join_next().await {
            ended.expect("no client panics");
        }
        let open = self.accounts.open_operations();
        let follow = |name: String| clients::follow(&self.site, &self.accounts, name);
        stream::iter(open).map(follow).buffer_unordered(64).collect::<()>().await;
        bots.shutdown().await;
    }

    async fn kill(&mut self) {
        // Not a wait: the moment should have nothing to do with the operation that was counted last.
        tokio::time::sleep(Duration::from_micros(self.random.random_range(0..20_000))).await;
        self.site.kill().await;
        self.kills.serving += 1;
        self.cut();
        if self.random.random_bool(0.3) {
            // In the middle of a recovery.
            self.site.spawn();
            tokio::time::sleep(Duration::from_micros(self.random.random_range(0..300_000))).await;
            self.site.kill().await;
            self.kills.starting += 1;
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.power {
            let cut = self.site.cut();
            self.kills.cut.files += cut.files;
            self.kills.cut.names.extend(cut.names);
            self.kills.cut.bytes += cut.bytes;
        }
    }

    /// One more kill, and then everything that ended must still have ended so. Answers all that is wrong.
    async fn settle(&mut self) -> Vec<String> {
        self.kill().await;
        self.site.start().await;
        let client = self.site.client().await;
        let look = |(name, ended): (String, Operation)| {
            let (client, accounts) = (&client, &self.accounts);
            async move {
                match client.get(&name).await {
                    Ok(found) if found == ended => {}
                    Ok(found) => accounts.wrong(format!("{name} ended as {ended:?} and is now {found:?}")),
                    Err(status) => accounts.lost(&name, &status),
                }
            }
        };
        stream::iter(self.accounts.ended_operations()).map(look).buffer_unordered(64).collect::<()>().await;
        for blob in client.missing(self.accounts.stored_blobs()).await.expect("the server lives") {
            self.accounts.wrong(format!("blob {} was acknowledged and is lost", blob.hash));
        }
        say(&self.to_string());
        self.accounts.balance()
    }
}

impl fmt::Display for Storm {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Kills { serving, starting, cut } = &self.kills;
        write!(out, "{}: seed {}; {serving} kills while serving, {starting} while starting", self.name, self.seed)?;
        if self.power {
            write!(out, "; cut off {} bytes: {} files shortened, gone {:?}", cut.bytes, cut.files, cut.names)?;
        }
        write!(out, "; {}", self.accounts.counts())
    }
}
