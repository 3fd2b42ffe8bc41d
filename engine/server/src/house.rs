//! The wiring: every room of the server, in the order in which they depend on each other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::Context;
use berth_api::{Health, Services, Unpinner, transport};
use berth_bot::{BotConfig, Shutdown};
use berth_cas::{EmbeddedCas, ExternalCas, Storage, StorageOptions, SystemClock};
use berth_core::InstanceName;
use berth_proto::admin::plugins_server::PluginsServer;
use berth_runtime::{
    Committer, Engine, EngineError, Options,
    cas::Cas,
    clock::Clock,
    feed::Listeners,
    recover::{Limits, RecoverError},
    store::{PartitionId, Store, StoreError},
    sweep,
    work::Namespaces,
};
use berth_store::{RocksOptions, RocksStore};
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tonic::service::RoutesBuilder;

use crate::{
    bot,
    calls::Calls,
    config::Config,
    coordinate,
    doors::{Doors, Plain, Serving},
    http,
    metrics::{JobMetrics, Metrics, WorkMetrics},
    plugins::service::PluginService,
    policy, served,
};

/// All instances are in one partition for now: a partition is the unit that moves when there are several servers.
const PARTITION: PartitionId = PartitionId(0);

/// How often the disk is looked at, and retention steps.
const SPACE_EVERY: Duration = Duration::from_secs(1);
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// How often core is told what policies want to be asked, if that has changed.
const POLICIES_EVERY: Duration = Duration::from_secs(1);

/// How long events gather before their consumers are asked, where few happen: each call is followed by a commit, and a
/// build that sends one action after the other would wait behind those.
const LISTEN_LINGER: Duration = Duration::from_millis(10);

/// A running server.
pub(crate) struct House {
    pub(crate) grpc_address: SocketAddr,
    pub(crate) http_address: SocketAddr,
    /// None: Coordinate's clients are not served.
    pub(crate) coordinate_address: Option<SocketAddr>,
    engine: Engine,
    work: Namespaces,
    /// Namespaces whose driver panicked.
    work_failed: mpsc::UnboundedReceiver<String>,
    /// Consumers of the event feed: one for each plugin that hears events.
    listeners: Arc<Listeners>,
    driver: JoinHandle<Result<(), RecoverError>>,
    health: Health,
    bots: Vec<JoinHandle<()>>,
    bots_shutdown: Shutdown,
    grpc: Serving,
    coordinate: Vec<Plain>,
    http: JoinHandle<std::io::Result<()>>,
    /// Dropped last: the driver and all connections live on their threads.
    _doors: Doors,
}

/// Where blobs live.
enum Blobs {
    Embedded(EmbeddedCas),
    External(Box<ExternalCas>),
}

