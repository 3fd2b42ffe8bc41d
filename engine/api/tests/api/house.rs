//! A whole server in this process, and short ways to be its client and its bot.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use berth_api::{Config, Health, Instances, Services, Unpinner, transport};
use berth_cas::{EmbeddedCas, Storage, StorageOptions, SystemClock};
use berth_core::{Digest, Settings};
use berth_proto::{
    admin, any,
    bots::{
        BotSession, BotStatus, CreateBotSessionRequest, Device, Lease, LeaseState, UpdateBotSessionRequest, Worker,
        bots_client::BotsClient, device, worker,
    },
    buildgrid,
    longrunning::{Operation, operation, operations_client::OperationsClient},
    reapi,
    reapi::{
        Action, ActionResult, Command, Directory, ExecuteRequest, ExecuteResponse, FileNode, Platform,
        capabilities_client::CapabilitiesClient, execution_client::ExecutionClient, platform,
    },
    rpc,
};
use berth_runtime::{
    Committer, Engine, Options,
    builtin::BuiltinPolicy,
    cas::Cas,
    clock::Clock,
    cohorts::Cohorts,
    memory::{Disk, MemoryStore},
    policy::Policy,
    recover::{Limits, RecoverError},
    store::{PartitionId, Store},
};
use bytes::Bytes;
use prost::Message;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Status, Streaming,
    service::Routes,
    transport::{Channel, Endpoint},
};

/// The instance of most tests.
pub(crate) const MAIN: &str = "main";

/// Another, and the one of clients that name none.
pub(crate) const OTHER: &str = "other/one";
pub(crate) const UNNAMED: &str = "";

const INSTANCES: [&str; 3] = [MAIN, OTHER, UNNAMED];

/// What outlives a server: its disk, and the folder of its storage.
pub(crate) struct House {
    disk: Disk,
    /// Stays open over restarts: how the storage recovers is its own business.
    cas: Arc<dyn Cas>,
    folder: Arc<TempDir>,
    pub(crate) settings: Settings,
    pub(crate) config: Config,
    /// Whether bots are let in that serve all instances.
    pub(crate) bots_for_all: bool,
    /// How much a restart restores before it serves.
    pub(crate) heads: Limits,
    pub(crate) policy: Arc<dyn Policy>,
    pub(crate) cohorts: Cohorts,
}

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) engine: Engine,
    pub(crate) cas: Arc<dyn Cas>,
    pub(crate) health: Health,
    driver: JoinHandle<Result<(), RecoverError>>,
    serving: JoinHandle<()>,
    /// Where the storage is.
    _folder: Arc<TempDir>,
}

impl House {
    pub(crate) fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let options = StorageOptions { reserve_bytes: 0, max_bytes: Some(1 << 30), ..StorageOptions::default() };
        let storage =
            Storage::open(folder.path(), &INSTANCES.map(String::from), options, Arc::new(SystemClock::start()));
        let cas = Arc::new(EmbeddedCas::new(storage.unwrap(), &INSTANCES.map(String::from), true));
        Self {
            disk: Disk::default(),
            cas,
            folder,
            settings: Settings::default(),
            config: Config::default(),
            bots_for_all: false,
            heads: Limits::default(),
            policy: Arc::new(BuiltinPolicy),
            cohorts: Cohorts::default(),
        }
    }

    /// The same, with this policy.
    pub(crate) fn with(policy: Arc<dyn Policy>) -> Self {
        Self { policy, ..Self::new() }
    }

    pub(crate) async fn start(&self) -> Server {
        let cas = self.cas.clone();
        let store: Arc<dyn Store> = Arc::new(MemoryStore::open(&self.disk));
        let committer = Committer::start(store.clone(), Arc::new(|error| panic!("{error}"))).unwrap();
        let options = Options {
            settings: self.settings.clone(),
            clock: Clock::system(),
            observer: Arc::new(Unpinner::new(cas.clone())),
            reserve_bytes: 0,
            heads: self.heads,
            policy: self.policy.clone(),
            cohorts: Arc::new(self.cohorts.clone()),
        };
        let (engine, driver) = Engine::start(store, committer, PartitionId(0), options).unwrap();
        engine.learn_asks(&INSTANCES.map(berth_core::InstanceName::from)).await.unwrap();
        let pinned = tokio::spawn({
            let (engine, cas) = (engine.clone(), cas.clone());
            async move { berth_api::pin_incomplete(&engine, &*cas).await }
        });
        // While jobs are loaded, this goes on beside what bots do, as in the real server.
        if self.heads == Limits::default() {
            pinned.await.unwrap().unwrap();
        }
        let instances = Instances::new(INSTANCES.map(|name| (name.to_owned(), engine.clone())));
        let instances = if self.bots_for_all { instances.with_bots_for_all() } else { instances };
        let services = Services::new(instances, self.policy.clone(), cas.clone(), self.config.clone());
        let mut routes = Routes::builder();
        let health = services.add_services(&mut routes).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = transport().add_routes(routes.routes()).serve_with_incoming(TcpListenerStream::new(listener));
        let serving = tokio::spawn(async move { serving.await.unwrap() });
        Server { address, engine, cas, health, driver, serving, _folder: self.folder.clone() }
    }
}

