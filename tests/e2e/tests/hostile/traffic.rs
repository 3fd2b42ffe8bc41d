//! Good jobs that flow all the time, of several builds and more of them than bots have room for, and a little of
//! everything else that a policy is asked about: attempts that fail, bots that come anew, jobs that nobody can serve.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI32, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use berth_e2e::{Bot, Client, Job, LONG, Site, code, complete, last, salt, succeed, within};
use berth_proto::bots::device;
use tokio::{sync::watch, task::JoinSet};
use tonic::{Code, Status};

const CLIENTS: usize = 12;
const BOTS: usize = 4;
/// Builds, each with a lane of its own.
const BUILDS: usize = 3;
/// One of so many jobs is failed by the first bot that gets it.
const FAILS: u64 = 10;
/// Between two bots that come anew.
const PAUSE: Duration = Duration::from_millis(50);
/// As long somebody waits for a bot that will never come.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// Runs until it is dropped.
pub(crate) struct Traffic {
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

struct Seen {
    /// Jobs that ended well.
    done: watch::Sender<u64>,
    /// The longest that one Execute took since this was last looked at, refused ones included.
    longest: Mutex<Duration>,
    /// Calls that the policies refused.
    refused: AtomicU64,
    /// Failed once.
    failed: Mutex<HashSet<String>>,
    /// Of all jobs: some guests take it for a wish.
    priority: AtomicI32,
}

impl Traffic {
    pub(crate) async fn start(site: &Site) -> Self {
        let seen = Arc::new(Seen {
            done: watch::Sender::new(0),
            longest: Mutex::default(),
            refused: AtomicU64::new(0),
            failed: Mutex::default(),
            priority: AtomicI32::new(0),
        });
        let mut tasks = JoinSet::new();
        for number in 0..BOTS {
            tasks.spawn(serve(site.bot(&format!("bot-{number}"), 1).await, seen.clone()));
        }
        for number in 0..CLIENTS {
            tasks.spawn(build(
                site.client().await.invoked_as(format!("build-{}", number % BUILDS)),
                number,
                seen.clone(),
            ));
        }
        tasks.spawn(come_anew(site.bot("visitor", 1).await));
        for number in 0..3 {
            tasks.spawn(wait_in_vain(site.client().await, number));
        }
        Self { seen, tasks }
    }

    /// Waits until so many more jobs have ended well; how many that is a second.
    pub(crate) async fn rate(&mut self, jobs: u64) -> f64 {
        let (started, mut done) = (Instant::now(), self.seen.done.subscribe());
        let target = *done.borrow() + jobs;
        let reached = async {
            tokio::select! {
                reached = done.wait_for(|done| *done >= target) => assert!(reached.is_ok(), "the sender is ours"),
                ended = self.tasks.join_next() => panic!("clients and bots go on for ever: {ended:?}"),
            }
        };
        within("good jobs end", reached).await;
        jobs as f64 / started.elapsed().as_secs_f64()
    }

    /// The longest that an Execute took since this was last asked.
    pub(crate) fn longest(&self) -> Duration {
        std::mem::take(&mut *self.seen.longest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Refused calls so far.
    pub(crate) fn refused(&self) -> u64 {
        self.seen.refused.load(Relaxed)
    }

    /// The priority of jobs from now on.
    pub(crate) fn prioritise(&self, priority: i32) {
        self.seen.priority.store(priority, Relaxed);
    }
}

/// A build after the other.
async fn build(client: Client, number: usize, seen: Arc<Seen>) {
    for n in 0_u64.. {
        let platform = vec![("OSFamily", "linux")];
        let priority = seen.priority.load(Relaxed);
        let job = Job { do_not_cache: true, platform, priority, ..Job::new(format!("{number}-{n}")) };
        let request = client.prepare(&job).await.expect("blobs are no business of policies");
        loop {
            let started = Instant::now();
            let ended = match client.execute(request.clone()).await {
                Ok(stream) => Ok(last(stream).await),
                Err(refused) => Err(refused),
            };
            let took = started.elapsed();
            let mut longest = seen.longest.lock().unwrap_or_else(PoisonError::into_inner);
            *longest = longest.max(took);
            drop(longest);
            match ended {
                Ok(operation) => {
                    assert_eq!(code(&operation), Code::Ok, "{operation:?}");
                    break;
                }
                // As clients do: a policy that is at fault may answer the next time.
                Err(status) if is_refusal(&status) => _ = seen.refused.fetch_add(1, Relaxed),
                Err(status) => panic!("{status:?}"),
            }
        }
        seen.done.send_modify(|done| *done += 1);
    }
}

fn is_refusal(status: &Status) -> bool {
    status.code() == Code::Unavailable
}

/// A bot that does what it gets.
async fn serve(mut bot: Bot, seen: Arc<Seen>) {
    // While a policy is at fault no session is opened.
    while bot.open(LONG).await.is_err() {}
    loop {
        for lease in &mut bot.session.leases {
            let salt = salt(lease);
            let (_, n) = salt.split_once('-').expect("that is how jobs are salted");
            let unlucky = n.parse::<u64>().expect("a number") % FAILS == 0;
            let first = unlucky && seen.failed.lock().unwrap_or_else(PoisonError::into_inner).insert(salt);
            if first { complete(lease, None, Code::Internal as i32) } else { succeed(lease) }
        }
        bot.update(LONG).await.expect("a session goes on whatever policies do");
    }
}

/// A bot that opens one session after the other, each time with an offer that nobody knows and nobody needs.
async fn come_anew(mut bot: Bot) {
    for number in 0_u64.. {
        let worker = bot.session.worker.as_mut().expect("it has one");
        worker.devices[0].properties =
            vec![device::Property { key: "OSFamily".into(), value: format!("visitor-{number}") }];
        bot.forget();
        if let Err(refused) = bot.open(LONG).await {
            assert!(is_refusal(&refused), "{refused:?}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A client whose jobs nobody can serve: each of another kind.
async fn wait_in_vain(client: Client, number: usize) {
    const KINDS: [&str; 3] = ["plan9", "amiga", "multics"];
    for n in 0_u64.. {
        let platform = vec![("OSFamily", KINDS[number % KINDS.len()])];
        let job = Job { do_not_cache: true, platform, ..Job::new(format!("vain-{number}-{n}")) };
        let request = client.prepare(&job).await.expect("blobs are no business of policies");
        let Ok(mut stream) = client.execute(request).await else { continue };
        let Ok(Some(operation)) = stream.message().await else { continue };
        // It ends by itself where the policies refuse it.
        let ended = async { while let Ok(Some(_)) = stream.message().await {} };
        if tokio::time::timeout(PATIENCE, ended).await.is_err() {
            client.cancel(&operation.name).await.expect("what waits can be cancelled");
        }
    }
}