impl House {
    pub(crate) async fn open(config: &Config) -> anyhow::Result<Self> {
        // Doors first: a taken port is the commonest mistake, and it must not cost a recovery to learn of it.
        let grpc = TcpListener::bind(config.grpc)
            .await
            .with_context(|| format!("cannot listen on {} (--grpc ADDR sets another)", config.grpc))?;
        let http_listener = http::bind(config.http).await?;
        let coordinate = coordinate::bind(config).await?;
        let (grpc_address, http_address) = (grpc.local_addr()?, http_listener.local_addr()?);

        std::fs::create_dir_all(&config.data)
            .with_context(|| format!("cannot make the data folder {}", config.data.display()))?;
        let store = open_store(config)?;
        let policies = policy::start(config, &store, PARTITION)?;
        let blobs = open_blobs(config)?;
        let cas = blobs.port();
        let committer = Committer::start(store.clone(), Arc::new(stop_process)).context("no thread for commits")?;
        let commits = committer.counters();
        let clock = Clock::system();
        let options = Options {
            settings: config.settings(),
            clock: clock.clone(),
            observer: Arc::new(Unpinner::new(cas.clone())),
            reserve_bytes: config.raw.store.reserve_bytes,
            heads: Limits::default(),
            policy: policies.policy.clone(),
            cohorts: Arc::new(config.raw.scheduler.cohorts()?),
        };
        let doors = Doors::build()?;
        let (engine, driver, work, work_failed) = {
            let _there = doors.driver().enter();
            let policy = policies.policy.clone();
            let (work, work_failed) = coordinate::open(config, &store, committer.clone(), clock, policy)?;
            let (engine, driver) = Engine::start(store, committer, PARTITION, options).context("recovery failed")?;
            (engine, driver, work, work_failed)
        };
        tokio::spawn(pin_recovered(engine.clone(), cas.clone()));
        tokio::spawn(watch_space(engine.clone()));
        let all = config.raw.scheduler.bots_for_all_instances.then_some(InstanceName::ALL);
        let instances = config.instances.iter().map(String::as_str).chain(all);
        let instances: Vec<_> = instances.map(InstanceName::from).collect();
        // Before a bot can ask: what it may be given is for the policies to say from the first job on.
        engine.learn_asks(&instances).await.context("the engine does not learn of policies")?;
        tokio::spawn(follow_policies(engine.clone(), instances));
        tokio::spawn(adopt_cohorts(engine.clone()));
        tokio::spawn(keep_tidy(engine.clone(), work.clone(), config.retention()));

        let services = Services::new(served::instances(config, &engine), policies.policy, cas, served::config(config));
        let mut routes = RoutesBuilder::default();
        let health = services.add_services(&mut routes).await;
        blobs.add_services(&mut routes);
        routes
            .add_service(coordinate::service(work.clone(), &engine).into_server(config.raw.coordinate.frame_bytes_max));
        let listeners = Arc::new(Listeners::new(engine.clone(), LISTEN_LINGER));
        let mut plugins = None;
        if let Some(in_force) = policies.plugins {
            let registry = in_force.attach(engine.clone(), listeners.clone(), &config.instances);
            plugins = Some(registry.clone());
            let (heard, namespaces) = (registry.clone(), work.clone());
            tokio::spawn(async move { heard.hear_work(namespaces).await });
            routes.add_service(PluginsServer::new(PluginService { registry }).max_decoding_message_size(4 << 20));
        }
        let first = work.get(&config.raw.coordinate.namespace).expect("the first namespace is always there");
        let door = coordinate::door(config, first, &engine);
        let of_work = WorkMetrics::new(work.clone(), door.figures());
        let calls = Arc::new(Calls::new());
        let of_jobs = JobMetrics {
            engine: engine.clone(),
            phases: services.phases(),
            calls: calls.clone(),
            connections: doors.connections(),
            storage: blobs.storage(),
        };
        let metrics = Metrics::new(engine.clone(), commits, plugins, listeners.clone(), of_jobs, of_work);
        let metrics = Arc::new(metrics);
        let bots_shutdown = Shutdown::new();
        let grpc = doors.serve(grpc, &mut transport(), &calls.count(routes.routes()));
        let coordinate_address = coordinate.first().map(|bound| bound.address);
        let coordinate = coordinate::serve(&doors, coordinate, &door, &work).await?;
        let bots = start_bots(config, grpc_address, &bots_shutdown)?;
        Ok(Self {
            grpc_address,
            http_address,
            coordinate_address,
            engine,
            work,
            work_failed,
            listeners,
            driver,
            health,
            bots,
            bots_shutdown,
            grpc,
            coordinate,
            http: tokio::spawn(http::serve(http_listener, metrics)),
            _doors: doors,
        })
    }

    /// Waits for a part that should never end.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        tokio::select! {
            ended = self.grpc.ended() => anyhow::anyhow!("the gRPC server ended: {ended:?}"),
            ended = &mut self.http => anyhow::anyhow!("the HTTP server ended: {ended:?}"),
            ended = &mut self.driver => match ended {
                Ok(Err(error)) => anyhow::Error::new(error).context("recovery failed"),
                ended => anyhow::anyhow!("the driver ended: {ended:?}"),
            },
            namespace = self.work_failed.recv() => anyhow::anyhow!("the driver of namespace {namespace:?} ended"),
        }
    }

    /// Stop admitting, let leases stand, commit, leave. Open streams end UNAVAILABLE, so that clients come back.
    pub(crate) async fn close(mut self, patience: Duration) {
        self.bots_shutdown.kill();
        for bot in self.bots.drain(..) {
            // A bot that hangs must not hold the exit.
            let _ = tokio::time::timeout(patience, bot).await;
        }
        self.health.stop_serving().await;
        self.listeners.close().await;
        // Before the books: what was asked is still answered.
        futures::future::join_all(self.coordinate.iter().map(|door| door.stop(patience))).await;
        if tokio::time::timeout(patience, self.work.stop()).await.is_err() {
            tracing::warn!("the last commit of the work book is taking long");
        }
        self.engine.stop().await;
        // It may be what failed: a task is waited for once.
        if !self.driver.is_finished() && tokio::time::timeout(patience, &mut self.driver).await.is_err() {
            tracing::warn!("the last commit is taking long");
        }
        if tokio::time::timeout(patience, self.grpc.stop()).await.is_err() {
            tracing::info!("some connections did not end in time and are cut");
        }
        self.http.abort();
    }
}

impl Blobs {
    fn port(&self) -> Arc<dyn Cas> {
        match self {
            Self::Embedded(cas) => Arc::new(cas.clone()),
            Self::External(cas) => Arc::new(ExternalCas::clone(cas)),
        }
    }

    fn storage(&self) -> Option<Arc<Storage>> {
        match self {
            Self::Embedded(cas) => Some(cas.storage().clone()),
            Self::External(_) => None,
        }
    }

    fn add_services(&self, routes: &mut RoutesBuilder) {
        match self {
            Self::Embedded(cas) => cas.add_services(routes),
            Self::External(cas) => cas.add_services(routes),
        }
    }
}

fn open_store(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let options = RocksOptions { sync: config.raw.store.sync, ..RocksOptions::default() };
    if !options.sync {
        tracing::warn!("store.sync is off: a power cut loses acknowledged work");
    }
    Ok(Arc::new(RocksStore::open(config.data.join("store"), &options)?))
}

