//! Runs one command: its own process group, its environment and nothing else, a timeout, and nothing of it left
//! alive at the end (but what made itself a new session).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use berth_proto::reapi;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::error::Failure;

/// For a command that sets no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// What shells answer for a command that is not there, and for one that cannot be run.
const NOT_FOUND: i32 = 127;
const NOT_EXECUTABLE: i32 = 126;

/// Where and how long a command runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting<'a> {
    /// Working directory; exists.
    pub(crate) directory: &'a Path,
    /// TMPDIR and HOME if the command sets none.
    pub(crate) temporary: &'a Path,
    pub(crate) stdout: &'a Path,
    pub(crate) stderr: &'a Path,
    pub(crate) timeout: Option<Duration>,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// As a shell would say it: 128 and the signal for one that was killed.
    pub(crate) exit_code: i32,
    pub(crate) timed_out: bool,
}

/// Runs `command` until it ends, runs out of time, or is killed with its lease.
pub(crate) async fn execute(
    command: &reapi::Command,
    setting: Setting<'_>,
    killed: &CancellationToken,
) -> Result<Ended, Failure> {
    let trouble = |error: io::Error| Failure::io("starting the command", &error);
    let stdout = File::create(setting.stdout).map_err(trouble)?;
    let mut stderr = File::create(setting.stderr).map_err(trouble)?;
    let mut prepared = prepare(command, setting)?;
    prepared.stdin(Stdio::null()).stdout(stdout).stderr(stderr.try_clone().map_err(trouble)?);
    let mut child = match spawn(&mut prepared).await {
        Ok(child) => child,
        Err(error) => {
            // To the client this is a command that failed, as it would be in a shell.
            let exit_code = match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => NOT_FOUND,
                io::ErrorKind::PermissionDenied | io::ErrorKind::ExecutableFileBusy => NOT_EXECUTABLE,
                io::ErrorKind::ArgumentListTooLong => NOT_EXECUTABLE,
                _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => NOT_EXECUTABLE,
                _ => return Err(trouble(error)),
            };
            writeln!(stderr, "berth bot: cannot run {:?}: {}", command.arguments[0], error.kind()).map_err(trouble)?;
            return Ok(Ended { exit_code, timed_out: false });
        }
    };
    drop(prepared);
    supervise(&mut child, setting.timeout, killed).await
}

/// Waits for the end and sees to it that nothing of the group outlives it.
async fn supervise(child: &mut Child, timeout: Option<Duration>, killed: &CancellationToken) -> Result<Ended, Failure> {
    let trouble = |error: io::Error| Failure::io("watching the command", &error);
    let group = Group::of(child);
    // The child stays a zombie until `wait` below, so that its group's number cannot be given to a stranger while we
    // may still kill it.
    let pidfd: OwnedFd = pidfd_open(group.leader, PidfdFlags::empty()).map_err(|error| trouble(error.into()))?;
    #[expect(deprecated, reason = "its successor is unsafe for types whose descriptor may change; OwnedFd's does not")]
    let exit = AsyncFd::with_interest(pidfd, Interest::READABLE).map_err(trouble)?;
    let deadline = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let (timed_out, dropped) = tokio::select! {
        biased;
        ended = exit.readable() => {
            drop(ended.map_err(trouble)?);
            (false, false)
        }
        () = killed.cancelled() => (false, true),
        () = deadline => (true, false),
    };
    drop(group);
    let status = child.wait().await.map_err(trouble)?;
    if dropped {
        return Err(Failure::Killed);
    }
    Ok(Ended { exit_code: exit_code(status), timed_out })
}

/// Kills the group when dropped, be it because the caller itself was dropped.
struct Group {
    leader: Pid,
}

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().expect("a child that nobody has waited for has an id");
        let id = i32::try_from(id).expect("process ids are below 2^22");
        Self { leader: Pid::from_raw(id).expect("a child's id is not 0") }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Fails when nobody is left, which is as well.
        let _ = kill_process_group(self.leader, Signal::KILL);
    }
}

fn prepare(command: &reapi::Command, setting: Setting<'_>) -> Result<Command, Failure> {
    let [name, arguments @ ..] = command.arguments.as_slice() else {
        return Err(Failure::BadAction("the command has no arguments".into()));
    };
    let variables = &command.environment_variables;
    for variable in variables {
        let bad = variable.name.is_empty() || variable.name.contains(['=', '\0']) || variable.value.contains('\0');
        if bad {
            return Err(Failure::BadAction(format!("{:?} is not an environment variable", variable.name)));
        }
    }
    if name.is_empty() || command.arguments.iter().any(|argument| argument.contains('\0')) {
        return Err(Failure::BadAction("the command has an unusable argument".into()));
    }
    let path = variables.iter().find(|variable| variable.name == "PATH").map_or(DEFAULT_PATH, |path| &path.value);
    let mut prepared = Command::new(resolve(name, setting.directory, path));
    prepared
        .arg0(name)
        .args(arguments)
        .env_clear()
        .env("PATH", DEFAULT_PATH)
        .env("TMPDIR", setting.temporary)
        .env("HOME", setting.temporary)
        .envs(variables.iter().map(|variable| (&variable.name, &variable.value)))
        .current_dir(setting.directory)
        .process_group(0)
        .kill_on_drop(true);
    Ok(prepared)
}

/// Which file `name` means: relative to the working directory if it has a slash, or else the first one in PATH.
fn resolve(name: &str, directory: &Path, path: &str) -> PathBuf {
    if name.contains('/') {
        return directory.join(name);
    }
    let executable =
        |file: &PathBuf| file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    path.split(':')
        .map(|folder| directory.join(folder).join(name))
        .find(executable)
        // Does not exist either, and so gives the error that it should.
        .unwrap_or_else(|| directory.join(name).join("not-in-PATH"))
}

/// Another thread that forks while we have a program open for writing holds it open for a moment, and for so long it
/// cannot be started.
async fn spawn(prepared: &mut Command) -> io::Result<Child> {
    for _ in 0..20 {
        match prepared.spawn() {
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => return result,
        }
    }
    prepared.spawn()
}

fn exit_code(status: ExitStatus) -> i32 {
    match (status.code(), status.signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => 128 + signal,
        (None, None) => unreachable!("a process that ended has either exited or been killed"),
    }
}

#[cfg(test)]
mod tests;