impl Server {
    /// Ends the server as a shutdown does: what it has acknowledged stays.
    pub(crate) async fn stop(self) {
        self.engine.stop().await;
        self.driver.await.unwrap().unwrap();
        self.serving.abort();
        let _ = self.serving.await;
    }

    /// The engine only: open streams must end by themselves.
    pub(crate) async fn stop_engine(&self) {
        self.engine.stop().await;
    }

    pub(crate) async fn connect(&self) -> Client {
        let channel = Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect().await.unwrap();
        Client { channel, cas: self.cas.clone() }
    }
}

/// A connection to the server, for every service.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    cas: Arc<dyn Cas>,
}

/// What a test wants to run.
#[derive(Clone, Default)]
pub(crate) struct Job {
    pub(crate) salt: String,
    pub(crate) do_not_cache: bool,
    pub(crate) skip_cache_lookup: bool,
    pub(crate) platform: Vec<(&'static str, &'static str)>,
    pub(crate) priority: i32,
    pub(crate) timeout_seconds: Option<i64>,
}

impl Job {
    pub(crate) fn new(salt: impl Into<String>) -> Self {
        Self { salt: salt.into(), ..Self::default() }
    }
}

impl Client {
    pub(crate) async fn write(&self, message: &impl Message) -> reapi::Digest {
        wire(&self.cas.write(MAIN, message.encode_to_vec().into()).await.unwrap())
    }

    /// Stores what the job needs; answers the request that runs it.
    pub(crate) async fn prepare(&self, job: &Job) -> ExecuteRequest {
        let file = self.cas.write(MAIN, Bytes::from("an input")).await.unwrap();
        let file = FileNode { name: "in.txt".into(), digest: Some(wire(&file)), ..FileNode::default() };
        let root = self.write(&Directory { files: vec![file], ..Directory::default() }).await;
        let command = Command { arguments: vec!["cat".into(), "in.txt".into()], ..Command::default() };
        let action = Action {
            command_digest: Some(self.write(&command).await),
            input_root_digest: Some(root),
            do_not_cache: job.do_not_cache,
            salt: job.salt.clone().into(),
            timeout: job.timeout_seconds.map(|seconds| prost_types::Duration { seconds, nanos: 0 }),
            platform: Some(platform(&job.platform)),
        };
        ExecuteRequest {
            instance_name: MAIN.into(),
            action_digest: Some(self.write(&action).await),
            skip_cache_lookup: job.skip_cache_lookup,
            execution_policy: Some(reapi::ExecutionPolicy { priority: job.priority }),
            ..ExecuteRequest::default()
        }
    }

    pub(crate) async fn execute(&self, request: ExecuteRequest) -> Result<Streaming<Operation>, Status> {
        Ok(self.execution().execute(request).await?.into_inner())
    }

    /// Executes and waits for the first message: then the operation is durable.
    pub(crate) async fn begin(&self, job: &Job) -> (Operation, Streaming<Operation>) {
        let request = self.prepare(job).await;
        let mut stream = self.execute(request).await.unwrap();
        let first = stream.message().await.unwrap().expect("a stream begins with the state");
        (first, stream)
    }

    pub(crate) fn execution(&self) -> ExecutionClient<Channel> {
        ExecutionClient::new(self.channel.clone())
    }

    pub(crate) fn operations(&self) -> OperationsClient<Channel> {
        OperationsClient::new(self.channel.clone())
    }

    pub(crate) fn capabilities(&self) -> CapabilitiesClient<Channel> {
        CapabilitiesClient::new(self.channel.clone())
    }

    pub(crate) fn bots(&self) -> BotsClient<Channel> {
        BotsClient::new(self.channel.clone())
    }

    pub(crate) fn admin_jobs(&self) -> admin::jobs_client::JobsClient<Channel> {
        admin::jobs_client::JobsClient::new(self.channel.clone())
    }

    pub(crate) fn admin_bots(&self) -> admin::bots_client::BotsClient<Channel> {
        admin::bots_client::BotsClient::new(self.channel.clone())
    }

    pub(crate) fn admin_quotas(&self) -> admin::quotas_client::QuotasClient<Channel> {
        admin::quotas_client::QuotasClient::new(self.channel.clone())
    }

    /// As BuildGrid's client asks.
    pub(crate) fn buildgrid_quota(&self) -> buildgrid::quota_client::QuotaClient<Channel> {
        buildgrid::quota_client::QuotaClient::new(self.channel.clone())
    }

    /// A bot that has not said hello yet.
    pub(crate) fn bot(&self, bot_id: &str, slots: u32) -> Bot {
        self.bot_with(bot_id, slots, &[])
    }

