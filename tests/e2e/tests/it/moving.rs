//! Moving over from BuildGrid: its configuration becomes Berth's, and its figures have counterparts.

use berth_e2e::{Job, Plan, Site, last, response, within};

const BUILDGRID: &str = r#"
server:
  - !channel
    address: 127.0.0.1:50051
    insecure-mode: true
connections:
  - !sql-connection &sql
    connection-string: postgresql://bgd:insecure@database/bgd
storages:
  - !disk-storage &blobs
    path: !expand-path $HOME/cas
schedulers:
  - !sql-scheduler &state
    sql: *sql
    storage: *blobs
    action-browser-url: http://browser.example
    max-job-attempts: 3
    property-set: !dynamic-property-set
      match-property-keys: [pool]
instances:
  - name: main
    services:
      - !execution
        scheduler: *state
      - !cas
        storage: *blobs
"#;

#[tokio::test]
async fn a_server_runs_on_what_was_imported() {
    let site = Site::new(Plan::default());
    let yml = site.folder().join("buildgrid.yml");
    std::fs::write(&yml, BUILDGRID).expect("a file is written");
    let toml = site.folder().join("berth.toml");
    let (yml, toml) = (yml.to_str().expect("text"), toml.to_str().expect("text"));

    let imported = site.run(&["config", "import-buildgrid", yml, "--out", toml]).await;
    assert_eq!((imported.code, imported.stdout.as_str()), (0, ""), "{imported:?}");
    for line in [
        "line 4: !channel.address: kept as server.grpc = \"127.0.0.1:50051\"",
        "line 7: !sql-connection: no counterpart because Berth keeps its state",
        "line 17: !sql-scheduler.max-job-attempts: kept as scheduler.attempts_max = 3",
    ] {
        assert!(imported.stderr.contains(line), "{line} in\n{}", imported.stderr);
    }
    let again = site.run(&["config", "import-buildgrid", yml, "--out", toml]).await;
    assert!(again.code != 0 && again.stderr.contains("expected a file that is not there yet"), "{again:?}");
    let told = site.run(&["config", "import-buildgrid", yml, "--json"]).await.json();
    assert_eq!(told["lines"][0]["line"], 4);
    let written = std::fs::read_to_string(toml).expect("it was written");
    assert_eq!(told["configuration"], written);
    let checked = site.run(&["config", "check", toml]).await;
    assert_eq!(checked.code, 0, "{checked:?}");
    let refused = site.run(&["config", "import-buildgrid", toml]).await;
    assert!(refused.code != 0 && refused.stderr.contains("cannot be imported"), "{refused:?}");

    // Flags win over the file: ports of the test.
    let server = Site::started(Plan { config: written.leak(), ..Plan::default() }).await;
    let client = server.client().await;
    let job = Job { platform: vec![("OSFamily", "linux")], ..Job::new("moved") };
    let (_, stream) = client.begin(&job).await;
    let mut bot = server.bot("bot", 1).await;
    bot.take().await;
    bot.finish().await;
    let message = response(&last(stream).await).message;
    assert!(message.starts_with("http://browser.example/action/"), "{message}");
    let unknown = Job { platform: vec![("colour", "red")], ..Job::new("refused") };
    let request = client.prepare(&unknown).await.expect("inputs are there");
    let refused = client.execute(request).await.expect_err("a property that the set does not know");
    assert!(refused.message().contains("colour"), "{refused:?}");
}

/// Each name of the table in docs/parity/buildgrid.md is there after a build.
#[tokio::test]
async fn every_figure_of_the_table_is_scraped_after_a_build() {
    let site = Site::started(Plan { bots: 1, ..Plan::default() }).await;
    let client = site.client().await;
    client.run(&Job { arguments: vec!["true"], ..Job::new("measured") }).await;
    client.get("main/00000000-0000-0000-0000-000000000000").await.expect_err("there is no such operation");
    let table = include_str!("../../../../docs/parity/buildgrid.md");
    let (_, table) = table.split_once("## Metrics").expect("the page has the table");
    let section = table.split("\n## ").next().expect("a section");
    let named: Vec<&str> = section.split('`').filter(|word| word.starts_with("berth_")).collect();
    assert!(named.len() > 20, "{named:?}");
    // Counted when the call's last message has left, which the client need not wait for.
    let scrape = async {
        loop {
            let text = site.metrics().await;
            let missing: Vec<_> = named.iter().filter(|name| !has(&text, name)).collect();
            if missing.is_empty() {
                return text;
            }
            eprintln!("not there yet: {missing:?}");
        }
    };
    let text = within("every name is there", scrape).await;
    for line in [
        "berth_jobs_finished_total{outcome=\"completed\"} 1",
        "berth_job_seconds_count{phase=\"execution\"} 1",
        "berth_job_seconds_count{phase=\"total\"} 1",
        "berth_bots{status=\"ok\"} 1",
        "method=\"GetOperation\",code=\"NotFound\"} 1",
        "berth_rpc_seconds_count{service=\"build.bazel.remote.execution.v2.Execution\",method=\"Execute\"} 1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}

/// A name with `{` is a name and a label; one that ends in `_total` or `_seconds` may be followed by a part of it.
fn has(text: &str, name: &str) -> bool {
    let (name, label) = name.split_once('{').map_or((name, ""), |(name, label)| (name, label.trim_end_matches('}')));
    text.lines().any(|line| line.starts_with(name) && line.contains(label))
}
