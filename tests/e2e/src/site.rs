//! A place where the server runs: its folder and its addresses stay the same over restarts.

use std::{
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, Command},
    sync::{oneshot, watch},
};
use tonic::transport::{Channel, Endpoint};

use crate::{
    binary::berth,
    bot::Bot,
    client::{Client, INSTANCE},
    power::{Cut, Power},
    wait::within,
};

/// What a site is to be like.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Text of the configuration file; empty: none.
    pub config: &'static str,
    /// Bots inside the server.
    pub bots: usize,
    /// Whether [`Site::cut`] can take away what was not synced.
    pub power: bool,
}

/// A folder, two addresses, and at most one server that uses them.
pub struct Site {
    folder: TempDir,
    grpc: u16,
    http: u16,
    coordinate: u16,
    plan: Plan,
    power: Option<Power>,
    process: Mutex<Option<Process>>,
    /// Counts the starts; `None` while no server is known to answer. Set before the server is killed: whoever sees
    /// an error and then a count may connect to that server.
    up: watch::Sender<Option<u64>>,
    starts: Mutex<u64>,
    log: Arc<Mutex<String>>,
}

struct Process {
    child: Child,
    ready: Option<oneshot::Receiver<()>>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    /// Exit code; -1 if a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output of a command that did well, as JSON.
    ///
    /// # Panics
    /// If the command failed or printed anything else.
    pub fn json(&self) -> serde_json::Value {
        assert_eq!(self.code, 0, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Site {
    /// A site without a server.
    pub fn new(plan: Plan) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("data")).expect("the folder is ours");
        if !plan.config.is_empty() {
            std::fs::write(folder.path().join("berth.toml"), plan.config).expect("the folder is ours");
        }
        let power = plan.power.then(|| Power::install(folder.path()));
        let (up, process, log) = (watch::Sender::new(None), Mutex::default(), Arc::default());
        let [grpc, http, coordinate] = [(); 3].map(|()| free_port());
        Self { folder, grpc, http, coordinate, plan, power, process, up, starts: Mutex::new(0), log }
    }

    /// A site with a server that is ready.
    pub async fn started(plan: Plan) -> Self {
        let site = Self::new(plan);
        site.start().await;
        site
    }

    /// The folder that the server keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A folder of the site that no server knows.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where gRPC is served.
    pub fn grpc(&self) -> String {
        format!("127.0.0.1:{}", self.grpc)
    }

    /// Where HTTP is served.
    pub fn http(&self) -> String {
        format!("127.0.0.1:{}", self.http)
    }

    /// Where Coordinate's clients are served.
    pub fn coordinate(&self) -> String {
        format!("127.0.0.1:{}", self.coordinate)
    }

    /// Arguments of `berth serve` here.
    pub fn serve_arguments(&self) -> Vec<String> {
        let mut arguments = ["serve", "--instance", INSTANCE, "--data"].map(str::to_owned).to_vec();
        arguments.extend([self.data().display().to_string(), "--grpc".into(), self.grpc()]);
        arguments.extend(["--http".into(), self.http(), "--bots".into(), self.plan.bots.to_string()]);
        arguments.extend(["--coordinate".into(), self.coordinate()]);
        if !self.plan.config.is_empty() {
            arguments.extend(["--config".into(), self.folder().join("berth.toml").display().to_string()]);
        }
        arguments
    }

    /// The program, ready to be run; it dies with the test.
    pub fn command(&self, arguments: &[impl AsRef<str>]) -> Command {
        let mut command = Command::new(berth());
        command.args(arguments.iter().map(AsRef::as_ref)).env("HOME", self.folder()).env_remove("XDG_CACHE_HOME");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[impl AsRef<str>]) -> Output {
        let output = within("the command ends", self.command(arguments).output()).await.expect("berth can be run");
        let text = |bytes| String::from_utf8(bytes).expect("berth writes UTF-8");
        Output { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs an operator's command, such as `jobs list`, against the server.
    pub async fn ask(&self, arguments: &[&str]) -> Output {
        let (mut arguments, address) = (arguments.to_vec(), self.grpc());
        arguments.extend(["--server", &address]);
        self.run(&arguments).await
    }

    /// Starts the server and waits until it is ready.
    ///
    /// # Panics
    /// If it ends instead.
    pub async fn start(&self) {
        self.spawn();
        let ready = lock(&self.process).as_mut().and_then(|process| process.ready.take()).expect("just spawned");
        let ready = within("the server is ready", ready).await;
        assert!(ready.is_ok(), "the server ended before it was ready; it said:\n{}", self.log());
        self.up.send_replace(Some(*lock(&self.starts)));
    }

    /// Starts the server and does not wait.
    pub fn spawn(&self) {
        let mut process = lock(&self.process);
        assert!(process.is_none(), "one server a site");
        let mut command = self.command(&self.serve_arguments());
        command.stdout(Stdio::null());
        if let Some(power) = &self.power {
            power.watch(&mut command);
        }
        let mut child = command.spawn().expect("berth can be run");
        let (say_ready, ready) = oneshot::channel();
        let stderr = child.stderr.take().expect("standard error is piped");
        tokio::spawn(read(stderr, say_ready, self.log.clone()));
        *process = Some(Process { child, ready: Some(ready) });
        *lock(&self.starts) += 1;
    }

    /// Kills the server with SIGKILL and waits until it is gone.
    pub async fn kill(&self) {
        let mut process = self.take_process();
        process.child.start_kill().expect("the server is our child");
        within("the server is gone", process.child.wait()).await.expect("the server is our child");
    }

    /// Asks the server to stop with SIGTERM and waits for it.
    pub async fn terminate(&self) -> ExitStatus {
        let mut process = self.take_process();
        let id = process.child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()));
        rustix::process::kill_process(id.expect("it runs"), rustix::process::Signal::TERM).expect("it is our child");
        within("the server stops", process.child.wait()).await.expect("the server is our child")
    }

    /// Takes away what a power cut would have taken. Only while no server runs.
    ///
    /// # Panics
    /// If the plan did not ask for it.
    pub fn cut(&self) -> Cut {
        assert!(lock(&self.process).is_none(), "the power is cut after the kill");
        self.power.as_ref().expect("the plan asks for power cuts").cut(&self.data())
    }

    /// What the server wrote on standard error since the first start.
    pub fn log(&self) -> String {
        lock(&self.log).clone()
    }

    /// The server's process id.
    ///
    /// # Panics
    /// If no server runs.
    pub fn pid(&self) -> u32 {
        lock(&self.process).as_ref().and_then(|process| process.child.id()).expect("a server runs")
    }

    /// What the server measures, as `/metrics` shows it.
    pub async fn metrics(&self) -> String {
        let mut stream = tokio::net::TcpStream::connect(self.http()).await.expect("the server listens");
        let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.http());
        let mut answer = String::new();
        let exchange = async {
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_string(&mut answer).await
        };
        within("metrics are told", exchange).await.expect("the server answers");
        answer
    }