fn open_blobs(config: &Config) -> anyhow::Result<Blobs> {
    let raw = &config.raw.cas;
    let min_age = Duration::from_secs(raw.min_age_s);
    if !raw.address.is_empty() {
        let cas = ExternalCas::connect(&raw.address, min_age)
            .with_context(|| format!("cas.address = {:?}: expected HOST:PORT", raw.address))?;
        return Ok(Blobs::External(Box::new(cas)));
    }
    let options = StorageOptions {
        max_bytes: (raw.max_bytes > 0).then_some(raw.max_bytes),
        reserve_bytes: config.raw.store.reserve_bytes,
        min_age,
        ..StorageOptions::default()
    };
    let storage = Storage::open(&config.data.join("cas"), &config.instances, options, Arc::new(SystemClock::start()))?;
    Ok(Blobs::Embedded(EmbeddedCas::new(storage, &config.instances, raw.clients_may_update_actions)))
}

/// Memory is ahead of the disk: nothing that is in memory may be seen any more.
fn stop_process(error: &StoreError) {
    tracing::error!(%error, "the store failed: stopping at once, because memory must not run ahead of the disk");
    eprintln!("berth: {error}; stopped. Everything that was acknowledged is on disk: start again when it is mended");
    std::process::exit(70);
}

/// Incomplete work keeps its inputs over a restart. In the background: a touched blob is safe for a while anyway.
async fn pin_recovered(engine: Engine, cas: Arc<dyn Cas>) {
    match berth_api::pin_incomplete(&engine, &*cas).await {
        Ok(0) => {}
        Ok(jobs) => tracing::info!(jobs, "inputs of recovered jobs are pinned"),
        Err(error) => tracing::debug!(%error, "pinning stops"),
    }
}

/// Beside what is served: it waits until every job is loaded.
async fn adopt_cohorts(engine: Engine) {
    if let Err(error) = engine.adopt_cohorts().await {
        tracing::warn!(%error, "jobs from before this start may be counted by cohorts as they were then");
    }
}

async fn watch_space(engine: Engine) {
    let mut ticks = tokio::time::interval(SPACE_EVERY);
    loop {
        ticks.tick().await;
        let engine = engine.clone();
        match tokio::task::spawn_blocking(move || engine.look_at_space()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the free space of the disk is not known"),
            Err(_) => return,
        }
    }
}

async fn tell_of_policies(engine: &Engine, instances: &[InstanceName], changed: bool) -> Result<(), EngineError> {
    engine.learn_asks(instances).await?;
    // A version that failed too often was taken out of force, and nobody else places the jobs anew.
    if changed && engine.replacing().borrow().generation < engine.policy().generation() {
        engine.replace_all(None).await?;
    }
    Ok(())
}

/// Core is told which questions policies answer; that changes with the versions that are active.
async fn follow_policies(engine: Engine, instances: Vec<InstanceName>) {
    let mut known = None;
    let mut ticks = tokio::time::interval(POLICIES_EVERY);
    loop {
        ticks.tick().await;
        let asks: Vec<_> = instances.iter().map(|name| engine.policy().asks(&name.0)).collect();
        // Another version that answers the same questions answers them otherwise.
        let now = (engine.policy().generation(), asks);
        if known.as_ref() == Some(&now) {
            continue;
        }
        if let Err(error) = tell_of_policies(&engine, &instances, known.is_some()).await {
            tracing::debug!(%error, "the engine is not told of policies any more");
            return;
        }
        known = Some(now);
    }
}

async fn keep_tidy(engine: Engine, work: Namespaces, retention: sweep::Retention) {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        if let Err(error) = sweep::trim(&work, retention).await {
            tracing::warn!(%error, "old events of work stay");
        }
        match sweep::sweep(&engine, retention).await {
            Ok(0) => {}
            Ok(jobs) => tracing::debug!(jobs, "finished jobs are past their time and gone"),
            Err(error) => {
                tracing::debug!(%error, "retention stops");
                return;
            }
        }
    }
}

/// Bots of a laptop: they speak to the server as any other bot does.
fn start_bots(config: &Config, server: SocketAddr, shutdown: &Shutdown) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let mut bots = Vec::new();
    for number in 1..=config.bots {
        let instance = config.instances[(number - 1) % config.instances.len()].clone();
        let work_dir = config.data.join("bots").join(number.to_string());
        let bot_id = format!("{}:local-{number}", bot::host_name());
        let mut bot_config = BotConfig::new(server.to_string(), instance, bot_id, work_dir);
        bot_config.properties = bot::own_properties();
        bot_config.slots = if config.raw.bots.slots == 0 { bot::cores() } else { config.raw.bots.slots };
        let shutdown = shutdown.clone();
        bots.push(tokio::spawn(async move {
            if let Err(error) = berth_bot::run(bot_config, shutdown).await {
                tracing::error!(number, %error, "a local bot stopped");
            }
        }));
    }
    Ok(bots)
}
