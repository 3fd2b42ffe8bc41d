use std::fs;
use std::os::unix::fs::PermissionsExt;

use berth_proto::reapi::command::EnvironmentVariable;
use tempfile::TempDir;

use super::*;

struct Bench {
    folder: TempDir,
    killed: CancellationToken,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("wd")).unwrap();
        fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder, killed: CancellationToken::new() }
    }

    async fn run(&self, arguments: &[&str], timeout: Option<Duration>) -> Result<Ended, Failure> {
        let arguments = arguments.iter().map(|&argument| argument.into()).collect();
        self.run_command(reapi::Command { arguments, ..Default::default() }, timeout).await
    }

    async fn run_command(&self, command: reapi::Command, timeout: Option<Duration>) -> Result<Ended, Failure> {
        let at = |name| self.folder.path().join(name);
        let (directory, temporary, stdout, stderr) = (at("wd"), at("tmp"), at("stdout"), at("stderr"));
        let setting =
            Setting { directory: &directory, temporary: &temporary, stdout: &stdout, stderr: &stderr, timeout };
        execute(&command, setting, &self.killed).await
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

/// Waits for a process to be gone; init or the test's parent reaps it, so a zombie counts as gone.
async fn gone(pid: &str) {
    let stat = format!("/proc/{}/stat", pid.trim());
    tokio::time::timeout(Duration::from_secs(10), async {
        while fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the process is killed");
}

#[tokio::test]
async fn exit_codes_and_output_come_back() {
    let bench = Bench::new();
    let ended = bench.run(&["sh", "-c", "echo out; echo err >&2; exit 7"], None).await.unwrap();
    assert_eq!(ended, Ended { exit_code: 7, timed_out: false });
    assert_eq!((bench.read("stdout"), bench.read("stderr")), ("out\n".into(), "err\n".into()));
}

#[tokio::test]
async fn a_signal_shows_as_128_and_its_number() {
    let ended = Bench::new().run(&["sh", "-c", "kill -TERM $$"], None).await.unwrap();
    assert_eq!(ended.exit_code, 128 + 15);
}

#[tokio::test]
async fn a_timeout_kills_the_whole_group() {
    let bench = Bench::new();
    let script = "sleep 1000 & echo $! > child; wait";
    let ended = bench.run(&["sh", "-c", script], Some(Duration::from_millis(300))).await.unwrap();
    assert_eq!(ended, Ended { exit_code: 137, timed_out: true });
    gone(&bench.read("wd/child")).await;
}

#[tokio::test]
async fn what_a_command_leaves_running_dies_with_it() {
    let bench = Bench::new();
    let ended = bench.run(&["sh", "-c", "sleep 1000 & echo $! > child"], None).await.unwrap();
    assert_eq!(ended.exit_code, 0);
    gone(&bench.read("wd/child")).await;
}

#[tokio::test]
async fn losing_the_lease_kills_the_command() {
    let bench = Bench::new();
    let killed = bench.killed.clone();
    let started = bench.folder.path().join("wd/started");
    let kill = async {
        while !started.exists() {
            tokio::task::yield_now().await;
        }
        killed.cancel();
    };
    let run = bench.run(&["sh", "-c", "sleep 1000 & echo $! > child; touch started; wait"], None);
    let (ended, ()) = futures::join!(run, kill);
    assert_eq!(ended, Err(Failure::Killed));
    gone(&bench.read("wd/child")).await;
}

#[tokio::test]
async fn the_environment_is_what_the_action_gives_with_defaults_for_what_programs_cannot_do_without() {
    let bench = Bench::new();
    let variable = |name: &str, value: &str| EnvironmentVariable { name: name.into(), value: value.into() };
    let command = reapi::Command {
        arguments: vec!["env".into()],
        environment_variables: vec![variable("A", "b"), variable("HOME", "/nowhere")],
        ..Default::default()
    };
    bench.run_command(command, None).await.unwrap();
    let found = bench.read("stdout");
    let mut lines: Vec<_> = found.lines().collect();
    lines.sort_unstable();
    let temporary = format!("TMPDIR={}", bench.folder.path().join("tmp").display());
    assert_eq!(lines, ["A=b", "HOME=/nowhere", &format!("PATH={DEFAULT_PATH}"), &temporary]);
}

#[tokio::test]
async fn a_relative_program_is_found_from_the_working_directory_and_through_path() {
    let bench = Bench::new();
    let tool = bench.folder.path().join("wd/bin/tool");
    fs::create_dir(tool.parent().unwrap()).unwrap();
    fs::write(&tool, "#!/bin/sh\necho found\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(bench.run(&["bin/tool"], None).await.unwrap().exit_code, 0);
    let by_path = reapi::Command {
        arguments: vec!["tool".into()],
        environment_variables: vec![EnvironmentVariable { name: "PATH".into(), value: "/bin:bin".into() }],
        ..Default::default()
    };
    assert_eq!(bench.run_command(by_path, None).await.unwrap().exit_code, 0);
    assert_eq!(bench.read("stdout"), "found\n");
}

#[tokio::test]
async fn a_program_that_is_absent_or_not_executable_fails_as_it_would_in_a_shell() {
    let bench = Bench::new();
    assert_eq!(bench.run(&["no-such-program"], None).await.unwrap().exit_code, NOT_FOUND);
    assert_eq!(bench.run(&["./no/such/program"], None).await.unwrap().exit_code, NOT_FOUND);
    fs::write(bench.folder.path().join("wd/plain"), "x").unwrap();
    assert_eq!(bench.run(&["./plain"], None).await.unwrap().exit_code, NOT_EXECUTABLE);
    assert!(bench.read("stderr").contains("./plain"));
}

#[tokio::test]
async fn malformed_commands_are_the_actions_fault() {
    let bench = Bench::new();
    assert!(matches!(bench.run(&[], None).await, Err(Failure::BadAction(_))));
    assert!(matches!(bench.run(&["a\0b"], None).await, Err(Failure::BadAction(_))));
    let command = reapi::Command {
        arguments: vec!["true".into()],
        environment_variables: vec![EnvironmentVariable { name: "A=B".into(), value: String::new() }],
        ..Default::default()
    };
    assert!(matches!(bench.run_command(command, None).await, Err(Failure::BadAction(_))));
}
