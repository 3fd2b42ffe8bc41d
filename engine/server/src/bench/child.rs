//! Servers that a bench starts: pinned to a core of their own, stopped at the end whatever happens.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use rustix::{
    process::{Pid, Signal, kill_process},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::config::PolicyKind;

const START_MAX: Duration = Duration::from_secs(60);
const STOP_MAX: Duration = Duration::from_secs(15);

/// Which core is whose.
pub(super) struct Cores {
    all: CpuSet,
    /// Server, generator. `None`: there is one core only.
    apart: Option<(CpuSet, CpuSet)>,
}

impl Cores {
    /// Pins this thread, and what it starts from now on, to the generator's core.
    pub(super) fn find() -> anyhow::Result<Self> {
        let all = sched_getaffinity(None).context("the cores of this machine are not known")?;
        let mut allowed = (0..CpuSet::MAX_CPU).filter(|core| all.is_set(*core)).map(|core| {
            let mut set = CpuSet::new();
            set.set(core);
            set
        });
        let apart = allowed.next().zip(allowed.next());
        let cores = Self { all, apart };
        cores.be_generator()?;
        Ok(cores)
    }

    /// What the table says about it.
    pub(super) fn note(&self) -> &'static str {
        match self.apart {
            Some(_) => "Server and generator are pinned to a core each.",
            None => "One core only: server and generator share it, and jobs/s say little.",
        }
    }

    /// Runs `start` on the server's core: processes and threads that it makes stay there.
    pub(super) fn as_server<R>(&self, start: impl FnOnce() -> R) -> anyhow::Result<R> {
        sched_setaffinity(None, self.apart.as_ref().map_or(&self.all, |(server, _)| server))?;
        let result = start();
        self.be_generator()?;
        Ok(result)
    }

    fn be_generator(&self) -> anyhow::Result<()> {
        let set = self.apart.as_ref().map_or(&self.all, |(_, generator)| generator);
        sched_setaffinity(None, set).context("a thread cannot be pinned to a core")
    }
}

/// A running server.
pub(super) struct Child {
    process: std::process::Child,
    pub(super) grpc: SocketAddr,
    http: Option<SocketAddr>,
    coordinate: Option<SocketAddr>,
}

impl Child {
    /// `berth serve` with its data in this folder.
    pub(super) fn serve(cores: &Cores, folder: &Path, policy: PolicyKind) -> anyhow::Result<Self> {
        Self::serve_with(cores, folder, policy, "")
    }

    /// The same, with more in its configuration.
    pub(super) fn serve_with(cores: &Cores, folder: &Path, policy: PolicyKind, more: &str) -> anyhow::Result<Self> {
        let config = folder.join("berth.toml");
        let kind = match policy {
            PolicyKind::Bundled => "bundled",
            PolicyKind::BuiltIn => "built-in",
        };
        std::fs::write(&config, format!("[policy]\nkind = \"{kind}\"\n{more}"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--config").arg(config).arg("--data").arg(folder.join("data"));
        for door in ["--grpc", "--http", "--coordinate"] {
            command.args([door, "127.0.0.1:0"]);
        }
        Self::start(cores, command)
    }

    pub(super) fn bare(cores: &Cores) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "bare-server"]);
        Self::start(cores, command)
    }

    /// The yardstick of `work`.
    pub(super) fn bare_work(cores: &Cores) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bench", "bare-work-server"]);
        Self::start(cores, command)
    }

    /// Where Coordinate's clients are served.
    pub(super) fn coordinate(&self) -> anyhow::Result<SocketAddr> {
        self.coordinate.context("this server does not serve Coordinate's clients")
    }

    fn start(cores: &Cores, mut command: Command) -> anyhow::Result<Self> {
        command.env("BERTH_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = cores.as_server(|| command.spawn())?.context("the server cannot be started")?;
        let errors = process.stderr.take().expect("it was asked for");
        let said = Arc::new(Mutex::new(String::new()));
        let (ready, is_ready) = mpsc::channel();
        std::thread::spawn({
            let said = said.clone();
            move || {
                for line in BufReader::new(errors).lines().map_while(Result::ok) {
                    if line.contains(": ready on ") {
                        // Nobody waits for a second one.
                        let _ = ready.send(line.clone());
                    }
                    let mut said = said.lock().expect("nobody panics while holding it");
                    said.push_str(&line);
                    said.push('\n');
                }
            }
        });
        let Ok(line) = is_ready.recv_timeout(START_MAX) else {
            let _ = process.kill();
            bail!("the server did not start: {}", said.lock().expect("nobody panics while holding it"));
        };
        let grpc = address(&line, "grpc ").with_context(|| format!("no address in {line:?}"))?;
        Ok(Self { process, grpc, http: address(&line, "http "), coordinate: address(&line, "coordinate ") })
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The sum of a counter over its labels, as /metrics says it.
    pub(super) fn counter(&self, name: &str) -> anyhow::Result<u64> {
        let address = self.http.context("this server has no metrics")?;
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        let samples =
            text.lines().filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
        Ok(samples.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum())
    }

    /// Stops it in good order, or at once if that takes long.
    pub(super) fn stop(mut self) -> anyhow::Result<()> {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM)?;
        let start = Instant::now();
        while start.elapsed() < STOP_MAX {
            if self.process.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail if it has ended already, which is what is wanted.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address behind a word in the line that says "ready".
fn address(line: &str, word: &str) -> Option<SocketAddr> {
    let rest = line.split_once(word)?.1;
    rest.split([' ', ',']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_stand_in_the_line_that_scripts_wait_for() {
        let line = "berth: ready on grpc 127.0.0.1:8980 and http 127.0.0.1:8981, coordinate 127.0.0.1:5932, instances main, data in /d";
        assert_eq!(address(line, "grpc ").unwrap().port(), 8980);
        assert_eq!(address(line, "http ").unwrap().port(), 8981);
        assert_eq!(address("berth: ready on grpc 127.0.0.1:1", "http "), None);
    }
}