    /// A connection to the server; waits until there is one.
    pub async fn channel(&self) -> Channel {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.grpc())).expect("an address");
        let endpoint = endpoint.connect_timeout(Duration::from_secs(10)).tcp_nodelay(true);
        let mut up = self.up.subscribe();
        let connect = async {
            loop {
                let start = *up.wait_for(Option::is_some).await.expect("the site outlives its clients");
                if let Ok(channel) = endpoint.connect().await {
                    return channel;
                }
                up.wait_for(|now| *now != start).await.expect("the site outlives its clients");
            }
        };
        within("a server answers", connect).await
    }

    /// A client with a connection of its own.
    pub async fn client(&self) -> Client {
        Client::new(self.channel().await)
    }

    /// A bot with a connection of its own, which has not said hello yet.
    pub async fn bot(&self, bot_id: &str, slots: u32) -> Bot {
        Bot::new(self.channel().await, bot_id, slots)
    }

    fn take_process(&self) -> Process {
        self.up.send_replace(None);
        lock(&self.process).take().expect("a server runs")
    }
}

/// Keeps what the server says, and tells when it is ready.
async fn read(stderr: ChildStderr, ready: oneshot::Sender<()>, log: Arc<Mutex<String>>) {
    let (mut lines, mut ready) = (BufReader::new(stderr).lines(), Some(ready));
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("berth: ready on grpc ")
            && let Some(ready) = ready.take()
        {
            // A test that started the server without waiting does not hear it.
            let _ = ready.send(());
        }
        let mut log = lock(&log);
        log.push_str(&line);
        log.push('\n');
    }
}

/// A port that is free now, and that no outgoing connection of this machine takes while the server is down: below
/// the range from which those are chosen. Otherwise a client that dials a dead server may even reach itself.
fn free_port() -> u16 {
    const FIRST: u16 = 12_000;
    const COUNT: u16 = 20_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Test programs that run at the same time begin at different places.
    let begin = u16::try_from(std::process::id() * 64 % u32::from(COUNT)).expect("it is below a u16");
    (0..COUNT)
        .map(|_| FIRST + (begin + NEXT.fetch_add(1, Ordering::Relaxed) % COUNT) % COUNT)
        .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}

/// What is guarded here is whole at any moment.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
