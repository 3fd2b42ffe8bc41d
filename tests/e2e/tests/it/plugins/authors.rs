//! What an author does: the commands of `berth plugin` for one's own machine, and the page that teaches them.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use berth_e2e::{Plan, Site, berth};
use serde_json::{Value, json};
use tokio::process::Command;

use super::state;

/// Compiling takes longer than anything else that a test waits for.
const COMPILING: std::time::Duration = std::time::Duration::from_secs(540);

/// A shell on the author's machine: `berth` is in the path, and nothing is fetched.
async fn shell(folder: &Path, server: &str, script: &str) -> Output {
    // All policies of these tests share what they compile: what each of them needs is compiled once.
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("authors");
    let bin = berth().parent().expect("a file is in a folder").to_owned();
    // The binary that is tested may have another name.
    let own = folder.join(".bin");
    std::fs::create_dir_all(&own).expect("the folder is ours");
    if !own.join("berth").exists() {
        std::os::unix::fs::symlink(berth(), own.join("berth")).expect("the folder is ours");
    }
    let path = std::env::var("PATH").expect("there is a path");
    let mut shell = Command::new("sh");
    shell.args(["-e", "-u", "-c", script]).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    shell.env("PATH", format!("{}:{}:{path}", own.display(), bin.display()));
    shell.env("CARGO_NET_OFFLINE", "true").env("CARGO_TARGET_DIR", target).env("BERTH_SERVER", server);
    // What cargo sets for this test is not what an author has.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CARGO_PKG") || name.starts_with("CARGO_MAN"))
    {
        shell.env_remove(name);
    }
    tokio::time::timeout(COMPILING, shell.output()).await.expect("it ends in time").expect("there is a shell")
}

/// The same for what must do well; answers what it prints.
async fn does(folder: &Path, server: &str, script: &str) -> String {
    let output = shell(folder, server, script).await;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{script}\nprinted:\n{stdout}\n{stderr}");
    stdout
}

/// The commands of a page, in their order: what stands between "```sh" and "```".
fn commands(page: &str) -> String {
    let mut script = String::new();
    let mut inside = false;
    for line in page.lines() {
        match (line, inside) {
            ("```sh", false) => inside = true,
            ("```", true) => inside = false,
            (_, true) => {
                script.push_str(line);
                script.push('\n');
            }
            (_, false) => {}
        }
    }
    script
}

#[tokio::test]
async fn the_page_for_authors_works_word_for_word() {
    let here = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo names the folder of the package");
    let page = Path::new(&here).join("../../docs/writing-plugins.md");
    let script = commands(&std::fs::read_to_string(page).expect("the page is there"));
    assert!(script.contains("berth plugin new") && script.contains("berth plugin rollback"), "{script}");
    let site = Site::started(Plan::default()).await;
    let folder = site.folder().join("author");
    std::fs::create_dir(&folder).expect("the folder is ours");
    let printed = does(&folder, &site.grpc(), &script).await;
    assert!(printed.contains("2 cases, 0 failed"), "{printed}");
    assert!(printed.contains("night-shift@"), "{printed}");
    assert_eq!(state(&site, "night-shift").await, "LOADED", "it was rolled back at the end");
}

#[tokio::test]
async fn a_new_policy_of_each_kind_compiles_and_passes_its_own_test_as_generated() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let asked = [
        ("properties", "worker-properties", json!({ "properties": ["OSFamily=linux"] }), "/capabilities/0/0"),
        (
            "matching",
            "matches",
            json!({ "pairs": [{ "need": { "requirements": ["cpus=2"] }, "offer": { "capabilities": [["cpus=4"]] } }] }),
            "/scores/0",
        ),
        ("priority", "place", json!({ "jobs": [{ "invocation": "one", "priority": 3 }] }), "/places/0/rank"),
        ("admission", "before-create-job", json!({ "arguments": ["/bin/true"] }), "/timeout-ms"),
        ("retry", "after-attempt", json!({ "attempt": 1, "counted": 1, "counted-max": 5 }), "/action/retry/after-ms"),
        ("choosing", "choose", json!({ "lanes": [{ "name": "a" }, { "name": "b" }] }), "/lane"),
        ("prune", "before-prune", json!({ "jobs": [{ "code": 3 }] }), "/keep-ms/0"),
        ("events", "on-events", json!({ "events": [] }), "/kv"),
    ];
    for (kind, function, question, answer) in asked {
        let crate_folder = folder.path().join(format!("my-{kind}"));
        does(folder.path(), "", &format!("berth plugin new my-{kind} --kind {kind}")).await;
        let script = format!(
            "cargo test --quiet >&2\nberth plugin build --json\nberth plugin check my-{kind}.wasm --json\n\
             berth plugin test my-{kind}.wasm --json\nberth plugin bench my-{kind}.wasm --json\n\
             berth plugin run my-{kind}.wasm {function} '{question}'"
        );
        let printed = does(&crate_folder, "", &script).await;
        let mut values = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
        let mut next = || values.next().expect("each command prints a value").expect("it is JSON");
        let (built, checked, tested, timed, answered) = (next(), next(), next(), next(), next());
        assert!(built["bytes"].as_u64() < Some(200_000), "{built}");
        assert_eq!((&checked["digest"], &checked["failures"]), (&built["digest"], &json!([])), "{checked}");
        assert!(checked["asked"].as_array().expect("a list").contains(&json!(function)), "{checked}");
        assert!(tested["failed"] == 0 && tested["cases"].as_array().is_some_and(|cases| !cases.is_empty()), "{tested}");
        assert!(timed["functions"][0]["ns"].as_u64() > Some(0), "{timed}");
        let found = answered["answer"].pointer(answer).or(answered.pointer(answer));
        assert!(found.is_some(), "no {answer} in {answered}");
    }
    // A case that does not hold fails the command, and says where the answer differs.
    let priority = folder.path().join("my-priority");
    let wrong = "[[case]]\nname = \"wrong\"\nfunction = \"place\"\nquestion.jobs = [{ priority = 3 }]\n\
                 answer.places = [{ rank = 4 }]\n";
    std::fs::write(priority.join("wrong.toml"), wrong).expect("the folder is ours");
    let output = shell(&priority, "", "berth plugin test my-priority.wasm --cases wrong.toml").await;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && printed.contains("wrong") && printed.contains("rank"), "{printed}");
}