    /// The same, with these properties beside the usual one.
    pub(crate) fn bot_with(&self, bot_id: &str, slots: u32, properties: &[(&str, &str)]) -> Bot {
        let config = |key: &str, value: String| worker::Config { key: key.into(), value };
        let property = |(key, value): &(&str, &str)| device::Property { key: (*key).into(), value: (*value).into() };
        let properties = [("OSFamily", "linux")].iter().chain(properties).map(property).collect();
        let device = Device { handle: bot_id.into(), properties };
        let configs = vec![config("capacity", slots.to_string()), config("hold-when-full", "true".into())];
        let session = BotSession {
            bot_id: bot_id.into(),
            status: BotStatus::Ok as i32,
            worker: Some(Worker { devices: vec![device], configs, ..Worker::default() }),
            ..BotSession::default()
        };
        Bot { client: self.bots(), session, leases_seen: 0, parent: MAIN.into() }
    }
}

/// A bot's side of its session.
#[derive(Clone)]
pub(crate) struct Bot {
    client: BotsClient<Channel>,
    pub(crate) session: BotSession,
    /// Leases that were new.
    pub(crate) leases_seen: usize,
    /// The instance that it works for.
    pub(crate) parent: String,
}

/// Longer than any test; a call that is held so long has failed.
pub(crate) const LONG: Duration = Duration::from_secs(300);

impl Bot {
    /// Goes on over another connection, as after a restart of the server.
    pub(crate) fn reconnect(&mut self, client: &Client) {
        self.client = client.bots();
    }

    pub(crate) async fn open(&mut self, deadline: Duration) -> Result<(), Status> {
        let session = self.session.clone();
        let mut request =
            Request::new(CreateBotSessionRequest { parent: self.parent.clone(), bot_session: Some(session) });
        request.set_timeout(deadline);
        self.session = self.client.create_bot_session(request).await?.into_inner();
        self.leases_seen += self.session.leases.len();
        Ok(())
    }

    pub(crate) async fn update(&mut self, deadline: Duration) -> Result<(), Status> {
        self.update_with(deadline, |_| {}).await
    }

    /// The same with headers of its own.
    pub(crate) async fn update_with(
        &mut self,
        deadline: Duration,
        add: impl FnOnce(&mut tonic::metadata::MetadataMap),
    ) -> Result<(), Status> {
        let listed: Vec<_> = self.session.leases.iter().map(|lease| lease.id.clone()).collect();
        let session = self.session.clone();
        let mut request = Request::new(UpdateBotSessionRequest {
            name: session.name.clone(),
            bot_session: Some(session),
            update_mask: None,
        });
        request.set_timeout(deadline);
        add(request.metadata_mut());
        self.session = self.client.update_bot_session(request).await?.into_inner();
        self.leases_seen += self.session.leases.iter().filter(|lease| !listed.contains(&lease.id)).count();
        Ok(())
    }

    /// Says hello, if it has not yet, and waits until it holds a lease.
    pub(crate) async fn take(&mut self) -> Lease {
        if self.session.name.is_empty() {
            self.open(LONG).await.unwrap();
        }
        while self.session.leases.is_empty() {
            self.update(LONG).await.unwrap();
        }
        self.session.leases[0].clone()
    }

    /// Finishes every lease that it holds. To be sent with the next update.
    pub(crate) fn finish_all(&mut self, finish: impl Fn(&mut Lease)) {
        self.session.leases.iter_mut().for_each(finish);
    }
}

/// The lease ended well, with something on its standard output.
pub(crate) fn succeed(lease: &mut Lease) {
    complete(lease, Some(ActionResult { stdout_raw: "done\n".into(), ..ActionResult::default() }), 0);
}

pub(crate) fn complete(lease: &mut Lease, result: Option<ActionResult>, code: i32) {
    lease.state = LeaseState::Completed as i32;
    lease.result = result.map(|result| any::pack(&result));
    lease.status = Some(rpc::Status { code, message: "as the bot says".into(), details: Vec::new() });
}

/// The last message of a stream: it is done.
pub(crate) async fn last(mut stream: Streaming<Operation>) -> Operation {
    let mut last = None;
    while let Some(operation) = stream.message().await.unwrap() {
        last = Some(operation);
    }
    let last = last.expect("a stream has messages");
    assert!(last.done, "{last:?}");
    last
}

pub(crate) fn response(operation: &Operation) -> ExecuteResponse {
    let Some(operation::Result::Response(response)) = &operation.result else { panic!("no response: {operation:?}") };
    any::unpack(response).unwrap()
}

pub(crate) fn stage(operation: &Operation) -> reapi::execution_stage::Value {
    let metadata: reapi::ExecuteOperationMetadata = any::unpack(operation.metadata.as_ref().unwrap()).unwrap();
    metadata.stage()
}

pub(crate) fn wire(digest: &Digest) -> reapi::Digest {
    reapi::Digest { hash: digest.hex(), size_bytes: digest.size_bytes as i64 }
}

fn platform(properties: &[(&str, &str)]) -> Platform {
    let property = |(name, value): &(&str, &str)| platform::Property { name: (*name).into(), value: (*value).into() };
    Platform { properties: properties.iter().map(property).collect() }
}
